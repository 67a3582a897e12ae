/** Voters of known accuracy are as accurate, and as alike, as they are said to be. */
import { expect, test } from 'vitest';
import { answer, type Panel, type Question, rightAnswer, rosterOf } from '../../bench/consensus/panel.ts';
import { holds, share } from '../../bench/consensus/statistics.ts';

const QUESTIONS = 20_000;

function panel(accuracies: readonly number[], correlation: number): Panel {
  const voters = accuracies.map((accuracy, index) => ({ agentId: `v${index + 1}`, accuracy }));
  return { capability: 'p', voters, correlation };
}

/** Of each question, who was right. */
function rights(of: Panel): boolean[][] {
  return Array.from({ length: QUESTIONS }, (_, index) => {
    const question: Question = { kind: 'divisible', number: index, by: 3 };
    const request = { roundId: `r${index}`, context: question };
    return of.voters.map((member) => answer(of, member, request, 'seed') === rightAnswer(question));
  });
}

test.each([0, 0.3])('with correlation %f each voter is right as often as its accuracy says', (correlation) => {
  const of = panel([0.9, 0.6, 0.4], correlation);
  const seen = rights(of);
  for (const [index, { accuracy }] of of.voters.entries()) {
    const right = seen.filter((row) => row[index] === true).length;
    expect(holds(share(right, QUESTIONS), accuracy), `${right} of ${QUESTIONS} for ${accuracy}`).toBe(true);
  }
});

test.each([0, 0.3])('two voters of one accuracy are both right as often as correlation %f says', (correlation) => {
  const p = 0.8;
  const both = rights(panel([p, p], correlation)).filter((row) => row.every(Boolean)).length;
  const expected = p ** 2 + correlation * p * (1 - p);
  expect(holds(share(both, QUESTIONS), expected), `${both} of ${QUESTIONS}, expected ${expected}`).toBe(true);
});

const HANOI: Question = { kind: 'hanoi', discs: 'AAB' };

test('a voter gives one answer in one round, whenever it is asked, and a new one in the next', () => {
  const of = panel(
    Array.from({ length: 40 }, () => 0.5),
    0,
  );
  const ask = (roundId: string, context: Question) =>
    of.voters.map((member) => answer(of, member, { roundId, context }, 'seed'));
  expect(ask('m1-1', HANOI)).toEqual(ask('m1-1', HANOI));
  expect(ask('m1-1', HANOI)).not.toEqual(ask('m1-2', HANOI));
  expect(new Set(ask('m1-1', HANOI)).size, 'the right one and one wrong one').toBe(2);
});

test('what all share belongs to the question: asking once more changes nothing', () => {
  const of = panel([0.5, 0.5, 0.5], 1);
  for (let number = 0; number < 50; number += 1) {
    const context: Question = { kind: 'divisible', number, by: 3 };
    const answers = ['r1', 'r2'].flatMap((roundId) =>
      of.voters.map((member) => answer(of, member, { roundId, context }, 'seed')),
    );
    expect(new Set(answers).size).toBe(1);
  }
});

test('what is no question gets no answer', () => {
  const of = panel([0.9], 0);
  const [member] = of.voters;
  expect(rosterOf(of)).toEqual(['v1']);
  expect(() => member && answer(of, member, { roundId: 'r', context: { kind: 'hanoi' } }, 'seed')).toThrow('question');
});
