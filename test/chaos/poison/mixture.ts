/** Ten thousand messages that no agent can work with, of every kind that reaches one, each with a mark by which its dead letter is found. */
import type { Mesh } from '../../support/open-mesh.ts';

export interface Poison {
  /** In the payload of its dead letter, or the goal that the letter names. */
  readonly mark: string;
  readonly origin: 'goals' | 'tasks' | 'cancel' | 'ready' | 'message' | 'vote';
  readonly code: string;
  /** How often it may have been tried; undefined: it is no work, and its letter says nothing of it. */
  readonly attempts?: number;
  send(mesh: Mesh): Promise<unknown>;
}

type Make = (mark: string, index: number) => Poison;

/** Under the broker's limit of a message, over everything that an agent takes. */
const OVERSIZE_BYTES = 900_000;
const DEEP = 20_000;
const now = (): string => new Date().toISOString();

/** Kinds with their share of a hundred messages. */
const KINDS: readonly (readonly [share: number, name: string, make: Make])[] = [
  [14, 'submission cut off', submission('invalid_json', (mark) => `{"goalId":"${mark}","description":`)],
  [8, 'submission that is no text', submission('invalid_json', (mark) => bytes(mark, [0xff, 0xfe, 0x00]))],
  [9, 'submission without a description', submission('invalid_schema', (mark) => ({ goalId: mark, tasks: [echo()] }))],
  [
    6,
    'submission with a cycle',
    submission('cyclic_dependencies', (mark) => ({ ...goal(mark), tasks: [echo({ dependencies: ['t'] })] })),
  ],
  [
    1,
    'oversize description',
    submission('invalid_schema', (mark) => ({
      goalId: mark,
      description: 'x'.repeat(OVERSIZE_BYTES),
      tasks: [echo()],
    })),
  ],
  [
    1,
    'oversize input',
    submission('invalid_schema', (mark) => ({ ...goal(mark), tasks: [echo({ input: 'x'.repeat(OVERSIZE_BYTES) })] })),
  ],
  [
    1,
    'submission nested 20,000 deep',
    submission('invalid_schema', (mark) => `{"description":"${mark}","input":${'['.repeat(DEEP)}${']'.repeat(DEEP)}}`),
  ],
  [8, 'malformed shorthand', shorthand],
  [6, 'malformed cancel', cancel],
  [14, 'work item that names no task', workItem],
  [12, 'message without an envelope', message('invalid_json', (mark) => `${mark} {`)],
  [6, 'message under another name', message('forged_message', (mark) => envelope(mark, { sender: 'somebody' }))],
  [5, 'message that went in circles', message('too_many_hops', (mark) => envelope(mark, { hops: 17 }))],
  [5, 'malformed vote request', voteRequest],
  [4, 'task that always fails', failing],
];

/** `count` of them, every kind spread over the whole. */
export function mixture(count: number): readonly Poison[] {
  const hundred = KINDS.flatMap(([share, , make]) => Array.from({ length: share }, () => make));
  // 37 has no factor in common with 100: neighbours are of different kinds.
  return Array.from({ length: count }, (_, index) => {
    const make = hundred[(index * 37) % hundred.length] ?? failing;
    return make(`poison-${index}-x`, index);
  });
}

export function kindsText(count: number): string {
  return KINDS.map(([share, name]) => `${Math.round((share * count) / 100)} ${name}`).join(', ');
}

function echo(more: object = {}): object {
  return { taskId: 't', capability: 'echo', description: '', ...more };
}

function goal(mark: string): object {
  return { goalId: mark, description: mark };
}

function bytes(mark: string, more: readonly number[]): Uint8Array {
  return Uint8Array.from([...new TextEncoder().encode(mark), ...more]);
}

function submission(code: string, body: (mark: string) => unknown): Make {
  return (mark) => ({ mark, origin: 'goals', code, send: ({ foreign }) => foreign.submit(body(mark)) });
}

function shorthand(mark: string): Poison {
  const send = ({ foreign }: Mesh): Promise<number> => foreign.shorthand('echo', { description: 7, mark });
  return { mark, origin: 'tasks', code: 'invalid_schema', send };
}

function cancel(mark: string): Poison {
  const send = ({ foreign, name }: Mesh): Promise<unknown> =>
    foreign.js.publish(`${name}.goals.cancel`, JSON.stringify({ goal: mark }));
  return { mark, origin: 'cancel', code: 'invalid_schema', send };
}

function workItem(mark: string, index: number): Poison {
  const body = index % 2 === 0 ? mark : JSON.stringify({ goalId: '*', taskId: mark });
  const send = ({ foreign, name }: Mesh): Promise<unknown> => foreign.js.publish(`${name}.ready.echo.${mark}.t`, body);
  return { mark, origin: 'ready', code: 'invalid_item', send };
}

function envelope(mark: string, more: object): string {
  const ids = { id: mark, sender: 'stranger', receiver: 'echo-1', messageType: 'chat', correlationId: mark };
  return JSON.stringify({ ...ids, content: mark, timestamp: now(), hops: 0, ...more });
}

function message(code: string, body: (mark: string) => string): Make {
  return (mark) => ({
    mark,
    origin: 'message',
    code,
    async send({ foreign, name }) {
      foreign.nc.publish(`${name}.msg.stranger.echo-1.chat`, body(mark));
      await foreign.nc.flush();
    },
  });
}

/** Half of them would make every voter answer into a stream's own subjects. */
function voteRequest(mark: string, index: number): Poison {
  const rule = { method: 'majority' };
  const request = { roundId: mark, proposal: mark, options: ['approve', 'reject'], rule, correlationId: mark };
  const roster = ['nodder-1', 'nodder-2', 'nodder-3'];
  const deadline = new Date(Date.now() + 60_000).toISOString();
  const [code, body] =
    index % 2 === 0
      ? ['vote_malformed', { ...request, roster: 'everybody' }]
      : ['vote_foreign_reply', { ...request, roster, deadline }];
  return {
    mark,
    origin: 'vote',
    code,
    async send({ foreign, name }) {
      foreign.nc.publish(`${name}.vote.nod`, JSON.stringify(body), { reply: `$JS.API.STREAM.PURGE.${name}_log` });
      await foreign.nc.flush();
    },
  };
}

function failing(mark: string, index: number): Poison {
  const attempts = 1 + (index % 3);
  const task = echo({ input: { failTimes: 1_000 }, maxAttempts: attempts });
  const send = ({ foreign }: Mesh): Promise<number> => foreign.submit({ ...goal(mark), tasks: [task] });
  return { mark, origin: 'tasks', code: 'echo_failed', attempts, send };
}
