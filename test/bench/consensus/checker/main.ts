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

const LOG_MS_MAX = 600_000;

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

/** Everything of a stream below these subjects, in the order in which it was stored. */
async function read(
  stream: string,
  filters: string[],
  take: (subject: string, data: Uint8Array) => void,
): Promise<void> {
  const consumer = await jetstream(nc).consumers.get(stream, {
    filter_subjects: filters,
    deliver_policy: DeliverPolicy.All,
  });
  if ((await consumer.info()).num_pending === 0) return;
  for await (const message of await consumer.consume({ max_messages: 2_000 })) {
    take(message.subject, message.data);
    if (message.info.pending === 0) break;
  }
}

async function stored(stream: string, filter: string): Promise<number> {
  const consumer = await jetstream(nc).consumers.get(stream, { filter_subjects: [filter] });
  return (await consumer.info()).num_pending;
}

// The broker copies decisions into the log on its own time.
const total = await stored(`KV_${mesh}_dag`, `${decisions}*`);
await waitUntil(
  `the log holds all ${total} decisions`,
  async () => (await stored(`${mesh}_log`, `${decisions}*`)) >= total,
  LOG_MS_MAX,
);

const replay = new Replay({ discs: Number(values.discs), k: Number(values.k), voters: values.voters.split(',') });
const seen = new Set<string>();
const twice: string[] = [];
const logged = createHash('sha256');
await read(`${mesh}_log`, [`${decisions}*`, `${ballots}*.*`], (subject, data) => {
  if (subject.startsWith(ballots)) {
    const [roundId = '', token = ''] = subject.slice(ballots.length).split('.');
    replay.ballot(roundId, token, data);
    return;
  }
  const roundId = subject.slice(decisions.length);
  if (seen.has(roundId)) twice.push(`I7 ${roundId}: decided twice`);
  seen.add(roundId);
  logged.update(subject).update(data);
  replay.decision(roundId, data);
});
const bucket = createHash('sha256');
await read(`KV_${mesh}_dag`, [`${decisions}*`], (subject, data) => bucket.update(subject).update(data));

const report = replay.finish();
const differ = logged.digest('hex') === bucket.digest('hex') ? [] : ['I9 the log and the bucket hold other decisions'];
const violations = [...twice.slice(0, 20), ...differ, ...report.violations];
const violationsFound = report.violationsFound + twice.length + differ.length;
process.stdout.write(`${JSON.stringify({ ...report, violations, violationsFound })}\n`);
await nc.close();
process.exitCode = violationsFound > 0 ? 1 : 0;
