/** Loaded before an agent: counting does nothing. For the benchmark, which measures what counting costs. */
import { Counter, Gauge, Histogram } from 'prom-client';

const nothing = (): void => undefined;
// The constructors of counters and histograms take the first two from their prototypes.
Object.assign(Counter.prototype, { incWithoutExemplar: nothing });
Object.assign(Histogram.prototype, { observeWithoutExemplar: nothing });
Object.assign(Gauge.prototype, { set: nothing, inc: nothing, dec: nothing });
