/** Records as agents write them, for tests of what reads them. */
import { Presence } from '../../../shared/protocol/agent.ts';
import { GoalRecord } from '../../../shared/protocol/goal.ts';
import { TaskRecord } from '../../../shared/protocol/task.ts';
import { RoundRecord } from '../../../shared/protocol/vote.ts';

/** The moment at which these records play. */
export const CREATED_AT = '2030-01-31T12:00:00.000Z';
export const CREATED_MS = Date.parse(CREATED_AT);

export function at(afterMs: number): string {
  return new Date(CREATED_MS + afterMs).toISOString();
}

type Fields = Readonly<Record<string, unknown>>;

/** A running goal; `fields` replace or add. Parsed, so that a test cannot be about a record that the protocol does not have. */
export function goalRecord(fields: Fields = {}): GoalRecord {
  return GoalRecord.parse({
    goalId: 'brief-42',
    description: 'Brief this text',
    pattern: 'orchestrator',
    status: 'running',
    tasks: { total: 3, completed: 1, failed: 0, cancelled: 0 },
    spent: { usd: 0.0012, tokens: 1_234, messages: 5, wallMs: 4_200 },
    cost: {
      compute: { 'coder-1': 0.0008, 'researcher-1': 0.0003 },
      communication: 0.0001,
      total: 0.0012,
      predicted: 0.001,
    },
    correlationId: 'correlation-42',
    createdAt: CREATED_AT,
    onTaskFailure: 'fail',
    deadline: at(86_400_000),
    receipt: 1,
    acceptedBy: 'planner-1',
    sinks: [],
    ...fields,
  });
}

export function taskRecord(fields: Fields = {}): TaskRecord {
  return TaskRecord.parse({
    goalId: 'brief-42',
    taskId: 'a',
    capability: 'research',
    description: 'Find the sources',
    status: 'pending',
    attempt: 0,
    dependencies: [],
    dependents: [],
    cost: { usd: 0, inputTokens: 0, outputTokens: 0, messages: 0 },
    correlationId: 'correlation-42',
    createdAt: CREATED_AT,
    maxAttempts: 3,
    timeoutMs: 60_000,
    deadline: at(86_400_000),
    ...fields,
  });
}

export function presence(fields: Fields = {}): Presence {
  return Presence.parse({
    agentId: 'researcher-1',
    role: 'researcher',
    capabilities: ['research'],
    startedAt: CREATED_AT,
    version: '0.1.0',
    load: { running: 1, slots: 4 },
    ...fields,
  });
}

export function roundRecord(fields: Fields = {}): RoundRecord {
  const ballot = { roundId: 'round-1', timestamp: at(10) };
  return RoundRecord.parse({
    roundId: 'round-1',
    proposal: 'Ship it?',
    options: ['approve', 'reject'],
    rule: { method: 'majority' },
    roster: ['r1', 'r2', 'r3', 'r4'],
    ballots: [
      { ...ballot, agent: 'r1', position: 'approve', confidence: 0.9, rationale: 'Tests pass' },
      { ...ballot, agent: 'r2', position: 'approve' },
      { ...ballot, agent: 'r3', position: 'abstain' },
    ],
    consensus: true,
    position: 'approve',
    votes: 2,
    correlationId: 'round-1',
    openedAt: CREATED_AT,
    decidedAt: at(12),
    ...fields,
  });
}
