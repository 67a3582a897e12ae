/** Which request gets which fault: queued ones first, else drawn at the configured rates. Deterministic for a seed. */
import { createHash } from 'node:crypto';

export const FAULTS = [
  '429', // Too Many Requests, with Retry-After
  '500', // Internal Server Error
  'hang', // no answer until the client closes
  'reset', // the connection is cut without an answer
  'drip', // the right answer, one byte at a time
  'garbage', // an answer that is not JSON
  'broken-body', // an HTTP body that is not JSON
  'oversize', // an answer of many megabytes
  'wrong-shape', // JSON that does not fit the schema
  'hostile', // the right answer with keys that nobody asked for: __proto__, tasks, budget
  'cyclic', // a plan whose first step waits for its last
  'unsupported', // a brief with a statement that the text does not support
] as const;
export type Fault = (typeof FAULTS)[number];

export type FaultRates = ReadonlyMap<Fault, number>;

export interface QueuedFault {
  readonly fault: Fault;
  /** Only for requests of this schema name. */
  readonly schema?: string | undefined;
  /** Of a 429: the header's value, seconds or an HTTP date. Default "1". */
  readonly retryAfter?: string | undefined;
}

export interface FaultPlan {
  /** The fault of this request, if it gets one. `body` decides the draw, together with how often the same body came before. */
  take(schema: string, body: string): QueuedFault | undefined;
  /** Replaces the queue. */
  queue(next: readonly QueuedFault[]): void;
  /** Replaces the rates. */
  setRates(rates: FaultRates): void;
  pending(): readonly QueuedFault[];
}

export const FAULT_SYNTAX = `a list like "429:0.1,hang:0.05" of faults and their rates, together at most 1 (faults: ${FAULTS.join(', ')})`;

/** `"429:0.1,hang:0.05"` -> rates; undefined when it is not of that form. */
export function parseRates(text: string): FaultRates | undefined {
  const rates = new Map<Fault, number>();
  for (const part of text.split(',').map((each) => each.trim())) {
    if (part === '') continue;
    const [name, rate, ...rest] = part.split(':');
    const fault = FAULTS.find((known) => known === name);
    const value = Number(rate);
    if (fault === undefined || rate === undefined || rest.length > 0 || !/^\d*\.?\d+$/u.test(rate) || rates.has(fault))
      return undefined;
    rates.set(fault, value);
  }
  const sum = Array.from(rates.values()).reduce((all, rate) => all + rate, 0);
  // A hair over 1 is what 0.1 + 0.2 + 0.7 makes of itself.
  return sum > 1 + 1e-9 ? undefined : rates;
}

/** Bodies whose repetitions are counted; the oldest is forgotten first (I11). */
const BODIES_MAX = 10_000;

export function createFaultPlan(initialRates: FaultRates, seed: string): FaultPlan {
  let rates = initialRates;
  let queued: readonly QueuedFault[] = [];
  const seen = new Map<string, number>();

  /** Uniform in [0, 1). From the body, not from a running sequence: the order in which concurrent requests arrive must not matter. */
  function draw(body: string): number {
    const digest = createHash('sha256').update(body).digest('base64');
    const times = (seen.get(digest) ?? 0) + 1;
    seen.delete(digest);
    seen.set(digest, times);
    const [oldest] = seen.keys();
    if (seen.size > BODIES_MAX && oldest !== undefined) seen.delete(oldest);
    return createHash('sha256').update(`${seed}\n${times}\n${digest}`).digest().readUInt32BE() / 2 ** 32;
  }

  return {
    take(schema, body) {
      const at = queued.findIndex((item) => (item.schema ?? schema) === schema && concerns(item.fault, schema));
      if (at >= 0) {
        const item = queued[at];
        queued = queued.toSpliced(at, 1);
        return item;
      }
      let left = draw(body);
      for (const [fault, rate] of rates) {
        if (!concerns(fault, schema)) continue;
        if (left < rate) return { fault };
        left -= rate;
      }
      return undefined;
    },
    queue(next) {
      queued = next;
    },
    setRates(next) {
      rates = next;
    },
    pending: () => queued,
  };
}

/** Two faults are about the meaning of one kind of answer. */
function concerns(fault: Fault, schema: string): boolean {
  if (fault === 'cyclic') return schema === 'plan';
  return fault !== 'unsupported' || schema === 'brief';
}
