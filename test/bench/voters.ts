/**
 * The voters, as a process: each on a connection of its own, with the real voter, and beside them what does the same by hand on core NATS.
 * Environment: `NATS_URL`, `MESH`, `VOTERS` (ids, comma separated), `AWAKE` (how many of them answer for the capability `sleepy`; the others
 * take its requests and say nothing).
 */
import type { Msg } from '@nats-io/transport-node';
import { natsBus } from '../../shared/adapters/nats-bus.ts';
import { connectBroker } from '../../shared/adapters/nats-connect.ts';
import { subjectsOf } from '../../shared/protocol/subjects.ts';
import { systemClock } from '../../shared/runtime/broker.ts';
import type { VoterObserver } from '../../shared/runtime/vote/observer.ts';
import { serveVotes } from '../../shared/runtime/vote/voter.ts';
import { PAYLOAD, RAW_REQUEST, RAW_VOTE } from './raw-stages.ts';

const url = process.env['NATS_URL'] ?? '127.0.0.1:4222';
const subjects = subjectsOf(process.env['MESH'] ?? 'bench');
const awake = Number(process.env['AWAKE']);
const observer: VoterObserver = {
  ignored: ({ reason, detail }) => void process.stderr.write(`a vote request was not answered: ${reason}, ${detail}\n`),
  answered: () => undefined,
  failed: ({ step, error }) => void process.stderr.write(`a vote failed at ${step}: ${String(error)}\n`),
};

const connections = await Promise.all(
  (process.env['VOTERS'] ?? '').split(',').map(async (agentId, index) => {
    const nc = await connectBroker({ url, name: agentId });
    const bus = natsBus(nc);
    const sleeps = index >= awake;
    serveVotes(
      { bus, clock: systemClock, subjects, observer },
      {
        agentId,
        capabilities: sleeps ? ['bench'] : ['bench', 'sleepy'],
        decide: () => Promise.resolve({ position: 'approve' }),
        concurrency: 256,
        queueMax: 1_024,
      },
    );
    if (sleeps) bus.subscribe(subjects.vote('sleepy'), () => undefined);
    const respond = (error: Error | null, message: Msg) => void (error === null && message.respond(PAYLOAD));
    nc.subscribe(RAW_VOTE, { callback: respond });
    if (index === 0) nc.subscribe(RAW_REQUEST, { callback: respond });
    await nc.flush();
    return nc;
  }),
);
process.stdout.write('voters.ready\n');
process.once('SIGTERM', () => process.exit(0));
await Promise.all(connections.map((nc) => nc.closed()));
