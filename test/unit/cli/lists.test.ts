import { describe, expect, it } from 'vitest';
import { agentTable } from '../../../services/cli/render/agents.ts';
import { deadTable } from '../../../services/cli/render/dead.ts';
import { screenOf } from '../../../services/cli/render/screen.ts';
import { roundPage } from '../../../services/cli/render/vote.ts';
import { CREATED_AT, CREATED_MS, presence, roundRecord } from './records.ts';

const wide = screenOf(Number.POSITIVE_INFINITY, false);

describe('the list of agents', () => {
  it('says what each can do and how busy it is', () => {
    const lines = agentTable(
      wide,
      [presence({ weight: 2 }), presence({ agentId: 'b', capabilities: ['plan', 'code'] })],
      CREATED_MS + 61_000,
    ).split('\n');
    expect(lines[1]).toMatch(/^researcher-1 +researcher +research +1\/4 +2 +1 m 1 s +0\.1\.0$/);
    expect(lines[2]).toMatch(/^b +researcher +plan, code +1\/4 +1 m 1 s +0\.1\.0$/);
  });
});

describe('the list of dead letters', () => {
  it('says where each came from, why, and what it cost', () => {
    const letter = {
      origin: 'ready' as const,
      subject: 'mesh.ready.code.g.t',
      reason: { code: 'attempts_exhausted', message: 'three failures\u001b[2J' },
      payload: '',
      goalId: 'g',
      taskId: 't',
      attempts: 3,
      spent: { usd: 0.5, inputTokens: 1, outputTokens: 1, messages: 0 },
      at: CREATED_AT,
    };
    expect(deadTable(wide, [{ sequence: 12, letter }], Date.parse(CREATED_AT) + 90_000).split('\n')[1]).toMatch(
      /^12 +1 m 30 s +ready +g +t +3 +\$0\.5000 +attempts_exhausted +three failures\\u001b\[2J$/,
    );
  });
});

describe('the decision of a vote', () => {
  it('shows the tally, the ballots, who abstained and who is missing, and why it ended', () => {
    const page = roundPage(wide, roundRecord());
    expect(page).toContain('round round-1  majority  quorum 3 of 4 voters  12 ms\nShip it?');
    expect(page).toMatch(/^approve +2 +█{24}$/m);
    expect(page).toMatch(/^reject +0$/m);
    expect(page).toMatch(/^r1 +approve +0\.90 +Tests pass$/m);
    expect(page).toContain('abstained: r3');
    expect(page).toContain('no ballot before the deadline: r4');
    expect(page).toContain('consensus: approve with 2 votes (3 of 4 voters answered, the quorum is 3)');
  });

  it('does not say of voters that they missed the deadline when nothing they could say would have changed the outcome', () => {
    const early = roundPage(wide, roundRecord({ rule: { method: 'ahead-by-k', k: 2 } }));
    expect(early).toContain('not waited for, the outcome was settled: r4');
    const never = roundRecord({ rule: { method: 'majority', quorum: 9 }, ballots: [] });
    expect(roundPage(wide, never)).toContain('not waited for, the outcome was settled: r1, r2, r3, r4');
  });

  it('shows scores and weights where they decide', () => {
    const rule = { method: 'weighted', weights: { r1: 2.5 }, quorum: 2 };
    const page = roundPage(wide, roundRecord({ rule, scores: { approve: 3.5 } }));
    expect(page).toMatch(/^approve +2 +3\.5 +█{24}$/m);
    expect(page).toMatch(/^reject +0 +0$/m);
    expect(page).toMatch(/^r1 +approve +2\.5 +0\.90 +Tests pass$/m);
    expect(page).toMatch(/^r2 +approve +1$/m);
  });

  it.each([
    ['insufficient_votes', 'fewer ballots than the quorum asks for'],
    ['no_majority', 'no option reached what the rule asks for'],
    ['tie', 'the leading options are exactly equal'],
  ])('says why there is none: %s', (reason, words) => {
    const { position: _position, votes: _votes, ...undecided } = roundRecord({ consensus: false, reason });
    const page = roundPage(wide, undecided);
    expect(page).toContain(`no consensus: ${reason}, ${words}`);
  });

  it('does not take names of object members for weights or scores', () => {
    const page = roundPage(
      wide,
      roundRecord({
        rule: { method: 'weighted', weights: {} },
        options: ['constructor', 'toString'],
        ballots: [{ roundId: 'round-1', agent: 'constructor', position: 'toString', timestamp: CREATED_AT }],
        scores: { toString: 1 },
      }),
    );
    expect(page).toMatch(/^constructor +0 +0$/m);
    expect(page).toMatch(/^constructor +toString +1$/m);
  });
});
