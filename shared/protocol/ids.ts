/** Identifiers of PROTOCOL: an id is always exactly one NATS subject token. */
import { z } from 'zod';

const ID_PATTERN = /^[A-Za-z0-9_-]{1,64}$/;

/** `goalId`, `taskId`, `agentId`, `roundId`, `capability`: 1 to 64 characters of `A-Z a-z 0-9 _ -`. */
export const Id = z
  .string()
  .regex(ID_PATTERN, 'expected 1 to 64 characters of A-Z a-z 0-9 _ - (an id is one subject token)');

export function isId(value: string): boolean;
export function isId(value: unknown): value is string;
export function isId(value: unknown): boolean {
  return typeof value === 'string' && ID_PATTERN.test(value);
}

/** ISO 8601 UTC with milliseconds, e.g. `2030-01-31T12:00:00.000Z`. */
export const Timestamp = z.iso.datetime({ precision: 3 });

let latest = { ms: Number.NaN, text: '' };

/** Time in milliseconds since the epoch -> the protocol's timestamp. */
export function timestamp(ms: number): string {
  // A busy agent writes several within one millisecond.
  if (ms !== latest.ms) latest = { ms, text: new Date(ms).toISOString() };
  return latest.text;
}

/** Any JSON value. */
export type Json = z.infer<ReturnType<typeof z.json>>;

/** A reference into the object bucket `<m>_blobs` that stands for a JSON value of more than 512 KiB. */
export const BlobRef = z.strictObject({ $blob: z.string().min(1).max(256) });
export type BlobRef = z.infer<typeof BlobRef>;

export function isBlobRef(value: unknown): value is BlobRef {
  // Every value of every task passes here, and nearly none is a reference.
  return typeof value === 'object' && value !== null && '$blob' in value && BlobRef.safeParse(value).success;
}

/** Values larger than this, as JSON in UTF-8, travel as a BlobRef. */
export const INLINE_BYTES_MAX = 512 * 1024;
/**
 * What a submission may bring into one record, as JSON in UTF-8: an input of INLINE_BYTES_MAX, its description, metadata and dependencies. Half of a result
 * of INLINE_BYTES_MAX fits beside it into a message of 1 MiB, the broker's usual limit; a larger result then becomes a BlobRef.
 */
export const SUBMITTED_BYTES_MAX = 640 * 1024;
