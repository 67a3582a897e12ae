/** Whether a kill took something from a goal, and when the goal went on: told from records that were written by hand. */
import { describe, expect, it } from 'vitest';
import { effectOf } from '../bench/patterns/recovery.ts';
import { GOALS, works } from '../bench/patterns/setting.ts';
import { EACH, STRIKES, strikesOf } from '../bench/patterns/strikes.ts';
import type { StreamMessage } from '../support/foreign.ts';

const MESH = 'm';
const AT = 1_000;

function record(
  storedAt: number,
  taskId: string,
  status: string,
  agentId?: string,
  capability = 'code',
): StreamMessage {
  const task = {
    goalId: 'goal-1',
    taskId,
    capability,
    description: '',
    status,
    ...(agentId === undefined ? {} : { agentId }),
    attempt: 1,
    dependencies: [],
    cost: { usd: 0, inputTokens: 0, outputTokens: 0, messages: 0 },
    correlationId: 'goal-1',
    createdAt: '2026-01-01T00:00:00.000Z',
  };
  const subject = `$KV.${MESH}_dag.task.goal-1.${taskId}`;
  return { subject, sequence: storedAt, storedAt, data: new TextEncoder().encode(JSON.stringify(task)) };
}

const killed = { kind: 'agent' as const, goalId: 'goal-1', at: AT, agentId: 'ann', taskId: 't1' };
const held = record(900, 't1', 'in_progress', 'ann');

describe('a kill', () => {
  it('hit when somebody else had to take the task over, and not before', () => {
    const others = record(1_200, 't2', 'in_progress', 'bob');
    const taken = record(6_100, 't1', 'in_progress', 'bob');
    expect(effectOf(killed, [held, others, taken], MESH)).toEqual({ hit: true, recoveryMs: 5_100 });
    expect(effectOf(killed, [held, others], MESH)).toEqual({ hit: true });
  });

  it('hit when the work was given up and announced anew: it goes on with the work, not with the auction', () => {
    const given = record(5_900, 't1', 'cancelled');
    const auction = record(5_950, 'a2', 'in_progress', 'bob', 'auction');
    const again = record(6_500, 't2', 'in_progress', 'eve');
    expect(effectOf(killed, [held, given, auction, again], MESH)).toEqual({ hit: true, recoveryMs: 5_500 });
  });

  it('hit nothing where the result was on its way, the task was over, or another had it', () => {
    const none = { hit: false };
    expect(effectOf(killed, [held, record(1_001, 't1', 'completed', 'ann')], MESH)).toEqual(none);
    expect(effectOf(killed, [record(900, 't1', 'completed', 'ann')], MESH)).toEqual(none);
    expect(effectOf(killed, [record(900, 't1', 'in_progress', 'bob')], MESH)).toEqual(none);
    expect(effectOf({ kind: 'planner', goalId: 'goal-1', at: AT, agentId: 'bob' }, [held], MESH)).toEqual(none);
  });

  it('hit when a planner of a goal that nobody plans was holding its auction', () => {
    const auction = record(900, 'a1', 'in_progress', 'bob', 'auction');
    const again = record(6_000, 'a1', 'in_progress', 'eve', 'auction');
    const planner = { kind: 'planner' as const, goalId: 'goal-1', at: AT, agentId: 'bob' };
    expect(effectOf(planner, [held, auction, again], MESH)).toEqual({ hit: true, recoveryMs: 5_000 });
  });

  it('of the broker hit when records of this very goal follow', () => {
    const broker = { kind: 'broker' as const, goalId: 'goal-1', at: AT };
    const other = { ...record(2_000, 't1', 'ready'), subject: `$KV.${MESH}_dag.task.goal-10.t1` };
    expect(effectOf(broker, [held, other], MESH)).toEqual({ hit: false });
    expect(effectOf(broker, [held, other, record(2_500, 't1', 'ready')], MESH)).toEqual({
      hit: true,
      recoveryMs: 1_500,
    });
  });
});

describe('the plan of a run', () => {
  it('strikes goals of its own with each kind, the same for the same seed', () => {
    expect(strikesOf(7)).toEqual(strikesOf(7));
    expect(strikesOf(7)).not.toEqual(strikesOf(8));
    const kinds = [...strikesOf(7).values()].map(({ kind }) => kind);
    expect(kinds).toEqual(STRIKES.flatMap((kind) => Array.from({ length: EACH }, () => kind)));
    expect([...strikesOf(7).keys()].every((index) => index >= 0 && index < GOALS)).toBe(true);
  });

  it('has ten different texts', () => {
    expect(new Set(works().map(({ input }) => input.text)).size).toBe(GOALS);
  });
});
