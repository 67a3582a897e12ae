/** JSON values that are too large to travel inline live in the object bucket; everything else sees only the value. */
import { encode } from '../../protocol/codec.ts';
import { INLINE_BYTES_MAX, isBlobRef } from '../../protocol/ids.ts';
import type { Deps } from './deps.ts';

const decoder = new TextDecoder();

/** The value itself, or a reference to where it was put. */
export async function inlineOrBlob(deps: Deps, value: unknown): Promise<unknown> {
  const bytes = encode(value ?? null);
  return bytes.length <= INLINE_BYTES_MAX ? (value ?? null) : { $blob: await deps.blobs.put(bytes) };
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
export async function resolved(deps: Deps, value: unknown): Promise<unknown> {
  if (!isBlobRef(value)) return value;
  const bytes = await deps.blobs.get(value.$blob);
  if (bytes === undefined) throw new BlobUnusable('blob_missing', `expected object "${value.$blob}" in bucket ${deps.subjects.blobsBucket}, found none; put it there before submitting`);
  try {
    return JSON.parse(decoder.decode(bytes)) as unknown;
  } catch (error) {
    throw new BlobUnusable('blob_invalid', `expected one JSON value in object "${value.$blob}" of bucket ${deps.subjects.blobsBucket}: ${String(error)}`);
  }
}
