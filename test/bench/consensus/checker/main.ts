/**
 * The checker, a process of its own: reads the streams of a run and prints its report as one line of JSON. Exit code 1 when something is there that
 * must never be.
 *
 *     node test/bench/consensus/checker/main.ts --url nats://... --mesh hanoi --discs 14 --k 6 --voters v1,v2
 */
import { createHash } from 'node:crypto';
import { parseArgs } from 'node:util';
import { connect } from '@nats-io/transport-node';
import { readWhole } from '../../../support/whole-stream.ts';
import { Replay } from './replay.ts';

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

const stored: string[] = [];
const bucket = createHash('sha256');
await readWhole(
  nc,
  `KV_${mesh}_dag`,
  ({ subject, data }) => {
    if (!subject.startsWith(decisions)) return;
    stored.push(subject.slice(decisions.length));
    bucket.update(subject).update(data);
  },
  (pending) => pending === 0,
);

const replay = new Replay({ discs: Number(values.discs), k: Number(values.k), voters: values.voters.split(',') });
const logged = createHash('sha256');
let copied = 0;
await readWhole(
  nc,
  `${mesh}_log`,
  ({ subject, data }) => {
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
