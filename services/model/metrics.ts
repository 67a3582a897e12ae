/** What the offline model counts: Prometheus metrics, and the same figures as JSON for tests. */
import { collectDefaultMetrics, Counter, Histogram, Registry } from 'prom-client';
import type { Fault } from './faults.ts';
import { KNOWN_SCHEMAS } from './handler.ts';

export interface Stats {
  /** Chat completion requests that were understood. */
  readonly requests: number;
  /** Of those, by schema name; names without an answer of their own count as `other`. */
  readonly bySchema: Readonly<Record<string, number>>;
  /** Faults served. */
  readonly faults: Readonly<Record<string, number>>;
  /** Requests whose client closed before the answer was complete. */
  readonly closed: number;
  /** Requests that wait for an answer now. */
  readonly open: number;
}

export interface Metrics {
  readonly registry: Registry;
  request(schema: string): void;
  fault(fault: Fault): void;
  tokens(input: number, output: number): void;
  ended(seconds: number, closedByClient: boolean): void;
  stats(): Stats;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const requests = new Counter({
    name: 'model_requests_total',
    help: 'Requests by schema name',
    labelNames: ['schema'],
    registers,
  });
  const closed = new Counter({
    name: 'model_requests_closed_total',
    help: 'Requests whose client closed before the answer was complete',
    registers,
  });
  const faults = new Counter({ name: 'model_faults_total', help: 'Faults served', labelNames: ['fault'], registers });
  const tokens = new Counter({ name: 'model_tokens_total', help: 'Tokens counted', labelNames: ['type'], registers });
  const seconds = new Histogram({ name: 'model_request_seconds', help: 'Time to the end of the response', registers });
  const tally = {
    requests: 0,
    closed: 0,
    ended: 0,
    bySchema: new Map<string, number>(),
    faults: new Map<string, number>(),
  };
  const count = (map: Map<string, number>, key: string) => map.set(key, (map.get(key) ?? 0) + 1);

  return {
    registry,
    request(schema) {
      // The name comes from the caller: as a label as it is, it could grow the registry without end (I11).
      const label = KNOWN_SCHEMAS.find((known) => known === schema) ?? 'other';
      tally.requests += 1;
      count(tally.bySchema, label);
      requests.inc({ schema: label });
    },
    fault(fault) {
      count(tally.faults, fault);
      faults.inc({ fault });
    },
    tokens(input, output) {
      tokens.inc({ type: 'input' }, input);
      tokens.inc({ type: 'output' }, output);
    },
    ended(duration, closedByClient) {
      tally.ended += 1;
      seconds.observe(duration);
      if (!closedByClient) return;
      tally.closed += 1;
      closed.inc();
    },
    stats: () => ({
      requests: tally.requests,
      bySchema: Object.fromEntries(tally.bySchema),
      faults: Object.fromEntries(tally.faults),
      closed: tally.closed,
      open: tally.requests - tally.ended,
    }),
  };
}
