/** Guarded publishes to one stream, singly or as one atomic batch; what the broker's answers mean is decided here and nowhere else. */
import { headers, type MsgHdrs, type NatsConnection, nuid } from '@nats-io/transport-node';
import type { Write } from '../ports.ts';
import { parseTrusted } from '../protocol/codec.ts';
import { REPLACES_HEADER } from '../protocol/headers.ts';
import { outboxOf } from './outbox.ts';
import { requestsOf } from './requests.ts';

/** The answer to a publish, reduced to what a caller can do about it. */
export type PublishAnswer =
  | { readonly kind: 'stored'; readonly sequence: number }
  /** A guard failed. It does not prove that somebody else won: re-read and compare. */
  | { readonly kind: 'conflict' }
  /** Nothing is known: the write may have landed. Re-read, or repeat the guarded write. */
  | { readonly kind: 'unknown'; readonly detail: string }
  /** The broker will never take this write as it is. */
  | { readonly kind: 'refused'; readonly detail: string };

interface PubAck {
  readonly seq?: number;
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

/** Wrong last sequence, for a single publish and inside a batch. */
const CONFLICT_CODES = new Set([10071, 10164]);
/** JetStream is away for the moment, the stream has no leader, or the batch was abandoned: none says whether the write landed. */
const UNKNOWN_CODES = new Set([10008, 10009, 10023, 10077, 10167, 10174, 10176, 10199]);

function guardHeaders(write: Write): MsgHdrs {
  const h = headers();
  if (write.expect !== undefined) {
    const replaces = String(write.expect);
    h.set('Nats-Expected-Last-Subject-Sequence', replaces);
    h.set(REPLACES_HEADER, replaces);
  }
  if (write.dedupe !== undefined) h.set('Nats-Msg-Id', write.dedupe);
  if (write.ttl !== undefined) h.set('Nats-TTL', write.ttl);
  return h;
}

function interpret(data: Uint8Array): PublishAnswer {
  const ack = parseTrusted<PubAck>(data);
  if (ack.error === undefined) return { kind: 'stored', sequence: ack.seq ?? 0 };
  const code = ack.error.err_code ?? 0;
  if (CONFLICT_CODES.has(code)) return { kind: 'conflict' };
  const detail = `${ack.error.description ?? 'no description'} (${code})`;
  return UNKNOWN_CODES.has(code) ? { kind: 'unknown', detail } : { kind: 'refused', detail };
}

async function request(nc: NatsConnection, write: Write, hdrs: MsgHdrs | undefined): Promise<PublishAnswer> {
  try {
    return interpret((await requestsOf(nc)(write.subject, write.data, hdrs)).data);
  } catch (error) {
    return { kind: 'unknown', detail: error instanceof Error ? error.message : String(error) };
  }
}

export function publishOne(nc: NatsConnection, write: Write): Promise<PublishAnswer> {
  // A work item needs no headers, and without them no parsing of any.
  const plain = write.expect === undefined && write.dedupe === undefined && write.ttl === undefined;
  return request(nc, write, plain ? undefined : guardHeaders(write));
}

/**
 * All writes or none. The client's own batch (`js.startBatch().add()`, 3.4.0) silently drops the expected sequence, so the headers are built
 * here. At most 1000 writes, each subject once (a guard must come before any write to the same subject).
 * `sequence` of the answer is that of the last write; those before it directly precede it.
 */
export function publishBatch(nc: NatsConnection, writes: readonly Write[]): Promise<PublishAnswer> {
  const id = nuid.next();
  const last = writes.length - 1;
  for (const [index, write] of writes.entries()) {
    const h = guardHeaders(write);
    h.delete('Nats-Msg-Id');
    h.set('Nats-Batch-Id', id);
    h.set('Nats-Batch-Sequence', String(index + 1));
    if (index === last) {
      h.set('Nats-Batch-Commit', '1');
      return request(nc, write, h);
    }
    outboxOf(nc)({ subject: write.subject, data: write.data, headers: h });
  }
  return Promise.resolve({ kind: 'refused', detail: 'an empty batch' });
}
