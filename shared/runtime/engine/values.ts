/** JSON values that are too large to travel inline live in the object bucket; everything else sees only the value. */
import { encode, parseTrusted } from '../../protocol/codec.ts';
import { INLINE_BYTES_MAX, isBlobRef, type Json } from '../../protocol/ids.ts';
import type { Deps } from './deps.ts';

/** The value itself, or a reference to where it was put. */
export async function inlineOrBlob(deps: Deps, value: unknown): Promise<Json> {
  const bytes = encode(value ?? null);
  return bytes.length <= INLINE_BYTES_MAX ? parseTrusted<Json>(bytes) : { $blob: await deps.blobs.put(bytes) };
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
