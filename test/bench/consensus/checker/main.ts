/**
 * The checker, a process of its own: reads the streams of a run and prints its report as one line of JSON. Exit code 1 when something is there that
 * must never be.
 *
 *     node test/bench/consensus/checker/main.ts --url nats://... --mesh hanoi --discs 14 --k 6 --voters v1,v2
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { DeliverPolicy, jetstream } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import { waitUntil } from '../../../support/wait.ts';
import { Replay } from './replay.ts';

/** The broker copies decisions into the log on its own time; after so long without a word nothing more will come, ms. */
const SILENCE_MS_MAX = 60_000;
const READ_MS_MAX = 3_600_000;

const { values } = parseArgs({
  options: {
    url: { type: 'string', default: '' },
    mesh: { type: 'string', default: '' },
    discs: { type: 'string', default: '' },
    k: { type: 'string', default: '' },
    voters: { type: 'string', default: '' },
  },
});
const { url, mesh } = values;
const nc = await connect({ servers: url });
const decisions = `$KV.${mesh}_dag.round.`;
const ballots = `${mesh}.ballot.`;

/** Everything of a stream in the order in which it was stored, until `isDone` says so. Without a filter, which costs the server more than it saves. */
async function read(
  stream: string,
  take: (subject: string, data: Uint8Array) => void,
  isDone: (pending: number) => boolean,
): Promise<void> {
  const consumer = await jetstream(nc).consumers.get(stream, { deliver_policy: DeliverPolicy.All });
  if (isDone((await consumer.info()).num_pending)) return;
  const messages = await consumer.consume({ max_messages: 2_000 });
  let done = false;
  let heardAt = performance.now();
  const reading = (async () => {
    for await (const message of messages) {
      heardAt = performance.now();
      take(message.subject, message.data);
      done = isDone(message.info.pending);
      if (done) break;
    }
  })();
  const over = () => done || performance.now() - heardAt > SILENCE_MS_MAX;
  await waitUntil(`${stream} is read`, over, READ_MS_MAX).finally(() => messages.stop());
  await reading;
}

const stored: string[] = [];
const bucket = createHash('sha256');
await read(
  `KV_${mesh}_dag`,
  (subject, data) => {
    if (!subject.startsWith(decisions)) return;
    stored.push(subject.slice(decisions.length));
    bucket.update(subject).update(data);
  },
  (pending) => pending === 0,
);

const replay = new Replay({ discs: Number(values.discs), k: Number(values.k), voters: values.voters.split(',') });
const logged = createHash('sha256');
let copied = 0;
await read(
  `${mesh}_log`,
  (subject, data) => {
    if (subject.startsWith(ballots)) {
      const [roundId = '', token = ''] = subject.slice(ballots.length).split('.');
      replay.ballot(roundId, token, data);
    } else if (subject.startsWith(decisions)) {
      copied += 1;
      logged.update(subject).update(data);
      replay.decision(subject.slice(decisions.length), data);
    }
  },
  (pending) => pending === 0 && copied >= stored.length,
);

const report = replay.finish();
const twice = stored.length - new Set(stored).size;
const violations = [
  ...(twice === 0 ? [] : [`I7 ${twice} rounds were decided twice`]),
  ...(copied === stored.length ? [] : [`I9 the log holds ${copied} of ${stored.length} decisions`]),
  ...(logged.digest('hex') === bucket.digest('hex') ? [] : ['I9 the log and the bucket hold other decisions']),
];
const all = { ...report, violations: [...violations, ...report.violations] };
const violationsFound = report.violationsFound + violations.length;
process.stdout.write(`${JSON.stringify({ ...all, violationsFound })}\n`);
await nc.close();
process.exitCode = violationsFound > 0 ? 1 : 0;
