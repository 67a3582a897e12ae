/** Which goal is struck by what, and when: from the seed alone, so that every pattern meets the same. */
import { seededRandom } from '../../support/memory-bus.ts';
import { GOALS } from './setting.ts';

/** `agent`: whoever works on the goal. `planner`: whoever plans it, or, where nobody does, a planner. `broker`: the only one. */
export const STRIKES = ['agent', 'planner', 'broker'] as const;
export type StrikeKind = (typeof STRIKES)[number];

export interface Strike {
  readonly kind: StrikeKind;
  /** The moment, as a share of the time that what is struck takes without faults. */
  readonly share: number;
}

/** Goals for each kind; the others are left alone, in the same mesh. */
export const EACH = 2;
const SHARE_MIN = 0.05;
const SHARE_MAX = 0.75;

/** By the index of the goal. */
export function strikesOf(seed: number): ReadonlyMap<number, Strike> {
  const random = seededRandom(seed);
  const goals = Array.from({ length: GOALS }, (_, index) => ({ index, lot: random() }))
    .toSorted((one, other) => one.lot - other.lot)
    .map(({ index }) => index);
  const kinds = STRIKES.flatMap((kind) => Array.from({ length: EACH }, () => kind));
  return new Map(
    kinds.map((kind, at) => [goals[at] ?? 0, { kind, share: SHARE_MIN + random() * (SHARE_MAX - SHARE_MIN) }]),
  );
}
