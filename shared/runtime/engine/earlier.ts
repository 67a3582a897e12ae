/**
 * Which of two submissions of one id came first. Two agents may have them in hand at the same moment, and the second one's may be the quicker, so whoever
 * accepts one looks at its neighbours in the stream while the record is on its way.
 */
import { type Accepted, readSubmission } from '../../core/intake.ts';
import type { Deps } from './deps.ts';

export interface Earlier {
  readonly receipt: number;
  readonly accepted: Accepted;
}

/**
 * The first of the submissions of this id that stand side by side up to `receipt` in the stream and are not over; undefined when that is `receipt` itself.
 * Never rejects: what cannot be read does not count, and then whoever creates the record first is the first.
 */
export async function earlierOf(deps: Deps, receipt: number, goalId: string): Promise<Earlier | undefined> {
  let earlier: Earlier | undefined;
  try {
    for (let sequence = receipt - 1; sequence > 0; sequence -= 1) {
      const found = await deps.submissions.at(sequence);
      // Most neighbours are told apart without being parsed.
      if (found === undefined || !Buffer.from(found.data).includes(goalId)) break;
      const accepted = readSubmission(found.data, sequence, deps.subjects.capabilityOfShorthand(found.subject));
      if (!accepted.ok || accepted.goalId !== goalId) break;
      earlier = { receipt: sequence, accepted };
    }
  } catch (error) {
    deps.events.engineError('intake', error, { goalId });
  }
  return earlier;
}
