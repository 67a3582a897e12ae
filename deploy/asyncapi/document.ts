/** The wire protocol as an AsyncAPI 3 document: every channel from `subjects.ts`, every payload from the zod schemas. */
import { ANNOUNCE, HANDOVER, QUESTION } from '../../shared/protocol/peer.ts';
import { subjectsOf } from '../../shared/protocol/subjects.ts';
import { type Json, type MessageName, schemaComponents } from './schemas.ts';

/** Version of the protocol, not of the package. */
const PROTOCOL_VERSION = '1.0.0';

const PARAMETERS = {
  mesh: 'Name of the mesh (MESH, default "mesh").',
  capability: 'What an agent can do, as in plan, research, code, review, echo.',
  goalId: 'Id of the goal: chosen by the submitter, or "g-" and the sequence of its receipt.',
  taskId: 'Id of the task within its goal.',
  agentId: 'Id of the agent.',
  sender: 'agentId of the sender; the broker lets nobody publish under the token of another.',
  receiver: 'agentId or capability of the receiver.',
  messageType: 'What kind of message it is.',
  messageId: 'Id of the message that is answered.',
  roundId: 'Id of the vote round.',
  revision: 'Number of the revision, from 1.',
  origin: 'Where the letter came from.',
} as const;
type Parameter = keyof typeof PARAMETERS;

interface Channel {
  /** With parameters in braces. */
  readonly address: string;
  readonly message: MessageName;
  /** From the mesh's point of view: `receive` what others publish, `send` what agents publish. */
  readonly actions: readonly ('send' | 'receive')[];
  readonly title: string;
  readonly description: string;
  /** Channel on which the receivers answer. */
  readonly reply?: string;
}

/** `__name__`, an id that subjects accept, becomes `{name}` once the subject is built. */
function hole(name: Parameter): string {
  return `__${name}__`;
}

function address(subject: string): string {
  return subject.replace(/__([A-Za-z]+)__/g, '{$1}');
}

function channels(): Readonly<Record<string, Channel>> {
  const subjects = subjectsOf(hole('mesh'));
  const goalKey = subjects.goalKey(hole('goalId'));
  const revisionKey = `${subjects.revisionKey(hole('goalId'), 1).slice(0, -1)}${hole('revision')}`;
  const said = (messageType: string): string =>
    address(subjects.message(hole('sender'), hole('receiver'), messageType));
  const answered = address(subjects.reply(hole('receiver'), hole('sender'), hole('messageId')));
  const deadPrefix = subjects.deadWildcard.replace(/>$/, '');
  return {
    goalsSubmit: {
      address: address(subjects.goalsSubmit),
      message: 'GoalSubmission',
      actions: ['receive'],
      title: 'Submit a goal',
      description:
        'Captured by a work-queue stream: publish plainly, as a request, or by JetStream. The PubAck is the receipt, from which the goal reaches a terminal state.',
    },
    taskShorthand: {
      address: address(subjects.taskShorthand(hole('capability'))),
      message: 'TaskShorthand',
      actions: ['receive'],
      title: 'Submit a goal of one task',
      description: 'The task has the taskId "task". Same stream, receipt and rules as a goal.',
    },
    goalsCancel: {
      address: address(subjects.goalsCancel),
      message: 'CancelRequest',
      actions: ['receive'],
      title: 'Cancel a goal',
      description: 'No new task starts, running model calls are aborted, late results are fenced.',
    },
    agentMessage: {
      address: address(subjects.message(hole('sender'), hole('receiver'), hole('messageType'))),
      message: 'AgentMessage',
      actions: ['send', 'receive'],
      title: 'Message between agents',
      description: 'Logged by the broker. More than 16 hops are refused.',
    },
    announcement: {
      address: said(ANNOUNCE),
      message: 'AnnounceMessage',
      actions: ['send', 'receive'],
      title: 'Announce a peer-to-peer goal',
      description:
        'To each agent that could take it: those with the capability that is asked for, or, when none is, those whose presence says what they would begin a goal with. The best offer that comes in time is the award, the result of the auction’s task (schema Award).',
      reply: 'bid',
    },
    bid: {
      address: answered,
      message: 'BidMessage',
      actions: ['send', 'receive'],
      title: 'Bid',
      description: 'The first one of each agent counts. Without an offer it declines, so that nobody waits for it.',
    },
    question: {
      address: said(QUESTION),
      message: 'QuestionMessage',
      actions: ['send', 'receive'],
      title: 'Ask a peer',
      description:
        'Its receipt must be confirmed within a second; the answer may take 20 s. An agent that keeps silent is asked less.',
      reply: 'questionAnswer',
    },
    questionReceipt: {
      address: answered,
      message: 'QuestionReceipt',
      actions: ['send', 'receive'],
      title: 'Receipt of a question',
      description: 'Before the answer, on the same subject.',
    },
    questionAnswer: {
      address: answered,
      message: 'QuestionAnswer',
      actions: ['send', 'receive'],
      title: 'Answer to a question',
      description: 'A reply is addressed by the receiver, its sender, and the id of the message that it answers.',
    },
    handover: {
      address: said(HANDOVER),
      message: 'HandoverMessage',
      actions: ['send', 'receive'],
      title: 'Hand a work item over',
      description:
        'To the agent that the item’s task names as assignee, from whoever was given it. Who has taken it over extends and acknowledges it.',
      reply: 'handoverReply',
    },
    handoverReply: {
      address: answered,
      message: 'HandoverAnswer',
      actions: ['send', 'receive'],
      title: 'Answer to a handover',
      description: 'Without one in time the item is handed over again, or done elsewhere.',
    },
    voteRequest: {
      address: address(subjects.vote(hole('capability'))),
      message: 'VoteRequest',
      actions: ['send', 'receive'],
      title: 'Ask for votes',
      description:
        'Anyone may hold a round. The reply subject is that of the ballots without its last token; voters ignore any other.',
      reply: 'ballot',
    },
    ballot: {
      address: address(subjects.ballot(hole('roundId'), hole('agentId'))),
      message: 'Ballot',
      actions: ['send', 'receive'],
      title: 'Vote',
      description:
        'A ballot counts once, when its agent is the last token of the subject and in the roster, before the deadline.',
    },
    deadLetter: {
      address: `${address(deadPrefix)}{origin}`,
      message: 'DeadLetter',
      actions: ['send'],
      title: 'Dead letter',
      description: 'What could not be worked on, with its cause and what it cost so far.',
    },
    goalRecord: {
      address: address(subjects.dagSubject(goalKey)),
      message: 'GoalRecord',
      actions: ['send'],
      title: 'Record of a goal',
      description: `Key "${address(goalKey)}" of key-value bucket "${address(subjects.dagBucket)}": read or watch it; only agents write. Fields that PROTOCOL does not name are the agents' own.`,
    },
    taskRecord: {
      address: address(subjects.dagSubject(subjects.taskKey(hole('goalId'), hole('taskId')))),
      message: 'TaskRecord',
      actions: ['send'],
      title: 'Record of a task',
      description: `Key "${address(subjects.taskKey(hole('goalId'), hole('taskId')))}" of the same bucket. Fields that PROTOCOL does not name are the agents' own.`,
    },
    revision: {
      address: address(subjects.dagSubject(revisionKey)),
      message: 'Revision',
      actions: ['send'],
      title: 'Revision of a goal’s graph',
      description: `Key "${address(revisionKey)}" of the same bucket, n from 1, created once: tasks that were added to a running goal, and those that they replace. It counts when "revision" of the goal's record has reached n.`,
    },
    roundRecord: {
      address: address(subjects.dagSubject(subjects.roundKey(hole('roundId')))),
      message: 'RoundRecord',
      actions: ['send'],
      title: 'Decision of a vote round',
      description: `Key "${address(subjects.roundKey(hole('roundId')))}" of the same bucket, created once.`,
    },
    presence: {
      address: `$KV.${address(subjects.agentsBucket)}.${address(subjects.agentKey(hole('agentId')))}`,
      message: 'Presence',
      actions: ['send'],
      title: 'Presence of an agent',
      description: `Key "${address(subjects.agentKey(hole('agentId')))}" of key-value bucket "${address(subjects.agentsBucket)}": renewed every 2 s, gone within 10 s of a death.`,
    },
  };
}

/** The whole document, as plain JSON. */
export function asyncApiDocument(): Json {
  const all = Object.entries(channels());
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Conclave',
      version: PROTOCOL_VERSION,
      description:
        'A peer-to-peer mesh of LLM agents over NATS. Operations are told from the point of view of the mesh. Generated from shared/protocol: change it there.',
      license: { name: 'Apache-2.0' },
    },
    defaultContentType: 'application/json',
    servers: {
      broker: {
        host: '127.0.0.1:4222',
        protocol: 'nats',
        description: 'Any NATS server with JetStream, version 2.14.4 or newer (NATS_URL).',
      },
    },
    channels: Object.fromEntries(all.map(([name, channel]) => [name, channelObject(channel)])),
    operations: Object.fromEntries(all.flatMap(([name, channel]) => operationsOf(name, channel))),
    components: {
      parameters: Object.fromEntries(Object.entries(PARAMETERS).map(([name, description]) => [name, { description }])),
      messages: Object.fromEntries(
        all.map(([, { message, title }]) => [
          message,
          { name: message, title, payload: { $ref: `#/components/schemas/${message}` } },
        ]),
      ),
      schemas: schemaComponents(),
    },
  };
}

function channelObject({ address: subject, message, title, description }: Channel): Json {
  const names = [...subject.matchAll(/\{(\w+)\}/g)].flatMap(([, name]) => (name === undefined ? [] : [name]));
  return {
    address: subject,
    title,
    description,
    messages: { [message]: { $ref: `#/components/messages/${message}` } },
    parameters: Object.fromEntries(names.map((name) => [name, { $ref: `#/components/parameters/${name}` }])),
  };
}

function operationsOf(name: string, { actions, title, message, reply }: Channel): readonly (readonly [string, Json])[] {
  return actions.map((action) => [
    `${action}${name.charAt(0).toUpperCase()}${name.slice(1)}`,
    {
      action,
      title,
      channel: { $ref: `#/channels/${name}` },
      messages: [{ $ref: `#/channels/${name}/messages/${message}` }],
      ...(reply === undefined ? {} : { reply: { channel: { $ref: `#/channels/${reply}` } } }),
    },
  ]);
}
