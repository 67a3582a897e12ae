/**
 * What the broker lets each kind of user do: allow-lists of subjects, smallest first. Whatever is not listed is denied, so an agent that is taken over can
 * neither write in another's name, nor read another's inbox, nor pull work outside of its manifest, nor create, change or delete a stream or a consumer.
 * No user has `allow_responses`: it would let a stranger aim an agent's reply at any subject, the broker's own API included.
 */
import { ANNOUNCE, HANDOVER } from './peer.ts';
import { AUCTION_CAPABILITY, type Subjects } from './subjects.ts';

/** Subjects that a user may publish to and subscribe to; all others are denied. */
export interface Permissions {
  readonly publish: readonly string[];
  readonly subscribe: readonly string[];
}

/** The part of a manifest that the broker enforces. */
export interface AgentBoundary {
  readonly agentId: string;
  readonly role: string;
  readonly capabilities: readonly string[];
  /** Agent ids and capabilities that it may send messages to. */
  readonly receivers: readonly string[];
}

/** The account's limits, which the object store's client asks for. */
const ACCOUNT_INFO = '$JS.API.INFO';
/** Where clients of the services protocol (ADR-32), and the nats command line, wait for answers. */
export const CLIENT_INBOX = '_INBOX';
const API = '$JS.API';

function streamsOf(subjects: Subjects): readonly string[] {
  const { goalsStream, dagStream, logStream, deadStream, agentsStream, blobsStream } = subjects;
  return [goalsStream, dagStream, logStream, deadStream, agentsStream, blobsStream];
}

/** Pull and acknowledge, of a consumer that is there already. */
function consume(stream: string, consumer: string): string[] {
  return [`${API}.CONSUMER.MSG.NEXT.${stream}.${consumer}`, `$JS.ACK.${stream}.${consumer}.>`];
}

function readBlobs(subjects: Subjects): string[] {
  return [`${API}.STREAM.MSG.GET.${subjects.blobsStream}`, ...directGet(subjects.blobsStream)];
}

function directGet(stream: string): string[] {
  return [`${API}.DIRECT.GET.${stream}`, `${API}.DIRECT.GET.${stream}.>`];
}

/** One agent. */
export function agentPermissions(subjects: Subjects, boundary: AgentBoundary): Permissions {
  const { agentId, role, capabilities, receivers } = boundary;
  const { goalsStream, dagStream, logStream, agentsStream } = subjects;
  const service = `conclave-${role}`;
  return {
    publish: [
      // Any live agent carries any goal forward: the records of the graph are shared, and fenced by compare-and-set.
      subjects.dagWildcard,
      subjects.readyWildcard,
      subjects.agentSubject(agentId),
      ...receivers.map((receiver) => subjects.messagesFromTo(agentId, receiver)),
      // Whatever an agent is for, it holds auctions, and gives work items to whom they are meant for. Both are words that their receiver checks: a bid
      // promises nothing, and an item is taken over only from the receiver's own queue.
      subjects.messagesFromOf(agentId, ANNOUNCE),
      subjects.messagesFromOf(agentId, HANDOVER),
      ...subjects.inboxes,
      subjects.repliesFrom(agentId),
      subjects.votesWildcard,
      subjects.ballotsOfVoter(agentId),
      subjects.deadWildcard,
      subjects.monitor(agentId),
      ...subjects.blobWildcards,
      `${CLIENT_INBOX}.>`,
      ACCOUNT_INFO,
      ...streamsOf(subjects).map((stream) => `${API}.STREAM.INFO.${stream}`),
      `${API}.STREAM.MSG.GET.${goalsStream}`,
      `${API}.STREAM.MSG.GET.${dagStream}`,
      `${API}.STREAM.MSG.GET.${agentsStream}`,
      ...directGet(dagStream),
      ...directGet(agentsStream),
      ...readBlobs(subjects),
      // Of the log an agent reads its own ballots, which it must repeat after a restart.
      `${API}.DIRECT.GET.${logStream}.${subjects.ballotsOfVoter(agentId)}`,
      // Queues are looked at by the sweep, and by whoever measures them for the others.
      `${API}.CONSUMER.LIST.${dagStream}`,
      `${API}.CONSUMER.INFO.${goalsStream}.*`,
      `${API}.CONSUMER.INFO.${dagStream}.*`,
      ...consume(goalsStream, subjects.intakeConsumer),
      ...consume(goalsStream, subjects.cancelConsumer),
      ...[...capabilities, AUCTION_CAPABILITY].flatMap((capability) =>
        consume(dagStream, subjects.capabilityConsumer(capability)),
      ),
    ],
    subscribe: [
      subjects.inboxWildcard(agentId),
      subjects.messagesTo(agentId),
      ...capabilities.map((capability) => subjects.messagesTo(capability)),
      ...capabilities.map((capability) => subjects.vote(capability)),
      // Ballots of the rounds that it holds. Which those are is not known before.
      subjects.ballotsWildcard,
      subjects.goalsCancel,
      subjects.monitorWildcard,
      ...['PING', 'INFO', 'STATS'].flatMap((verb) => [
        `$SRV.${verb}`,
        `$SRV.${verb}.${service}`,
        `$SRV.${verb}.${service}.${agentId}`,
      ]),
    ],
  };
}

/** Somebody who hands goals in and out, and nothing else: a service of the user's own. It waits for records by reading them. */
export function submitterPermissions(subjects: Subjects, name: string): Permissions {
  const { dagStream, goalsStream } = subjects;
  return {
    publish: [
      subjects.goalsSubmit,
      subjects.goalsCancel,
      subjects.tasksWildcard,
      // What became of a cancel: agents say what they still run.
      '$SRV.STATS',
      ...subjects.blobWildcards,
      ACCOUNT_INFO,
      `${API}.STREAM.INFO.${goalsStream}`,
      `${API}.STREAM.INFO.${dagStream}`,
      `${API}.STREAM.INFO.${subjects.blobsStream}`,
      `${API}.STREAM.MSG.GET.${dagStream}`,
      ...directGet(dagStream),
      ...readBlobs(subjects),
    ],
    subscribe: [subjects.inboxWildcard(name)],
  };
}

/** The person who operates the mesh with the command line: everything of a submitter, watches, the log, votes, dead letters. A trusted user. */
export function operatorPermissions(subjects: Subjects, name: string): Permissions {
  const { deadStream } = subjects;
  const own = submitterPermissions(subjects, name);
  return {
    publish: [
      ...own.publish,
      // Consumers are how watches, the log and lists of letters are read; see ARCHITECTURE.md for what a right to create them means.
      ...streamsOf(subjects).flatMap((stream) => [
        `${API}.STREAM.INFO.${stream}`,
        `${API}.STREAM.MSG.GET.${stream}`,
        ...directGet(stream),
        `${API}.CONSUMER.*.${stream}`,
        `${API}.CONSUMER.*.${stream}.>`,
        `${API}.CONSUMER.MSG.NEXT.${stream}.>`,
        `$JS.ACK.${stream}.>`,
      ]),
      `${API}.STREAM.NAMES`,
      `${API}.STREAM.LIST`,
      // Dead letters that were put back are taken from the list; work items among them go to their queue again.
      `${API}.STREAM.MSG.DELETE.${deadStream}`,
      subjects.readyWildcard,
      subjects.votesWildcard,
      subjects.dagSubject('round.*'),
      '$SRV.>',
    ],
    subscribe: [...own.subscribe, subjects.ballotsWildcard, `${CLIENT_INBOX}.>`],
  };
}

/** Whoever makes streams and consumers, and copies of them: `conclave admin`. Used when a mesh is set up or changed, and by no process that runs all the time. */
export function adminPermissions(subjects: Subjects, name: string): Permissions {
  const own = operatorPermissions(subjects, name);
  return { publish: [...own.publish, `${API}.>`, '$JS.SNAPSHOT.>'], subscribe: own.subscribe };
}
