/** A process that can be killed at any of its steps. */
import type { Bus, Clock, DagStore } from '../../../shared/ports.ts';
import type { MemoryBus } from '../../support/memory-bus.ts';

/** A process that dies at its n-th step: just before it, or just after it was done and before anybody inside hears of it. */
export class Mortal {
  dead = false;
  diedAt: string | undefined;
  #steps = 0;
  readonly #bus: MemoryBus;
  readonly #death: { readonly step: number; readonly before: boolean } | undefined;

  constructor(bus: MemoryBus, death?: { readonly step: number; readonly before: boolean }) {
    this.#bus = bus;
    this.#death = death;
  }

  /** Runs `act` unless this process is dead by then; undefined when nobody is left to hear the answer. */
  step<T>(name: string, act: () => T): T | undefined {
    if (this.dead) return undefined;
    this.#steps += 1;
    if (this.#steps !== this.#death?.step) return act();
    const { before } = this.#death;
    if (!before) act();
    this.dead = true;
    this.diedAt = `${before ? 'before' : 'after'} ${name}`;
    this.#bus.close();
    return undefined;
  }

  bus(): Bus {
    const bus = this.#bus;
    return {
      publish: (...args) => this.step('publish', () => bus.publish(...args)),
      subscribe: (subject, handle) =>
        this.step('subscribe', () =>
          bus.subscribe(subject, (message) => this.step('message', () => handle(message))),
        ) ?? (() => {}),
      flush: () => bus.flush(),
    };
  }

  store(store: DagStore): Pick<DagStore, 'commit' | 'read'> {
    const call = <T>(name: string, act: () => Promise<T>): Promise<T> => {
      const { promise, resolve, reject } = Promise.withResolvers<T>();
      const answer = this.step(name, () => {
        const result = act();
        // Whoever dies right after the call never hears how it ended.
        result.catch(() => {});
        return result;
      });
      answer?.then(
        (value) => this.step(`${name}'s answer`, () => resolve(value)),
        (error: unknown) =>
          this.step(`${name}'s answer`, () => reject(error instanceof Error ? error : new Error('?'))),
      );
      return promise;
    };
    return {
      read: (key) => call('read', () => store.read(key)),
      commit: (transition) => call('commit', () => store.commit(transition)),
    };
  }

  /** Its timers may be late, as those of a busy or frozen process are. */
  clock(clock: Clock, lagMs: number): Clock {
    return {
      now: () => clock.now(),
      after: (delayMs, run) => clock.after(delayMs + lagMs, () => this.step('timer', run)),
    };
  }
}
