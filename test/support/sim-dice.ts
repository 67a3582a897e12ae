/** What the simulation draws from: one generator, one order of draws, so that a seed says everything. */
import type { Random } from '../../shared/ports.ts';

/** Draws from a generator. */
export interface Dice {
  readonly random: Random;
  int(from: number, to: number): number;
  chance(share: number): boolean;
  pick<T>(items: readonly T[]): T;
}

export function diceOf(random: Random): Dice {
  const int = (from: number, to: number): number => from + Math.floor(random() * (to - from + 1));
  return {
    random,
    int,
    chance: (share) => random() < share,
    pick(items) {
      const item = items[int(0, items.length - 1)];
      if (item === undefined) throw new Error('expected something to pick from');
      return item;
    },
  };
}
