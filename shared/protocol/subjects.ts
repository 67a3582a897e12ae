/**
 * The one place that builds a subject, a key, or the name of a stream, bucket or consumer. Every token that comes from outside has
 * passed `Id` before it gets here; `token` is the last line of defence (what a model says never becomes a subject).
 */
import { isId } from './ids.ts';

function token(value: string): string {
  if (!isId(value)) throw new Error(`expected an id as subject token, got ${JSON.stringify(value.slice(0, 80))}`);
  return value;
}

/** As the object store names its metadata: base64 for URLs, padded. `bytes`: a character for each. */
function base64url(bytes: string): string {
  return btoa(bytes).replaceAll('+', '-').replaceAll('/', '_');
}

const LATIN_1 = /^[\u0000-\u00ff]*$/;

/** In UTF-8; the JavaScript client encodes names up to U+00FF in Latin-1, and takes no others. */
function objectNames(name: string): readonly string[] {
  const utf8 = base64url(String.fromCharCode(...new TextEncoder().encode(name)));
  const latin1 = LATIN_1.test(name) ? base64url(name) : utf8;
  return latin1 === utf8 ? [utf8] : [utf8, latin1];
}

export type Subjects = ReturnType<typeof subjectsOf>;

/** Capabilities whose work items are not tasks of a user. */
export const PLAN_CAPABILITY = 'plan';
/** Every agent holds auctions; none says so in its presence. */
export const AUCTION_CAPABILITY = 'auction';
/** Agents that judge what others made. */
export const REVIEW_CAPABILITY = 'review';

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
    /**
     * The sequence of the work item that is acknowledged at `handle`; undefined when that is no item of this capability's queue. Another agent named the
     * handle: whatever else it could be, an API of the broker or another queue, nothing is ever published there.
     */
    sequenceOfHandle: (handle: string, capability: string): number | undefined =>
      sequenceIn(handle, `KV_${dagBucket}`, `cap-${token(capability)}`),

    blobsBucket: `${m}_blobs`,
    blobsStream: `OBJ_${m}_blobs`,
    blobWildcards: [`$O.${m}_blobs.C.>`, `$O.${m}_blobs.M.>`],
    /** Under which an object may have been put, depending on the client that did. */
    blobMetas: (name: string) => objectNames(name).map((encoded) => `$O.${m}_blobs.M.${encoded}`),
    blobChunks: (nuid: string) => `$O.${m}_blobs.C.${token(nuid)}`,

    agentsBucket,
    agentsStream: `KV_${agentsBucket}`,
    agentKey: (agentId: string) => `agent.${token(agentId)}`,
    agentSubject: (agentId: string) => `$KV.${agentsBucket}.agent.${token(agentId)}`,
    agentSubjects: `$KV.${agentsBucket}.agent.*`,

    message: (sender: string, receiver: string, messageType: string) =>
      `${m}.msg.${token(sender)}.${token(receiver)}.${token(messageType)}`,
    messagesFromTo: (sender: string, receiver: string) => `${m}.msg.${token(sender)}.${token(receiver)}.*`,
    /** Of one type, to whomever. */
    messagesFromOf: (sender: string, messageType: string) => `${m}.msg.${token(sender)}.*.${token(messageType)}`,
    messagesTo: (receiver: string) => `${m}.msg.*.${token(receiver)}.*`,
    messagesWildcard: `${m}.msg.>`,
    inbox: (agentId: string) => `${m}.inbox.${token(agentId)}`,
    /** Where `agentId` hears the reply of `from` to one of its messages: the broker lets nobody else publish there. */
    reply: (agentId: string, from: string, id: string) =>
      `${m}.inbox.${token(agentId)}.reply.${token(from)}.${token(id)}`,
    repliesTo: (agentId: string) => `${m}.inbox.${token(agentId)}.reply.*.*`,
    repliesWildcard: `${m}.inbox.*.reply.*.*`,
    repliesFrom: (from: string) => `${m}.inbox.*.reply.${token(from)}.*`,
    /** What is said into another's inbox, but for replies, which have a deeper subject that only their sender may use. */
    inboxes: [`${m}.inbox.*.*`, `${m}.inbox.*.*.*`],
    inboxWildcard: (agentId: string) => `${m}.inbox.${token(agentId)}.>`,

    vote: (capability: string) => `${m}.vote.${token(capability)}`,
    votesWildcard: `${m}.vote.>`,
    ballots: (roundId: string) => `${m}.ballot.${token(roundId)}`,
    ballot: (roundId: string, agentId: string) => `${m}.ballot.${token(roundId)}.${token(agentId)}`,
    ballotsOfRound: (roundId: string) => `${m}.ballot.${token(roundId)}.*`,
    ballotsOfRounds: `${m}.ballot.*.*`,
    ballotsOfVoter: (agentId: string) => `${m}.ballot.*.${token(agentId)}`,
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

/** `$JS.ACK.<stream>.<consumer>.<deliveries>.<sequence>...`, all further tokens numbers, or the same with domain and account before the stream. */
function sequenceIn(handle: string, stream: string, consumer: string): number | undefined {
  const tokens = handle.split('.');
  const at = tokens.length === 9 ? 2 : tokens.length === 11 || tokens.length === 12 ? 4 : -1;
  if (at < 0 || tokens[0] !== '$JS' || tokens[1] !== 'ACK') return undefined;
  if (tokens[at] !== stream || tokens[at + 1] !== consumer) return undefined;
  const numbers = tokens.slice(at + 2, at + 7);
  const before = tokens.slice(2, at);
  const rest = tokens.slice(at + 7);
  if (!numbers.every((each) => /^\d{1,20}$/.test(each)) || ![...before, ...rest].every(isId)) return undefined;
  return Number(numbers[1]);
}

/** Where a dead letter came from: the last token of its subject. */
export const DEAD_ORIGINS = ['goals', 'tasks', 'cancel', 'ready', 'message', 'vote'] as const;
export type DeadOrigin = (typeof DEAD_ORIGINS)[number];
