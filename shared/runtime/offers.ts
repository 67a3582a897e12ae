/** What the live agents say that their work costs: learned from their presence now and then, so that accepting a goal reads nothing. */
import { type Predict, predictor } from '../core/prediction.ts';
import type { Registry } from '../ports.ts';
import type { CommunicationPrice } from '../protocol/prices.ts';

const LEARN_MS_MIN = 5_000;
/** Each agent reads the presence of all: the more there are, the less often each does. */
const LEARN_MS_PER_AGENT = 150;
/** The agents of a mesh often start together: while their number changes each looks this much more often. */
const HASTE = 5;
/** So many looks that find the same number end the haste. */
const SAME_MIN = 3;

export interface Offers {
  readonly predict: Predict;
  stop(): void;
}

export function learnOffers(registry: Registry, communication: CommunicationPrice): Offers {
  let predict = predictor([], communication);
  let known = 0;
  let same = 0;
  let timer: NodeJS.Timeout | undefined;
  let open = true;

  async function learn(): Promise<void> {
    try {
      const agents = await registry.list();
      predict = predictor(agents, communication);
      same = agents.length === known ? same + 1 : 0;
      known = agents.length;
    } catch {
      // What was known stays known.
    }
    const waitMs = Math.max(LEARN_MS_MIN, known * LEARN_MS_PER_AGENT);
    if (open) timer = setTimeout(() => void learn(), same < SAME_MIN ? waitMs / HASTE : waitMs).unref();
  }

  void learn();
  return {
    predict: (tasks, assign) => predict(tasks, assign),
    stop() {
      open = false;
      clearTimeout(timer);
    },
  };
}
