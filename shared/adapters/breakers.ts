/** Circuit breakers (cockatiel's) of targets that are watched, not called, as `runtime/vote/electors.ts` wants them. */
import * as cockatiel from 'cockatiel';
import { BREAKER_STATE, type BreakerState } from './resilience.ts';

export interface BreakersOptions {
  /** Opens after this many bad ends in a row. */
  readonly failures: number;
  /** How long it stays open the first time; twice as long after each trial that ended badly, up to `openMsMax`. */
  readonly openMs: number;
  readonly openMsMax: number;
  /** A trial of which nothing was heard for so long is taken for cut. */
  readonly trialMsMax: number;
}

export interface BreakersObserver {
  /** Called when a breaker is made, then on each change. */
  breakerState(name: string, state: BreakerState): void;
  breakerGone(name: string): void;
}

interface Watched {
  readonly breaker: cockatiel.CircuitBreakerPolicy;
  /** While it is half-open: what the next attempt decides, and when the one under way began. */
  trial: PromiseWithResolvers<void> | undefined;
  triedAt: number | undefined;
}

/** Breakers whose attempts are told, not made. Only those exist of which something bad was told; whoever names them must forget them. */
export function createBreakers(options: BreakersOptions, observer: BreakersObserver) {
  const all = new Map<string, Watched>();

  function made(name: string): Watched {
    const halfOpenAfter = new cockatiel.ExponentialBackoff({
      generator: cockatiel.noJitterGenerator,
      initialDelay: options.openMs,
      maxDelay: options.openMsMax,
    });
    const breaker = cockatiel.circuitBreaker(cockatiel.handleAll, {
      halfOpenAfter,
      breaker: new cockatiel.ConsecutiveBreaker(options.failures),
    });
    breaker.onStateChange((state) => observer.breakerState(name, BREAKER_STATE[state]));
    observer.breakerState(name, BREAKER_STATE[breaker.state]);
    const watched = { breaker, trial: undefined, triedAt: undefined };
    all.set(name, watched);
    return watched;
  }

  /** What an attempt said, or will say, as an attempt of the policy. An open breaker turns it away, which is all right. */
  function told(breaker: cockatiel.CircuitBreakerPolicy, attempt: Promise<void>): void {
    // One that is turned away is awaited by nobody.
    attempt.catch(() => undefined);
    breaker.execute(() => attempt).catch(() => undefined);
  }

  return {
    admits(name: string): boolean {
      const watched = all.get(name);
      if (watched === undefined || watched.breaker.state === cockatiel.CircuitState.Closed) return true;
      if (watched.breaker.state === cockatiel.CircuitState.Open) {
        const trial = Promise.withResolvers<void>();
        // Half-open at once if its time has come; otherwise it says no.
        told(watched.breaker, trial.promise);
        if (watched.breaker.state === cockatiel.CircuitState.Open) return false;
        watched.trial = trial;
      } else if (watched.triedAt !== undefined && Date.now() - watched.triedAt < options.trialMsMax) return false;
      watched.triedAt = Date.now();
      return true;
    },
    ended(name: string, how: 'well' | 'badly' | 'cut'): void {
      const watched = all.get(name) ?? (how === 'badly' ? made(name) : undefined);
      if (watched === undefined) return;
      watched.triedAt = undefined;
      if (how === 'cut') return;
      const error = new Error(`${name}: ended badly`);
      const { trial, breaker } = watched;
      if (trial === undefined) return told(breaker, how === 'well' ? Promise.resolve() : Promise.reject(error));
      watched.trial = undefined;
      if (how === 'well') trial.resolve();
      else trial.reject(error);
    },
    forget(name: string): void {
      if (all.delete(name)) observer.breakerGone(name);
    },
  };
}
