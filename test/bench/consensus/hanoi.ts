/** Towers of Hanoi as its players see it: where the discs stand, and which move is next. The checker has its own idea of the game. */

export const PEGS = ['A', 'B', 'C'] as const;
export type Peg = (typeof PEGS)[number];
export const GOAL: Peg = 'C';

export interface Move {
  readonly from: Peg;
  readonly to: Peg;
}

/** The peg of each disc, the largest first: `AAB`. */
export type Discs = string;

export function startOf(discs: number): Discs {
  return 'A'.repeat(discs);
}

export function movesOf(discs: number): number {
  return 2 ** discs - 1;
}

/** What a voter may answer: every pair of pegs, whether the rules allow it or not. */
export const MOVES: readonly string[] = PEGS.flatMap((from) =>
  PEGS.filter((to) => to !== from).map((to) => nameOf({ from, to })),
);

export function nameOf({ from, to }: Move): string {
  return `${from} to ${to}`;
}

/** The move of a name in `MOVES`. @throws Error for anything else. */
export function moveOf(name: string): Move {
  const [from, to] = [pegOf(name.at(0)), pegOf(name.at(-1))];
  if (from === undefined || to === undefined || !MOVES.includes(name))
    throw new Error(`expected one of ${MOVES.join(', ')}, got ${name}`);
  return { from, to };
}

function pegOf(letter: string | undefined): Peg | undefined {
  return PEGS.find((peg) => peg === letter);
}

/** The move that leads on the shortest way from wherever the discs stand to all of them on the goal; undefined when they are there. */
export function nextMove(discs: Discs, goal: Peg = GOAL): Move | undefined {
  let wanted: Peg = goal;
  let move: Move | undefined;
  // From the largest down: a disc that must move needs all smaller ones on the third peg first, so the last one found moves now.
  for (const letter of discs) {
    const peg = pegOf(letter);
    if (peg === undefined) throw new Error(`expected a peg of each disc, ${PEGS.join(', ')}, got ${discs}`);
    if (peg === wanted) continue;
    move = { from: peg, to: wanted };
    wanted = PEGS.find((third) => third !== peg && third !== wanted) ?? wanted;
  }
  return move;
}

/** The discs after a move; undefined when the rules forbid it. */
export function moved(discs: Discs, { from, to }: Move): Discs | undefined {
  // The smallest disc of a peg is its top.
  const disc = discs.lastIndexOf(from);
  if (disc < 0 || discs.lastIndexOf(to) > disc) return undefined;
  return discs.slice(0, disc) + to + discs.slice(disc + 1);
}
