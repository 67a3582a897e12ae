/**
 * The one place that builds a subject, a key, or the name of a stream, bucket or consumer. Every token that comes from outside has
 * passed `Id` before it gets here; `token` is the last line of defence (what a model says never becomes a subject).
 */
import { isId } from './ids.ts';

function token(value: string): string {
  if (!isId(value)) throw new Error(`expected an id as subject token, got ${JSON.stringify(value.slice(0, 80))}`);
  return value;
}

export type Subjects = ReturnType<typeof subjectsOf>;

/** Capabilities whose work items are not tasks of a user. */
export const PLAN_CAPABILITY = 'plan';

/** All names of one mesh. `mesh` must be an id. */
export function subjectsOf(mesh: string) {
  const m = token(mesh);
  const dagBucket = `${m}_dag`;
  const agentsBucket = `${m}_agents`;
  return {
    mesh: m,

    goalsStream: `${m}_goals`,
    goalsSubmit: `${m}.goals.submit`,
    goalsCancel: `${m}.goals.cancel`,
    tasksWildcard: `${m}.tasks.*`,
    taskShorthand: (capability: string) => `${m}.tasks.${token(capability)}`,
    /** `<m>.tasks.<capability>` -> the capability token, unchecked; undefined for another subject. */
    capabilityOfShorthand: (subject: string): string | undefined => {
      const prefix = `${m}.tasks.`;
      return subject.startsWith(prefix) ? subject.slice(prefix.length) : undefined;
    },
    intakeConsumer: 'intake',
    cancelConsumer: 'cancel',

    dagBucket,
    dagStream: `KV_${dagBucket}`,
    dagWildcard: `$KV.${dagBucket}.>`,
    readyWildcard: `${m}.ready.>`,
    goalKey: (goalId: string) => `goal.${token(goalId)}`,
    taskKey: (goalId: string, taskId: string) => `task.${token(goalId)}.${token(taskId)}`,
    tasksOfGoal: (goalId: string) => `task.${token(goalId)}.*`,
    roundKey: (roundId: string) => `round.${token(roundId)}`,
    /** All decisions: their keys do not name the goal. */
    roundKeys: 'round.*',
    ledgerKey: (goalId: string) => `ledger.${token(goalId)}`,
    figuresKey: (capability: string) => `figures.${token(capability)}`,
    revisionsOfGoal: (goalId: string) => `plan.${token(goalId)}.*`,
    /** Of the n-th revision of a goal's graph. */
    revisionKey: (goalId: string, n: number) => `plan.${token(goalId)}.${token(String(n))}`,
    dagSubject: (key: string) => `$KV.${dagBucket}.${key}`,
    /** The key of a record's subject; another subject as it is. */
    keyOfSubject: (subject: string): string => {
      const prefix = `$KV.${dagBucket}.`;
      return subject.startsWith(prefix) ? subject.slice(prefix.length) : subject;
    },
    readySubject: (capability: string, goalId: string, taskId: string) =>
      `${m}.ready.${token(capability)}.${token(goalId)}.${token(taskId)}`,
    /** No capability's: agents measure here what a stored message takes. */
    probe: `${m}.ready.$probe.-.-`,
    readyOfCapability: (capability: string) => `${m}.ready.${token(capability)}.>`,
    capabilityConsumer: (capability: string) => `cap-${token(capability)}`,
    /** `cap-<capability>` -> the capability; undefined for another consumer. */
    capabilityOfConsumer: (consumer: string): string | undefined =>
      consumer.startsWith('cap-') ? consumer.slice('cap-'.length) : undefined,

    blobsBucket: `${m}_blobs`,

    agentsBucket,
    agentsStream: `KV_${agentsBucket}`,
    agentKey: (agentId: string) => `agent.${token(agentId)}`,
    agentKeys: 'agent.*',

    message: (sender: string, receiver: string, messageType: string) =>
      `${m}.msg.${token(sender)}.${token(receiver)}.${token(messageType)}`,
    messagesTo: (receiver: string) => `${m}.msg.*.${token(receiver)}.*`,
    messagesWildcard: `${m}.msg.>`,
    inbox: (agentId: string) => `${m}.inbox.${token(agentId)}`,
    inboxWildcard: (agentId: string) => `${m}.inbox.${token(agentId)}.>`,

    vote: (capability: string) => `${m}.vote.${token(capability)}`,
    votesWildcard: `${m}.vote.>`,
    ballots: (roundId: string) => `${m}.ballot.${token(roundId)}`,
    ballot: (roundId: string, agentId: string) => `${m}.ballot.${token(roundId)}.${token(agentId)}`,
    ballotsOfRound: (roundId: string) => `${m}.ballot.${token(roundId)}.*`,
    ballotsWildcard: `${m}.ballot.>`,

    /** Beacons of the agent that looks at queues and streams for all: under its own last token. */
    monitor: (agentId: string) => `${m}.monitor.${token(agentId)}`,
    monitorWildcard: `${m}.monitor.*`,

    logStream: `${m}_log`,
    deadStream: `${m}_dead`,
    deadWildcard: `${m}.dead.>`,
    dead: (origin: DeadOrigin) => `${m}.dead.${origin}`,
  };
}

/** Does a subject lie below a pattern that ends in a wildcard? */
export function isBelow(pattern: string, subject: string): boolean {
  return subject.startsWith(pattern.slice(0, -1));
}

/** Where a dead letter came from: the last token of its subject. */
export const DEAD_ORIGINS = ['goals', 'tasks', 'cancel', 'ready', 'message', 'vote'] as const;
export type DeadOrigin = (typeof DEAD_ORIGINS)[number];
