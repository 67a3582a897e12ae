/** The game, against breadth-first search over everything that the rules allow. */
import { expect, test } from 'vitest';
import { GOAL, moved, moveOf, MOVES, movesOf, nextMove, PEGS, startOf } from '../../bench/consensus/hanoi.ts';

/** The rules once more, on stacks: the letters of `discs` are the pegs, the largest disc first. */
function legalMoves(discs: string): string[] {
  const stacks = PEGS.map((peg) => [...discs.matchAll(new RegExp(peg, 'g'))].map(({ index }) => index));
  const found: string[] = [];
  for (const from of stacks) {
    for (const to of stacks) {
      const disc = from.at(-1);
      if (disc === undefined || from === to || (to.at(-1) ?? -1) > disc) continue;
      found.push(discs.slice(0, disc) + (PEGS[stacks.indexOf(to)] ?? '') + discs.slice(disc + 1));
    }
  }
  return found;
}

function distances(discs: number): Map<string, number> {
  const found = new Map([[GOAL.repeat(discs), 0]]);
  // A map hands out what is added while it is walked.
  for (const [state, distance] of found)
    for (const next of legalMoves(state)) if (!found.has(next)) found.set(next, distance + 1);
  return found;
}

test('from wherever the discs stand, the next move comes one closer to the goal', () => {
  const found = distances(6);
  expect(found.size).toBe(3 ** 6);
  for (const [state, distance] of found) {
    const move = nextMove(state);
    const next = move === undefined ? undefined : moved(state, move);
    expect(found.get(next ?? ''), state).toBe(distance === 0 ? undefined : distance - 1);
  }
  expect(found.get(startOf(6))).toBe(movesOf(6));
});

test('the rules allow what they allow, and nothing else', () => {
  for (const state of distances(4).keys()) {
    const allowed = MOVES.map((name) => moved(state, moveOf(name))).filter((next) => next !== undefined);
    expect(allowed.sort()).toEqual(legalMoves(state).sort());
  }
});

test('a move has one name', () => {
  expect(MOVES).toHaveLength(6);
  for (const name of ['A to A', 'A to D', 'a to b', 'A to B ', 'A -> B', ''])
    expect(() => moveOf(name)).toThrow('A to B');
});
