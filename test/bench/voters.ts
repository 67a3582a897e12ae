/**
 * The voters, as a process: each on a connection of its own, with the real voter, and beside it a responder that does the same by hand on core NATS.
 * Environment: `NATS_URL`, `MESH`, `VOTERS` (ids, comma separated).
 */
import { natsBus } from '../../shared/adapters/nats-bus.ts';
import { connectBroker } from '../../shared/adapters/nats-connect.ts';
import { subjectsOf } from '../../shared/protocol/subjects.ts';
import { systemClock } from '../../shared/runtime/broker.ts';
import type { VoterObserver } from '../../shared/runtime/vote/observer.ts';
import { serveVotes } from '../../shared/runtime/vote/voter.ts';
import { PAYLOAD, RAW_VOTE } from './raw-stages.ts';

const url = process.env['NATS_URL'] ?? '127.0.0.1:4222';
const subjects = subjectsOf(process.env['MESH'] ?? 'bench');
const observer: VoterObserver = {
  ignored: ({ reason, detail }) => void process.stderr.write(`a vote request was not answered: ${reason}, ${detail}\n`),
  answered: () => undefined,
  failed: ({ step, error }) => void process.stderr.write(`a vote failed at ${step}: ${String(error)}\n`),
};

const connections = await Promise.all(
  (process.env['VOTERS'] ?? '').split(',').map(async (agentId) => {
    const nc = await connectBroker({ url, name: agentId });
    const bus = natsBus(nc);
    serveVotes(
      { bus, clock: systemClock, subjects, observer },
      {
        agentId,
        capabilities: ['bench'],
        decide: () => Promise.resolve({ position: 'approve' }),
        concurrency: 256,
        queueMax: 1_024,
      },
    );
    nc.subscribe(RAW_VOTE, { callback: (error, message) => void (error === null && message.respond(PAYLOAD)) });
    await nc.flush();
    return nc;
  }),
);
process.stdout.write('voters.ready\n');
process.once('SIGTERM', () => process.exit(0));
await Promise.all(connections.map((nc) => nc.closed()));
