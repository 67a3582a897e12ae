/** What an agent asks again and again to know whether it can work: the broker, its consumers, its model. Each answer goes into its health. */
import { probeModel } from '../adapters/model-probe.ts';
import type { Connection } from './broker.ts';
import type { Health } from './health.ts';
import type { Metrics } from './metrics.ts';

const EVERY_MS = 1_000;
/** A broker that is frozen, not dead, is seen after this, well before the client gives its connection up. */
const SILENT_MS = 2_500;
const MODEL_MS = 30_000;
/** So often while it fails: nobody should wait long for a model that is back. */
const MODEL_FAILED_MS = 2_000;

/** Ends a probe. */
export type Stop = () => void;

/** Asks the broker for a sign of life every second. */
export function probeBroker(nc: Connection, health: Health, metrics: Metrics): Stop {
  let askedAt: number | undefined;
  function ask(): void {
    if (askedAt !== undefined) {
      const silentMs = Math.round(performance.now() - askedAt);
      if (silentMs >= SILENT_MS)
        health.fail(
          'broker',
          `no answer from ${nc.getServer()} for ${silentMs} ms; see whether it is frozen, overloaded or cut off`,
        );
      return;
    }
    const startedAt = performance.now();
    askedAt = startedAt;
    void answer(startedAt);
  }
  async function answer(startedAt: number): Promise<void> {
    try {
      await nc.rtt();
      metrics.brokerRoundTrip.set((performance.now() - startedAt) / 1_000);
      health.pass('broker');
    } catch (error) {
      const what = error instanceof Error ? error.message : String(error);
      health.fail('broker', `${what}; the agent keeps trying to reach its broker`);
    } finally {
      askedAt = undefined;
    }
  }
  return repeat(ask);
}

/** Looks at what the pull loops say of themselves. */
export function probeConsumers(problems: () => readonly string[], health: Health): Stop {
  return repeat(() => {
    const found = problems();
    if (found.length === 0) health.pass('consumers');
    else health.fail('consumers', found.join('; '));
  });
}

function repeat(run: () => void): Stop {
  run();
  const timer = setInterval(run, EVERY_MS);
  return () => clearInterval(timer);
}

export interface ModelWatch {
  /** The state of the breaker around the model: 0 closed, 1 half-open, 2 open. */
  breaker(state: number): void;
  /** The model answered a question: no need to ask whether it is there. */
  answered(): void;
  stop: Stop;
}

/** Watches the model of an agent that has one: by what its own questions meet, and, while it asks none, by a probe that costs nothing. */
export function watchModel(baseUrl: string, apiKey: string, health: Health): ModelWatch {
  let open = false;
  let problem: string | undefined = 'not asked yet';
  let answeredAt = Number.NEGATIVE_INFINITY;
  let timer: NodeJS.Timeout | undefined;
  let stopped = false;

  function tell(): void {
    const breaker = open
      ? 'its circuit breaker is open after repeated failures; it is tried again in some seconds'
      : undefined;
    const reason = problem ?? breaker;
    if (reason === undefined) health.pass('model');
    else health.fail('model', reason);
  }

  async function look(): Promise<void> {
    if (performance.now() - answeredAt >= MODEL_MS) problem = await probeModel(baseUrl, apiKey);
    tell();
    if (!stopped) timer = setTimeout(() => void look(), problem === undefined ? MODEL_MS : MODEL_FAILED_MS).unref();
  }

  void look();
  return {
    breaker(state) {
      open = state === 2;
      tell();
    },
    answered() {
      answeredAt = performance.now();
      problem = undefined;
      tell();
    },
    stop() {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
