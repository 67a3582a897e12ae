/** W3C Trace Context: `<version>-<trace id>-<parent id>-<flags>`, all lower-case hex. */
import { z } from 'zod';

export interface SpanContext {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
  readonly sampled: boolean;
}

/** As records keep it: version 00, whatever version came. */
export const Traceparent = z.string().regex(/^00-[0-9a-f]{32}-[0-9a-f]{16}-0[01]$/);

/** A later version may have more behind what version 00 has; version ff is forbidden. */
const PATTERN = /^(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:$|-)/;
const NO_TRACE = '0'.repeat(32);
const NO_SPAN = '0'.repeat(16);
const SAMPLED = 1;
/** What is longer is no header of this kind, and is not looked at. */
const LENGTH_MAX = 512;

/** Undefined for anything that is not a valid context: it comes from strangers, and a bad one is as good as none. */
export function readTraceparent(text: string | undefined): SpanContext | undefined {
  if (text === undefined || text.length > LENGTH_MAX) return undefined;
  const [, traceId, spanId, flags] = PATTERN.exec(text) ?? [];
  if (traceId === undefined || spanId === undefined || flags === undefined) return undefined;
  if (traceId === NO_TRACE || spanId === NO_SPAN) return undefined;
  return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & SAMPLED) === SAMPLED };
}

/** A header that came from anywhere, as it may be kept and passed on; undefined for anything that is no valid context. */
export function cleanTraceparent(text: string | undefined): string | undefined {
  const context = readTraceparent(text);
  return context === undefined ? undefined : traceparentOf(context);
}

export function traceparentOf({ traceId, spanId, sampled }: SpanContext): string {
  return `00-${traceId}-${spanId}-${sampled ? '01' : '00'}`;
}
