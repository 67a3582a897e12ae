/** Presence keys: an agent is alive while its key is renewed; one AGENT_ID belongs to one process. */
import { setTimeout as pause } from 'node:timers/promises';
import { Kvm, type KV } from '@nats-io/kv';
import { type NatsConnection, nuid } from '@nats-io/transport-node';
import type { Registry } from '../ports.ts';
import { Presence, PRESENCE_TTL_MS } from '../protocol/agent.ts';
import { decode, encode } from '../protocol/codec.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { lastOfEach } from './direct-get.ts';
import { onOutage, sinceMended } from './outage.ts';

/**
 * Keys run out while a broker is gone. Each agent says that it is there as soon as it is connected again (`takeSeat`; tries are at most 300 ms apart). Until
 * then the list would be of some, and they could decide for all.
 */
const SAID_AGAIN_MS = 600;

export function natsRegistry(nc: NatsConnection, subjects: Subjects): Registry {
  return {
    async list() {
      const left = SAID_AGAIN_MS - sinceMended(nc);
      if (left > 0) await pause(left);
      const entries = await lastOfEach(nc, subjects.agentsStream, [subjects.agentSubjects]);
      return [...entries.values()].flatMap(({ subject, data }) => {
        const presence = decode(Presence, data);
        // The broker lets an agent write its own key alone, so the key says who it is: nobody speaks, or votes, under a second name.
        return presence.ok && subject === subjects.agentSubject(presence.value.agentId) ? [presence.value] : [];
      });
    },
  };
}

function opener(nc: NatsConnection, subjects: Subjects): () => Promise<KV> {
  let opened: Promise<KV> | undefined;
  return () => (opened ??= new Kvm(nc).open(subjects.agentsBucket, { allow_direct: false }));
}

const PROBE_MS = 300;

/** Another live process has this AGENT_ID. */
export class AgentIdTaken extends Error {}

export interface Seat {
  /** Writes the presence again; rejects with AgentIdTaken when another process has taken the id over. */
  renew(presence: Presence): Promise<void>;
  /** Removes the key at once, so that nobody counts on this agent. */
  leave(): Promise<void>;
}

/**
 * Takes the key `agent.<agentId>`. A key that is there belongs to a live process, which answers on the seat subject, or to a dead one: then it is
 * taken over by compare-and-set. One that holds the subject without answering (frozen) is given the time of a renewal to show itself.
 */
export async function takeSeat(nc: NatsConnection, subjects: Subjects, presence: Presence): Promise<Seat> {
  const kv = await opener(nc, subjects)();
  const key = subjects.agentKey(presence.agentId);
  const seat = `${subjects.inbox(presence.agentId)}.seat`;
  const me = `${process.pid}-${nuid.next()}`;
  const taken = () =>
    new AgentIdTaken(
      `AGENT_ID ${presence.agentId} is in use by a running agent; give this one another AGENT_ID, or stop the other first`,
    );
  const first = await probe(nc, seat, me);
  if (first === 'alive') throw taken();
  // From here on a second process that starts with this id hears us.
  const answering = nc.subscribe(seat, {
    // Only into this agent's own inbox: whoever asks from elsewhere would choose what this agent writes to.
    callback: (error, message) => void (error === null && message.reply?.startsWith(`${seat}-`) && message.respond(me)),
  });
  let revision: number;
  try {
    revision = await claimKey(
      kv,
      key,
      presence,
      async () => {
        const again = await probe(nc, seat, me);
        return again === 'nobody' ? first : again;
      },
      taken,
    );
  } catch (error) {
    answering.unsubscribe();
    throw error;
  }
  let said = presence;
  async function renew(next: Presence): Promise<void> {
    said = next;
    try {
      revision = await kv.update(key, encode(next), revision);
    } catch (error) {
      const standing = await kv.get(key);
      if (standing === null || standing.operation !== 'PUT') revision = await kv.create(key, encode(next));
      else if (standing.revision === revision) throw error;
      else if (sameProcess(standing.value, presence)) revision = standing.revision;
      else throw taken();
    }
  }
  // What is wrong with it, the next renewal says.
  const mended = (): void => void renew(said).catch(() => undefined);
  const stopListening = onOutage(nc, { broke: () => undefined, mended });
  return {
    renew,
    async leave() {
      stopListening();
      answering.unsubscribe();
      await kv.delete(key, { previousSeq: revision });
    },
  };
}

/** Who else answers for this seat: `alive`; `silent` when somebody holds the subject but says nothing; `nobody`. */
async function probe(nc: NatsConnection, seat: string, me: string): Promise<'alive' | 'silent' | 'nobody'> {
  const inbox = `${seat}-${nuid.next()}`;
  const others = nc.subscribe(inbox);
  const timer = setTimeout(() => others.unsubscribe(), PROBE_MS);
  nc.publish(seat, '', { reply: inbox });
  let own = false;
  try {
    for await (const answer of others) {
      if (answer.headers?.code === 503) return 'nobody';
      if (answer.string() !== me) return 'alive';
      own = true;
    }
    return own ? 'nobody' : 'silent';
  } finally {
    clearTimeout(timer);
    others.unsubscribe();
  }
}

async function claimKey(
  kv: KV,
  key: string,
  presence: Presence,
  ask: () => Promise<'alive' | 'silent' | 'nobody'>,
  taken: () => AgentIdTaken,
): Promise<number> {
  const before = await kv.get(key);
  if (before === null || before.operation !== 'PUT') {
    return kv.create(key, encode(presence)).catch(() => Promise.reject(taken()));
  }
  const answer = await ask();
  if (answer === 'alive') throw taken();
  if (answer === 'silent') await outlive(kv, key, before.revision, taken);
  const last = await kv.get(key);
  if (last === null || last.operation !== 'PUT')
    return kv.create(key, encode(presence)).catch(() => Promise.reject(taken()));
  return kv.update(key, encode(presence), last.revision).catch(() => Promise.reject(taken()));
}

/** Waits until the key is gone; rejects when it is renewed. */
async function outlive(kv: KV, key: string, revision: number, taken: () => AgentIdTaken): Promise<void> {
  const giveUpAt = Date.now() + PRESENCE_TTL_MS;
  while (Date.now() < giveUpAt) {
    const now = await kv.get(key);
    if (now === null || now.operation !== 'PUT') return;
    if (now.revision !== revision) throw taken();
    await new Promise((resolve) => setTimeout(resolve, PROBE_MS));
  }
}

function sameProcess(bytes: Uint8Array, presence: Presence): boolean {
  const standing = decode(Presence, bytes);
  return standing.ok && standing.value.startedAt === presence.startedAt;
}
