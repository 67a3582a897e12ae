/** Makes metrics in one registry and keeps the list of them, so that the documentation can be held against the code. */
import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { LabelName } from './metric-labels.ts';

/** As docs/metrics.md lists it. */
export interface ListedMetric {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
  readonly help: string;
  readonly labels: readonly LabelName[];
}

export type Sample<L extends LabelName> = readonly [labels: Readonly<Partial<Record<L, string>>>, value: number];

export function metricRegistry() {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const list: ListedMetric[] = [];
  return {
    registry,
    list,
    counter<L extends LabelName>(name: string, help: string, labels: readonly L[]): Counter<L> {
      list.push({ name, type: 'counter', help, labels });
      return new Counter<L>({ name, help, labelNames: [...labels], registers });
    },
    gauge<L extends LabelName>(name: string, help: string, labels: readonly L[]): Gauge<L> {
      list.push({ name, type: 'gauge', help, labels });
      return new Gauge<L>({ name, help, labelNames: [...labels], registers });
    },
    /** Its samples are what `samples` gives when it is scraped; what is not among them any more is gone. */
    computed<L extends LabelName>(
      name: string,
      help: string,
      labels: readonly L[],
      samples: () => Iterable<Sample<L>>,
    ): void {
      list.push({ name, type: 'gauge', help, labels });
      const gauge: Gauge<L> = new Gauge<L>({
        name,
        help,
        labelNames: [...labels],
        registers,
        collect() {
          gauge.reset();
          // Without labels a reset means zero, which would be a statement too.
          if (labels.length === 0) gauge.remove();
          for (const [of, value] of samples()) gauge.set({ ...of }, value);
        },
      });
    },
    histogram<L extends LabelName>(
      name: string,
      help: string,
      labels: readonly L[],
      buckets: readonly number[],
    ): Histogram<L> {
      list.push({ name, type: 'histogram', help, labels });
      return new Histogram<L>({ name, help, labelNames: [...labels], buckets: [...buckets], registers });
    },
  };
}
