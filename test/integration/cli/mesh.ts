/** A mesh of its own for each test, written to as agents write, and the command line run against it. */
import { randomUUID } from 'node:crypto';
import { jetstream, jetstreamManager, type StoredMsg } from '@nats-io/jetstream';
import type { NatsConnection } from '@nats-io/transport-node';
import { inject } from 'vitest';
import type { z } from 'zod';
import { runCommandLine } from '../../../services/cli/program.ts';
import { natsBlobs } from '../../../shared/adapters/nats-blobs.ts';
import { natsBus } from '../../../shared/adapters/nats-bus.ts';
import { connectBroker } from '../../../shared/adapters/nats-connect.ts';
import { ensureStreams } from '../../../shared/adapters/streams.ts';
import type { Presence } from '../../../shared/protocol/agent.ts';
import { encode } from '../../../shared/protocol/codec.ts';
import type { DeadLetter } from '../../../shared/protocol/dead.ts';
import type { GoalRecord } from '../../../shared/protocol/goal.ts';
import { subjectsOf } from '../../../shared/protocol/subjects.ts';
import type { TaskRecord } from '../../../shared/protocol/task.ts';
import type { RoundRecord } from '../../../shared/protocol/vote.ts';
import { type FakeTerminal, fakeTerminal } from '../../unit/cli/fake-terminal.ts';

export interface Ran {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export type TestMesh = Awaited<ReturnType<typeof openTestMesh>>;

/** JSON of the shape that the test is about. */
export function parsed<T>(schema: z.ZodType<T>, text: string): T {
  return schema.parse(JSON.parse(text));
}

/** `url`: of a broker of the test's own; absent: the one that all share. */
export async function openTestMesh(url: string = inject('natsUrl')) {
  const name = `cli-${randomUUID().slice(0, 8)}`;
  const subjects = subjectsOf(name);
  const nc: NatsConnection = await connectBroker({ url, name: 'cli-test' });
  await ensureStreams(nc, subjects, { replicas: 1 });
  const js = jetstream(nc);
  const jsm = await jetstreamManager(nc);
  const argv = (args: readonly string[]) => ['--url', url, '--mesh', name, ...args];

  async function put(key: string, value: unknown): Promise<number> {
    return (await js.publish(subjects.dagSubject(key), encode(value))).seq;
  }

  return {
    url,
    name,
    subjects,
    nc,
    jsm,
    argv,
    bus: natsBus(nc),
    blobs: natsBlobs(nc, subjects),
    putGoal: (record: GoalRecord) => put(subjects.goalKey(record.goalId), record),
    putTask: (record: TaskRecord) => put(subjects.taskKey(record.goalId, record.taskId), record),
    putRound: (record: RoundRecord) => put(subjects.roundKey(record.roundId), record),
    putRaw: put,
    async join(presence: Presence): Promise<void> {
      await js.publish(`$KV.${subjects.agentsBucket}.${subjects.agentKey(presence.agentId)}`, encode(presence));
    },
    /** Sequence of the letter. */
    async bury(letter: DeadLetter): Promise<number> {
      return (await js.publish(subjects.dead(letter.origin), encode(letter))).seq;
    },
    publish: (subject: string, body: unknown, messageId?: string) =>
      js.publish(subject, encode(body), messageId === undefined ? {} : { msgID: messageId }),
    /** All messages of a stream, oldest first. */
    async messages(stream: string): Promise<readonly StoredMsg[]> {
      const { state } = await jsm.streams.info(stream);
      const found: StoredMsg[] = [];
      for (let seq = Math.max(1, state.first_seq); seq <= state.last_seq; seq += 1) {
        const message = await jsm.streams.getMessage(stream, { seq });
        if (message !== null) found.push(message);
      }
      return found;
    },
    /** Runs one command in this process. */
    async run(args: readonly string[], terminal: FakeTerminal = fakeTerminal({ now: Date.now })): Promise<Ran> {
      const code = await runCommandLine(argv(args), terminal);
      return { code, stdout: terminal.stdout.join('\n'), stderr: terminal.stderr.join('\n') };
    },
    close: () => nc.close(),
  };
}
