/**
 * The checker, a process of its own: reads the streams of a run, and nothing else, and prints its report as one line of JSON. Exit code 1 when something
 * is there that must never be.
 *
 *     node test/chaos/vote-rounds/checker/main.ts --url nats://... --mesh rounds --rounds 10000 [--dag STREAM] [--log STREAM]
 *
 * `--dag`, `--log`: other streams with the same subjects, e.g. copies of which something was deleted.
 */
import { parseArgs } from 'node:util';
import { connect } from '@nats-io/transport-node';
import { readWhole } from '../../../support/whole-stream.ts';
import { Judge } from './judge.ts';

const { values } = parseArgs({
  options: {
    url: { type: 'string', default: '' },
    mesh: { type: 'string', default: '' },
    rounds: { type: 'string', default: '' },
    dag: { type: 'string' },
    log: { type: 'string' },
  },
});
const { url, mesh, dag = `KV_${mesh}_dag`, log = `${mesh}_log` } = values;
const nc = await connect({ servers: url });
const decisions = `$KV.${mesh}_dag.round.`;
const requests = `${mesh}.vote.`;
const ballots = `${mesh}.ballot.`;
const judge = new Judge();

let stored = 0;
await readWhole(
  nc,
  dag,
  ({ subject, data, timestamp }) => {
    if (!subject.startsWith(decisions)) return;
    stored += 1;
    judge.decision(subject.slice(decisions.length), data, Date.parse(timestamp));
  },
  (pending) => pending === 0,
);
let copied = 0;
await readWhole(
  nc,
  log,
  ({ subject, data, timestamp }) => {
    if (subject.startsWith(requests)) judge.request(data, Date.parse(timestamp));
    else if (subject.startsWith(decisions)) {
      copied += 1;
      judge.copy(subject.slice(decisions.length), data);
    } else if (subject.startsWith(ballots)) {
      const [roundId = '', token = ''] = subject.slice(ballots.length).split('.');
      judge.ballot(roundId, token, data, Date.parse(timestamp));
    }
  },
  // The broker copies decisions on its own time.
  (pending) => pending === 0 && copied >= stored,
);
const report = judge.report(Number(values.rounds));
process.stdout.write(`${JSON.stringify(report)}\n`);
await nc.close();
process.exitCode = report.violationsFound > 0 ? 1 : 0;
