/** JSON values that are too large to travel inline live in the object bucket; everything else sees only the value. */
import { encode, parseTrusted } from '../../protocol/codec.ts';
import { INLINE_BYTES_MAX, isBlobRef, type Json } from '../../protocol/ids.ts';
import type { Deps } from './deps.ts';

/** A result above this is looked at together with the records that it goes into. */
const ALONE_BYTES_MAX = INLINE_BYTES_MAX / 2;
/** Below 1 MiB, the broker's usual limit of a message, with some room for what else is in a record. */
export const RECORD_BYTES_MAX = 960 * 1024;

/** A result, or a reference to where it was put when it is large, alone or within one of `holders`: a record that no broker takes would never end. */
export async function inlineOrBlob(deps: Deps, value: unknown, holders: readonly object[]): Promise<Json> {
  const bytes = encode(value ?? null);
  const fits =
    bytes.length <= ALONE_BYTES_MAX ||
    (bytes.length <= INLINE_BYTES_MAX &&
      holders.every((holder) => bytes.length + encode(holder).length <= RECORD_BYTES_MAX));
  return fits ? parseTrusted<Json>(bytes) : { $blob: await deps.blobs.put(bytes) };
}

/** What a handler returned. A value that looks like a reference is stored as what it is, a value: only the engine makes references. */
export async function resultToStore(deps: Deps, value: unknown, holders: readonly object[]): Promise<Json> {
  return isBlobRef(value) ? { $blob: await deps.blobs.put(encode(value)) } : inlineOrBlob(deps, value, holders);
}

/** A reference that cannot be followed: the task that needs it fails, and nothing else. */
export class BlobUnusable extends Error {
  readonly code: 'blob_missing' | 'blob_invalid';
  constructor(code: BlobUnusable['code'], message: string) {
    super(message);
    this.code = code;
  }
}

/** The value behind a reference; any other value as it is. */
export async function resolved<T extends Json | undefined>(deps: Deps, value: T): Promise<T | Json> {
  if (!isBlobRef(value)) return value;
  const bytes = await deps.blobs.get(value.$blob);
  if (bytes === undefined)
    throw new BlobUnusable(
      'blob_missing',
      `expected object "${value.$blob}" in bucket ${deps.subjects.blobsBucket}, found none; put it there before submitting`,
    );
  try {
    return parseTrusted<Json>(bytes);
  } catch (error) {
    throw new BlobUnusable(
      'blob_invalid',
      `expected one JSON value in object "${value.$blob}" of bucket ${deps.subjects.blobsBucket}: ${String(error)}`,
    );
  }
}
