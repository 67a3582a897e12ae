/** What the live agents say that their work costs: learned from their presence now and then, so that accepting a goal reads nothing. */
import { type Predict, predictor } from '../core/prediction.ts';
import type { Registry } from '../ports.ts';
import type { CommunicationPrice } from '../protocol/prices.ts';

/** The agents of a mesh often start together: what one learns first is little. */
const LEARN_FIRST_MS = 1_000;
const LEARN_MS_MIN = 5_000;
/** Each agent reads the presence of all: the more there are, the less often each does. */
const LEARN_MS_PER_AGENT = 150;

export interface Offers {
  readonly predict: Predict;
  stop(): void;
}

export function learnOffers(registry: Registry, communication: CommunicationPrice): Offers {
  let predict = predictor([], communication);
  let timer: NodeJS.Timeout | undefined;
  let open = true;

  async function learn(first: boolean): Promise<void> {
    let waitMs = LEARN_MS_MIN;
    try {
      const agents = await registry.list();
      predict = predictor(agents, communication);
      waitMs = Math.max(LEARN_MS_MIN, agents.length * LEARN_MS_PER_AGENT);
    } catch {
      // What was known stays known.
    }
    if (open) timer = setTimeout(() => void learn(false), first ? LEARN_FIRST_MS : waitMs).unref();
  }

  void learn(true);
  return {
    predict: (tasks, assign) => predict(tasks, assign),
    stop() {
      open = false;
      clearTimeout(timer);
    },
  };
}
