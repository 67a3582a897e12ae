/**
 * Calls that may fail: timeout, retry, circuit breaker and bulkhead around anything remote (the model, a peer). The only
 * importer of cockatiel.
 *
 * Composition, outside in:
 *
 *     retry > bulkhead > breaker > around > timeout > run
 *
 * - retry outermost: the wait between attempts holds no slot of the bulkhead, and every attempt meets the breaker anew;
 * - breaker inside the bulkhead: a queued call learns that the breaker opened when its turn comes, not after its own timeout;
 * - `around` inside both: what must frame an attempt (reserve and settle a budget, I4) neither waits in a queue nor runs for
 *   a call that the breaker stops, and is not cut off by the attempt's timeout;
 * - timeout innermost: it bounds one attempt, aborts its signal, and does not wait for a `run` that ignores the signal.
 */
import * as cockatiel from 'cockatiel';
import type { Random } from '../ports.ts';
import { type BackoffLimits, decorrelatedJitter } from './backoff.ts';
import { CallFailure, PolicyError, type Verdict } from './call-failure.ts';

export type BreakerOptions =
  /** Opens after this many failures in a row. */
  | { readonly kind: 'consecutive'; readonly failures: number; readonly halfOpenAfterMs: number }
  /** Opens when more than `threshold` (0..1) of the calls of the last `windowMs` failed, at `minimumRps` calls a second or more. */
  | {
      readonly kind: 'sampling';
      readonly threshold: number;
      readonly windowMs: number;
      readonly minimumRps: number;
      readonly halfOpenAfterMs: number;
    };

export interface PolicyOptions {
  /** Names the policy and its breaker in metrics and errors. */
  readonly name: string;
  /** One attempt, milliseconds. */
  readonly timeoutMs: number;
  readonly retry: BackoffLimits & {
    /** Attempts in all, the first included. */
    readonly maxAttempts: number;
    /** A target that asks for a longer wait is not waited for: the caller hears how long, and decides. Milliseconds. */
    readonly retryAfterMaxMs: number;
  };
  readonly breaker: BreakerOptions;
  /** `limit` attempts at once, `queue` more may wait. */
  readonly bulkhead: { readonly limit: number; readonly queue: number };
}

/** 0 closed, 1 half-open (the next call is a trial), 2 open: the values of `conclave_breaker_state`. */
export type BreakerState = 0 | 1 | 2;

export interface PolicyObserver {
  /** Called once at the start, then on each change; an open breaker becomes half-open by itself when its time is over. */
  breakerState(name: string, state: BreakerState): void;
  /** `attempt` is the one that starts after `delayMs`: 2 for the first retry. */
  retry(name: string, attempt: number, delayMs: number): void;
  timeout(name: string): void;
  overloaded(name: string): void;
}

export interface Attempt {
  /** Aborted by the caller's signal and by the attempt's timeout. */
  readonly signal: AbortSignal;
  /** 1 for the first. */
  readonly number: number;
}

export interface ExecuteOptions<T> {
  /** Ends the call at once with `aborted`, wherever it waits. */
  readonly signal: AbortSignal;
  /** Frames every attempt; must run `call` at most once. */
  readonly around?: (call: () => Promise<T>) => Promise<T>;
}

export interface Resilience {
  readonly name: string;
  /** The longest that one attempt takes. */
  readonly timeoutMs: number;
  /** Throws the last CallFailure, a PolicyError, or whatever else `run` or `around` threw. */
  execute<T>(run: (attempt: Attempt) => Promise<T>, options: ExecuteOptions<T>): Promise<T>;
}

export interface PolicyTime {
  /** Calls `run` once after `delayMs`; the returned function cancels it. */
  after(delayMs: number, run: () => void): () => void;
  readonly random: Random;
}

/** Its timers keep the process alive, unlike those of a Clock: somebody awaits the retry, and an abort cancels it. */
const SYSTEM: PolicyTime = {
  after(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

/**
 * Makes a policy. Share it between all calls to one target: breaker and bulkhead only work on what they see together. Waits
 * between attempts run on `time`; the breaker's and the timeout's own timers are cockatiel's, on the system clock.
 */
export function createPolicy(options: PolicyOptions, observer: PolicyObserver, time: PolicyTime = SYSTEM): Resilience {
  const { name, timeoutMs } = options;
  let openedAt = 0;
  const breaker: cockatiel.CircuitBreakerPolicy = cockatiel.circuitBreaker(
    // A trial that proves nothing must not close the breaker: cockatiel takes every unhandled error for a proof of health.
    cockatiel.handleWhen((error) => {
      const verdict = verdictOf(error);
      return (
        verdict.kind === 'retry' || (verdict.kind === 'give-up' && breaker.state === cockatiel.CircuitState.HalfOpen)
      );
    }),
    { halfOpenAfter: options.breaker.halfOpenAfterMs, breaker: breakerRule(options.breaker) },
  );
  let told: BreakerState | undefined;
  function tell(state: BreakerState): void {
    if (state === told) return;
    told = state;
    observer.breakerState(name, state);
  }
  breaker.onStateChange((state) => {
    tell(BREAKER_STATE[state]);
    if (state !== cockatiel.CircuitState.Open) return;
    const since = Date.now();
    openedAt = since;
    // cockatiel moves on only when it is asked; without calls an alert on an open breaker would never end.
    const moveOn = (): void => {
      if (breaker.state === cockatiel.CircuitState.Open && openedAt === since) tell(1);
    };
    setTimeout(moveOn, options.breaker.halfOpenAfterMs).unref();
  });
  tell(BREAKER_STATE[breaker.state]);

  const guards = cockatiel.wrap(cockatiel.bulkhead(options.bulkhead.limit, options.bulkhead.queue), breaker);
  // abortOnReturn off: the signal of an attempt then aborts for one reason only, and `timed` can tell a timeout from a failure.
  const timeout = cockatiel.timeout(timeoutMs, {
    strategy: cockatiel.TimeoutStrategy.Aggressive,
    abortOnReturn: false,
  });
  const retry = cockatiel.retry(
    cockatiel.handleWhen((error) => {
      const verdict = verdictOf(error);
      return verdict.kind === 'retry' && (verdict.afterMs ?? 0) <= options.retry.retryAfterMaxMs;
    }),
    // No delay here: cockatiel's cannot be aborted. `execute` waits by itself before the next attempt.
    { maxAttempts: options.retry.maxAttempts - 1, backoff: new cockatiel.ConstantBackoff(0) },
  );

  const aborted = () => new PolicyError('aborted', `${name}: the call was aborted by its caller`);

  /** cockatiel's own errors -> ours, at the place where it is known what they mean. */
  function explained(error: unknown): unknown {
    if (cockatiel.isBrokenCircuitError(error)) {
      const leftMs = Math.max(0, openedAt + options.breaker.halfOpenAfterMs - Date.now());
      return new PolicyError(
        'breaker_open',
        `${name}: the circuit breaker is open after repeated failures; try again in ${leftMs} ms`,
        leftMs,
      );
    }
    if (cockatiel.isBulkheadRejectedError(error)) {
      observer.overloaded(name);
      const { limit, queue } = options.bulkhead;
      return new PolicyError(
        'overloaded',
        `${name}: ${limit} calls are running and ${queue} are waiting; lower the load or raise the bulkhead`,
      );
    }
    return cockatiel.isTaskCancelledError(error) ? aborted() : error;
  }

  async function timed<T>(run: (attempt: Attempt) => Promise<T>, number: number, signal: AbortSignal): Promise<T> {
    if (signal.aborted) throw aborted();
    let outOfTime = false;
    try {
      return await timeout.execute(async (context) => {
        context.signal.addEventListener(
          'abort',
          () => {
            outOfTime = true;
          },
          { once: true },
        );
        return run({ signal: context.signal, number });
      }, signal);
    } catch (error) {
      // Whatever `run` threw because its signal was aborted, the cause is the caller or the timer.
      if (signal.aborted) throw aborted();
      if (!outOfTime) throw error;
      observer.timeout(name);
      throw new PolicyError('timeout', `${name}: no answer within ${timeoutMs} ms`);
    }
  }

  return {
    name,
    timeoutMs,
    execute<T>(
      run: (attempt: Attempt) => Promise<T>,
      { signal, around = (call) => call() }: ExecuteOptions<T>,
    ): Promise<T> {
      let running = 0;
      let waitMs: number | undefined;

      const attempt = async (number: number): Promise<T> => {
        if (waitMs !== undefined) {
          observer.retry(name, number, waitMs);
          await pause(time, waitMs, signal, aborted);
        }
        try {
          return await guards.execute(async () => {
            if (signal.aborted) throw aborted();
            running += 1;
            try {
              return await around(() => timed(run, number, signal));
            } finally {
              running -= 1;
            }
          }, signal);
        } catch (thrown) {
          const error = explained(thrown);
          const verdict = verdictOf(error);
          if (verdict.kind === 'retry') {
            const jitterMs = decorrelatedJitter(options.retry, waitMs, time.random);
            // Spread also those who were all told to come back at the same moment.
            waitMs = verdict.afterMs === undefined ? jitterMs : verdict.afterMs + time.random() * options.retry.baseMs;
          }
          throw error;
        }
      };

      // A running attempt ends by itself through its signal, and must: `around` has to settle what it reserved before the caller
      // hears the outcome. Everything else that can be waited for (queue, trial of a half-open breaker) knows no signal.
      return new Promise<T>((resolve, reject) => {
        const onAbort = () => {
          if (running === 0) reject(aborted());
        };
        signal.addEventListener('abort', onAbort, { once: true });
        const tries = signal.aborted
          ? Promise.reject(aborted())
          : retry.execute((context) => attempt(context.attempt + 1), signal);
        tries.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
      });
    },
  };
}

/** What the metrics say of a breaker. */
export const BREAKER_STATE: Readonly<Record<cockatiel.CircuitState, BreakerState>> = {
  [cockatiel.CircuitState.Closed]: 0,
  [cockatiel.CircuitState.HalfOpen]: 1,
  [cockatiel.CircuitState.Open]: 2,
  [cockatiel.CircuitState.Isolated]: 2,
};

function verdictOf(error: unknown): Verdict {
  if (error instanceof CallFailure) return error.verdict;
  if (error instanceof PolicyError && error.kind === 'timeout') return { kind: 'retry' };
  return { kind: 'give-up' };
}

function breakerRule(options: BreakerOptions): cockatiel.IBreaker {
  switch (options.kind) {
    case 'consecutive':
      return new cockatiel.ConsecutiveBreaker(options.failures);
    case 'sampling':
      return new cockatiel.SamplingBreaker({
        threshold: options.threshold,
        duration: options.windowMs,
        minimumRps: options.minimumRps,
      });
  }
}

function pause(time: PolicyTime, ms: number, signal: AbortSignal, aborted: () => PolicyError): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = () => {
      cancel();
      reject(aborted());
    };
    const cancel = time.after(ms, () => {
      signal.removeEventListener('abort', onAbort);
      resolve();
    });
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
  });
}
