/** Response bodies of the faults that live in the transport. */
import { setTimeout as delay } from 'node:timers/promises';
import { MODEL_NAME } from './chat.ts';

const DRIP_EVERY_MS = 50;
const OVERSIZE_CHUNKS = 512;
const OVERSIZE_CHUNK = 'x'.repeat(64 * 1024);

/** The body one byte at a time; throws AbortError when the client is gone. */
export async function* dripped(body: string, gone: AbortSignal): AsyncGenerator<Buffer> {
  const bytes = Buffer.from(body);
  for (let at = 0; at < bytes.length; at += 1) {
    yield bytes.subarray(at, at + 1);
    await delay(DRIP_EVERY_MS, undefined, { signal: gone });
  }
}

/** A well-formed completion of 32 MiB, made as it is read: neither side has to hold it. */
export function* oversized(): Generator<string> {
  yield `{"id":"chatcmpl-oversize","object":"chat.completion","model":"${MODEL_NAME}","choices":[{"index":0,"finish_reason":"stop","message":{"role":"assistant","content":"`;
  for (let chunk = 0; chunk < OVERSIZE_CHUNKS; chunk += 1) yield OVERSIZE_CHUNK;
  yield '"}}]}';
}
