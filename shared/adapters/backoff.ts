/** How long to wait before the next attempt. Pure: time and randomness are arguments. */
import type { Random } from '../ports.ts';

export interface BackoffLimits {
  /** The shortest wait, milliseconds. */
  readonly baseMs: number;
  /** The longest wait, milliseconds. */
  readonly capMs: number;
}

/**
 * Decorrelated jitter: uniform between the base and three times the previous wait, capped. Callers that failed together
 * spread out at once, and each wait grows only on average, so nobody is stuck at the cap.
 */
export function decorrelatedJitter(limits: BackoffLimits, previousMs: number | undefined, random: Random): number {
  const highest = Math.min(limits.capMs, 3 * Math.max(previousMs ?? limits.baseMs, limits.baseMs));
  return limits.baseMs + random() * Math.max(0, highest - limits.baseMs);
}

/**
 * The wait that `Retry-After` asks for, in milliseconds from `nowMs`: a number of seconds or an HTTP date (a past date is 0).
 * `undefined` when the header is absent or means nothing.
 */
export function retryAfterMs(header: string | null | undefined, nowMs: number): number | undefined {
  const value = header?.trim() ?? '';
  if (/^\d+(\.\d+)?$/.test(value)) return Math.round(Number(value) * 1000);
  // An HTTP date names a weekday or a month; Date.parse alone would read "-5" or "12/30" as a date too.
  if (!/[A-Za-z]{3}/.test(value)) return undefined;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}
