/**
 * A bus on which agents sign what they say and hear only what was signed (`SIGNING=required`). The broker lets nobody write under another's token; this
 * holds as well where the broker itself, or whoever configured it, is not to be trusted with that. Keys are those in the presence records, each of which only
 * its own agent may write.
 */
import type { KeyObject } from 'node:crypto';
import type { Bus, Clock, Incoming, Registry } from '../ports.ts';
import type { Subjects } from '../protocol/subjects.ts';
import { SIGNATURE_HEADER, signatureOf, signedAt, verifyingKey } from './signatures.ts';

export type SignatureFault = 'unsigned' | 'unknown_signer' | 'bad_signature' | 'stale_signature' | 'replayed';

export interface SignedBusParts {
  readonly bus: Bus;
  readonly registry: Registry;
  readonly clock: Clock;
  readonly subjects: Subjects;
  readonly key: KeyObject;
  readonly refused: (fault: SignatureFault, message: Incoming, signer: string) => void;
}

/** A message between agents is heard within this time of its signature, clocks' differences included. Ballots are bound to their round instead. */
const FRESH_MS = 120_000;
const SEEN_MAX = 20_000;
/** A signer that is not known is looked up at most this often. */
const LOOKUP_MS = 500;

export function signedBus({ bus, registry, clock, subjects, key, refused }: SignedBusParts): Bus {
  const keys = new Map<string, KeyObject | undefined>();
  const seen = new Set<string>();
  let learning: Promise<void> | undefined;
  let learnedAt = Number.NEGATIVE_INFINITY;
  const messages = subjects.messagesWildcard.slice(0, -1);
  const ballots = subjects.ballotsWildcard.slice(0, -1);

  /** Who must have signed what stands on this subject; undefined where nothing is signed. */
  function signerOf(subject: string): string | undefined {
    if (subject.startsWith(messages)) return subject.slice(messages.length).split('.')[0];
    if (subject.startsWith(ballots)) return subject.slice(ballots.length).split('.')[1];
    return undefined;
  }

  async function readKeys(): Promise<void> {
    const agents = await registry.list();
    learnedAt = clock.now();
    keys.clear();
    for (const { agentId, publicKey = '' } of agents) keys.set(agentId, verifyingKey(publicKey));
  }

  function learn(): Promise<void> {
    if (clock.now() - learnedAt < LOOKUP_MS) return Promise.resolve();
    learning ??= readKeys().finally(() => {
      learning = undefined;
    });
    return learning;
  }

  function faultOf(message: Incoming, signer: string): SignatureFault | undefined {
    const value = message.header(SIGNATURE_HEADER);
    if (value === undefined) return 'unsigned';
    const known = keys.get(signer);
    if (known === undefined) return 'unknown_signer';
    const at = signedAt(known, value, message.subject, message.data);
    if (at === undefined) return 'bad_signature';
    if (!message.subject.startsWith(messages)) return undefined;
    if (Math.abs(clock.now() - at) > FRESH_MS) return 'stale_signature';
    if (seen.has(value)) return 'replayed';
    seen.add(value);
    const [oldest] = seen;
    if (seen.size > SEEN_MAX && oldest !== undefined) seen.delete(oldest);
    return undefined;
  }

  async function hearAgain(message: Incoming, signer: string, handle: (message: Incoming) => void): Promise<void> {
    await learn().catch(() => undefined);
    const fault = faultOf(message, signer);
    if (fault === undefined) handle(message);
    else refused(fault, message, signer);
  }

  return {
    flush: () => bus.flush(),
    publish(subject, data, options = {}) {
      if (signerOf(subject) === undefined) return bus.publish(subject, data, options);
      const signature = signatureOf(key, subject, clock.now(), data);
      bus.publish(subject, data, { ...options, headers: { ...options.headers, [SIGNATURE_HEADER]: signature } });
    },
    subscribe(subject, handle, options) {
      if (signerOf(subject) === undefined) return bus.subscribe(subject, handle, options);
      const checked = (message: Incoming): void => {
        const signer = signerOf(message.subject) ?? '';
        const fault = faultOf(message, signer);
        if (fault === undefined) handle(message);
        // An agent that just came, or came back with another key.
        else if (fault === 'unknown_signer' || fault === 'bad_signature') void hearAgain(message, signer, handle);
        else refused(fault, message, signer);
      };
      return bus.subscribe(subject, checked, options);
    },
  };
}
