/** `<m>.goals.cancel`: the goal stops, whoever gets the message; it is acknowledged when the goal is terminal. */
import { decode } from '../../protocol/codec.ts';
import { CancelRequest } from '../../protocol/goal.ts';
import { timestamp } from '../../protocol/ids.ts';
import type { Delivery } from '../../ports.ts';
import type { Closing } from './closing.ts';
import type { Deps } from './deps.ts';
import { readGoal } from './records.ts';

/** A cancel may overtake its submission: so often, a second apart, it waits for the goal to appear. */
const UNKNOWN_MAX = 5;
const UNKNOWN_RETRY_MS = 1_000;

export function cancelsOf(deps: Deps, closing: Closing): { take(delivery: Delivery): Promise<void> } {
  async function bury(delivery: Delivery, code: string, message: string, goalId?: string): Promise<void> {
    const payload = Buffer.from(delivery.data).toString('base64');
    const ids = goalId === undefined ? {} : { goalId };
    const letter = {
      origin: 'cancel' as const,
      subject: delivery.subject,
      reason: { code, message },
      payload,
      ...ids,
      at: timestamp(deps.clock.now()),
    };
    await deps.dead.put(letter, `cancel.${delivery.sequence}`);
    deps.events.deadLetter('cancel', code, ids);
    delivery.ack();
  }

  return {
    async take(delivery) {
      try {
        const request = decode(CancelRequest, delivery.data);
        if (!request.ok) return await bury(delivery, request.code, request.message);
        const { goalId, reason } = request.value;
        if ((await readGoal(deps, goalId)) === undefined) {
          if (delivery.deliveries < UNKNOWN_MAX) return delivery.retry(UNKNOWN_RETRY_MS);
          return await bury(delivery, 'unknown_goal', `expected the id of a submitted goal, got "${goalId}"`, goalId);
        }
        await closing.stop(goalId, 'cancelled', {
          code: 'cancelled',
          message: reason === '' ? 'cancelled without a reason' : reason,
        });
        delivery.ack();
      } catch (error) {
        deps.events.engineError('cancel', error, {});
      }
    },
  };
}
