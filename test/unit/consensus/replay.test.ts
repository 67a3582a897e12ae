/** The checker of the Towers of Hanoi: a right run passes, and one tampered record is enough to fail it. */
import { expect, test } from 'vitest';
import { Replay, type Report } from '../../bench/consensus/checker/replay.ts';
import { movesOf, moved, nameOf, nextMove, startOf } from '../../bench/consensus/hanoi.ts';

const DISCS = 5;
const K = 2;
const VOTERS = ['v1', 'v2', 'v3', 'v4', 'v5'];
const TIME = '2030-01-01T00:00:00.000Z';

interface Cast {
  agent: string;
  position: string;
}

interface Decision {
  roundId: string;
  ballots: Cast[];
  consensus: boolean;
  position?: string;
  votes?: number;
  k?: number;
}

interface Run {
  readonly decisions: Decision[];
  /** As they stand in the log: round, token of the subject, what the body says. */
  readonly sent: { roundId: string; token: string; ballot: Cast }[];
}

/** Every move decided by two right ballots; every fourth after a wrong one, every tenth after a round without a decision. */
function rightRun(): Run {
  const run: Run = { decisions: [], sent: [] };
  const hold = (roundId: string, ballots: Cast[], position?: string) => {
    for (const ballot of ballots) run.sent.push({ roundId, token: ballot.agent, ballot: { ...ballot } });
    const votes = ballots.filter((ballot) => ballot.position === position).length;
    run.decisions.push({
      roundId,
      ballots,
      consensus: position !== undefined,
      ...(position === undefined ? {} : { position, votes }),
    });
  };
  let discs = startOf(DISCS);
  for (let move = 1; move <= movesOf(DISCS); move += 1) {
    const next = nextMove(discs);
    if (next === undefined) throw new Error('solved too soon');
    const right = nameOf(next);
    const wrong = right === 'A to B' ? 'B to A' : 'A to B';
    const attempts = move % 10 === 0 ? 2 : 1;
    if (attempts === 2)
      hold(`m${move}-1`, [
        { agent: 'v1', position: right },
        { agent: 'v2', position: wrong },
      ]);
    const rights = ['v1', 'v2', 'v3'].map((agent) => ({ agent, position: right }));
    hold(
      `m${move}-${attempts}`,
      move % 4 === 0 ? [{ agent: 'v4', position: wrong }, ...rights] : rights.slice(0, 2),
      right,
    );
    discs = moved(discs, next) ?? discs;
  }
  return run;
}

const bytes = (value: unknown) => new TextEncoder().encode(JSON.stringify(value));

function check({ decisions, sent }: Run): Report {
  const replay = new Replay({ discs: DISCS, k: K, voters: VOTERS });
  // The log may hold ballots after the decision that counted them: here all of them.
  for (const { roundId, ballots, k = K, ...outcome } of decisions)
    replay.decision(
      roundId,
      bytes({
        roundId,
        proposal: 'which move is next?',
        options: ['A to B'],
        rule: { method: 'ahead-by-k', k },
        roster: VOTERS,
        ballots: ballots.map((ballot) => ({ ...ballot, roundId, timestamp: TIME })),
        ...outcome,
        correlationId: roundId,
        openedAt: TIME,
        decidedAt: TIME,
      }),
    );
  for (const { roundId, token, ballot } of sent)
    replay.ballot(roundId, token, bytes({ ...ballot, roundId, timestamp: TIME }));
  return replay.finish();
}

function at(run: Run, index: number): Decision {
  const decision = run.decisions[index];
  if (decision === undefined) throw new Error(`no decision ${index}`);
  return decision;
}

test('a right run has no violation, no wrong move, and its counts', () => {
  const report = check(rightRun());
  expect(report).toMatchObject({ violations: [], violationsFound: 0, wrong: [], solved: true });
  expect(report).toMatchObject({
    moves: 31,
    rounds: 34,
    repeated: 3,
    wrongBallots: 7,
    outvoted: 7,
    ballots: 24 * 2 + 7 * 4,
  });
  expect(report.firstWrongAt).toEqual([4, 8, 12, 16, 20, 24, 28]);
});

test('one wrong move that all voted for is found, whether the rules allow it or not', () => {
  for (const [instead, legal] of [
    ['A to B', true],
    ['B to A', false],
  ] as const) {
    const run = rightRun();
    const first = at(run, 0);
    first.position = instead;
    for (const ballot of first.ballots) ballot.position = instead;
    for (const { roundId, ballot } of run.sent) if (roundId === first.roundId) ballot.position = instead;
    const report = check(run);
    expect(report.violations).toEqual([]);
    expect(report.wrong).toEqual([{ move: 1, decided: instead, right: 'A to C', legal }]);
  }
});

const TAMPERED: Readonly<Record<string, (run: Run) => unknown>> = {
  'a decision says another option than its ballots': (run) => (at(run, 6).position = 'B to A'),
  'a decision says more votes than it has': (run) => (at(run, 6).votes = 3),
  'a decision without the lead': (run) => at(run, 6).ballots.pop(),
  'a round with the lead is stored as undecided': (run) => (at(run, 6).consensus = false),
  'a ballot that nobody sent': (run) => run.sent.splice(5, 1),
  'a ballot that says something else than was sent': (run) => {
    const [ballot] = at(run, 6).ballots;
    if (ballot !== undefined) ballot.position = ballot.position === 'A to B' ? 'B to A' : 'A to B';
  },
  'a voter that counts twice': (run) => at(run, 6).ballots.push({ agent: 'v1', position: at(run, 6).position ?? '' }),
  'a voter that contradicts itself': (run) =>
    run.sent.push({ roundId: 'm6-1', token: 'v1', ballot: { agent: 'v1', position: 'nowhere' } }),
  'a ballot under the subject of another': (run) => {
    const [first] = run.sent;
    if (first !== undefined) first.token = 'v2';
  },
  'a voter that may not vote': (run) => {
    at(run, 6).ballots.push({ agent: 'v9', position: at(run, 6).position ?? '' });
    run.sent.push({
      roundId: at(run, 6).roundId,
      token: 'v9',
      ballot: { agent: 'v9', position: at(run, 6).position ?? '' },
    });
  },
  'another lead than was asked for': (run) => (at(run, 6).k = 1),
  'a move is missing': (run) => run.decisions.splice(6, 1),
  'the last move is missing': (run) => run.decisions.pop(),
  'a move is decided twice': (run) => run.decisions.splice(6, 0, at(run, 6)),
  'two moves in the wrong order': (run) => run.decisions.splice(6, 2, at(run, 7), at(run, 6)),
  'an attempt is missing': (run) => run.decisions.splice(9, 1),
};

test.each(Object.entries(TAMPERED))('%s is a violation', (_, tamper) => {
  const run = rightRun();
  tamper(run);
  expect(check(run).violationsFound).toBeGreaterThan(0);
});

test('what is no record at all is a violation', () => {
  const replay = new Replay({ discs: DISCS, k: K, voters: VOTERS });
  replay.decision('m1-1', bytes({ roundId: 'm1-1' }));
  replay.ballot('m1-1', 'v1', bytes({}));
  expect(replay.finish().violationsFound).toBe(3);
});
