/** The voter that every agent has, on a bus that misbehaves as the plan says: what it adds is published as the voter itself could publish it. */
import type { NatsConnection } from '@nats-io/transport-node';
import { natsBus } from '../../../../shared/adapters/nats-bus.ts';
import { connectBroker } from '../../../../shared/adapters/nats-connect.ts';
import type { Bus } from '../../../../shared/ports.ts';
import { type Subjects, subjectsOf } from '../../../../shared/protocol/subjects.ts';
import { systemClock } from '../../../../shared/runtime/broker.ts';
import { serveVotes } from '../../../../shared/runtime/vote/voter.ts';
import { jsonOf } from '../../../support/foreign.ts';
import { CAPABILITY, DEADLINE_MS, lot, misdeedOf, opinionOf, STRANGER } from '../plan.ts';

const CONCURRENCY = 256;
const QUEUE_MAX = 4_096;
/** More than a run has: who is asked again by a proposer's replacement must still know its ballot. */
const REMEMBER_MAX = 200_000;
const LATE_MS = DEADLINE_MS + 40;
const SLOW_MS = 40;
const SECOND_MS = 5;

interface Said {
  readonly roundId: string;
  readonly agent: string;
  readonly position: string;
}

export async function serveVoters(env: NodeJS.ProcessEnv): Promise<void> {
  const { NATS_URL: url = '', MESH = '', SEED = '', VOTERS = '' } = env;
  const subjects = subjectsOf(MESH);
  for (const agentId of VOTERS.split(',')) {
    const nc = await connectBroker({ url, name: agentId });
    if (agentId === STRANGER) intrude(nc, subjects, SEED);
    else
      serveVotes(
        {
          bus: misbehaving(natsBus(nc), subjects, SEED),
          clock: systemClock,
          subjects,
          observer: {
            ignored: () => undefined,
            answered: () => undefined,
            failed: ({ step, error }) => void process.stderr.write(`a vote failed at ${step}: ${String(error)}\n`),
          },
        },
        {
          agentId,
          capabilities: [CAPABILITY],
          decide: ({ roundId, options }) => Promise.resolve({ position: opinionOf(SEED, roundId, agentId, options) }),
          concurrency: CONCURRENCY,
          queueMax: QUEUE_MAX,
          rememberMax: REMEMBER_MAX,
        },
      );
    await nc.flush();
  }
}

const after = (ms: number, then: () => void): void => void systemClock.after(ms, then);

/** Everything that this voter publishes is a ballot of its own; this decides what becomes of it. */
function misbehaving(bus: Bus, subjects: Subjects, seed: string): Bus {
  const publish: Bus['publish'] = (subject, data, options) => {
    const ballot = jsonOf(data) as Said;
    const { roundId, agent, position } = ballot;
    const send = (what: object | string): void => bus.publish(subjects.ballot(roundId, agent), bytesOf(what));
    const own = (): void => bus.publish(subject, data, options);
    switch (misdeedOf(seed, roundId, agent)) {
      case 'duplicate':
        own();
        return own();
      case 'contradictory':
        own();
        return after(SECOND_MS, () => send({ ...ballot, position: position === 'reject' ? 'approve' : 'reject' }));
      case 'malformed':
        send(lot(seed, roundId, agent, 'how') < 0.5 ? '{"position":' : { roundId, position });
        return own();
      case 'forged':
        send({ ...ballot, agent: agent === 'v1' ? 'v2' : 'v1' });
        return own();
      case 'otherRound':
        send({ ...ballot, roundId: `${roundId}-other` });
        return own();
      case 'noOption':
        return send({ ...ballot, position: 'perhaps' });
      case 'late':
        return after(LATE_MS, own);
      case 'slow':
        return after(SLOW_MS, own);
      case 'silent':
        return;
      case undefined:
        return own();
    }
  };
  return { ...bus, publish };
}

/** Hears every request, is in no roster, and votes all the same: in its own name, and in that of who may. */
function intrude(nc: NatsConnection, subjects: Subjects, seed: string): void {
  const bus = natsBus(nc);
  bus.subscribe(subjects.vote(CAPABILITY), ({ data }) => {
    const { roundId, roster } = jsonOf(data) as { readonly roundId: string; readonly roster: readonly string[] };
    const share = lot(seed, roundId, STRANGER);
    const agent = share < 0.2 ? STRANGER : roster[0];
    if (share >= 0.3 || agent === undefined) return;
    const ballot = { roundId, agent, position: 'reject', timestamp: new Date().toISOString() };
    bus.publish(subjects.ballot(roundId, STRANGER), bytesOf(ballot));
  });
}

function bytesOf(what: object | string): Uint8Array {
  return new TextEncoder().encode(typeof what === 'string' ? what : JSON.stringify(what));
}
