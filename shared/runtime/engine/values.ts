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

export class BlobMissing extends Error {}

/** The value behind a reference; any other value as it is. */
export async function resolved(deps: Deps, value: unknown): Promise<unknown> {
  if (!isBlobRef(value)) return value;
  const bytes = await deps.blobs.get(value.$blob);
  if (bytes === undefined) throw new BlobMissing(`expected object "${value.$blob}" in bucket ${deps.subjects.blobsBucket}, found none; put it there before submitting`);
  return JSON.parse(decoder.decode(bytes)) as unknown;
}
