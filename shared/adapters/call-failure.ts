/** How a call behind a policy fails (resilience.ts): on their own, for those who only tell them apart. */

/** What a failed attempt means for the caller. */
export type Verdict =
  /** The target is down or busy: try again, not before `afterMs`. Counts against the breaker. */
  | { readonly kind: 'retry'; readonly afterMs?: number }
  /** The target answered and refuses the request itself: no other attempt can help, and the target is healthy. */
  | { readonly kind: 'refuse' }
  /** Says nothing about the target (a budget refused the attempt, a bug): no other attempt. */
  | { readonly kind: 'give-up' };

/** What `run` throws to say what its failure means. Any other error is a `give-up` and passes through unchanged. */
export class CallFailure extends Error {
  readonly verdict: Verdict;

  constructor(verdict: Verdict, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'CallFailure';
    this.verdict = verdict;
  }
}

/** The policy itself ended the call. */
export class PolicyError extends Error {
  /** `timeout`: the last attempt took too long. `aborted`: the caller's signal. `overloaded`: the bulkhead and its queue are full. */
  readonly kind: 'timeout' | 'aborted' | 'breaker_open' | 'overloaded';
  /** With `breaker_open`: when the breaker lets a trial through, in milliseconds from now. */
  readonly retryAfterMs: number | undefined;

  constructor(kind: PolicyError['kind'], message: string, retryAfterMs?: number) {
    super(message);
    this.name = 'PolicyError';
    this.kind = kind;
    this.retryAfterMs = retryAfterMs;
  }
}
