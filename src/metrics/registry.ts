/**
 * The families of fixed size, on prom-client: the only file that imports it. Takes the declarations and what their
 * values come from, gives text. A counter of the daemon lives in the snapshot and is copied here, never counted here.
 */
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import { printable } from '../text/printable.js';
import type { Family } from './family.js';
import { RECONCILE_DURATION } from './own-families.js';

export const CONTENT_TYPE = Registry.PROMETHEUS_CONTENT_TYPE;

type Metric = Gauge<string> | Counter<string>;

/** Label values of fixed families: versions, codes, host facts. Long ones are cut, as guest names are. */
const LABEL_LENGTH_MAX = 256;

export class FixedRegistry {
  readonly #registry = new Registry();
  readonly #metrics = new Map<string, Metric>();
  readonly #duration: Histogram<string>;

  constructor(families: readonly Family<never>[]) {
    for (const { name, help, type, labels } of families) {
      const configuration = { name, help, labelNames: [...labels], registers: [this.#registry] };
      const metric = type === 'counter' ? new Counter(configuration) : new Gauge(configuration);
      // A gauge without labels would stand at 0 before anything is known.
      if (metric instanceof Gauge && labels.length === 0) metric.remove();
      this.#metrics.set(name, metric);
    }
    const { name, help, buckets } = RECONCILE_DURATION;
    this.#duration = new Histogram({ name, help, buckets: [...buckets], registers: [this.#registry] });
  }

  observeCycle(seconds: number): void {
    this.#duration.observe(seconds);
  }

  /** Gives the families the values that `source` has now; series that it has no more are gone. */
  set<Source>(families: readonly Family<Source>[], source: Source): void {
    for (const family of families) {
      const metric = this.#metrics.get(family.name);
      if (metric === undefined) continue;
      metric.reset();
      if (metric instanceof Gauge && family.labels.length === 0) metric.remove();
      for (const sample of family.samples(source)) {
        if (sample.value === null || Number.isNaN(sample.value)) continue;
        const labels: Record<string, string> = {};
        family.labels.forEach((label, index) => {
          labels[label] = printable(sample.labels[index] ?? '', LABEL_LENGTH_MAX);
        });
        if (metric instanceof Gauge) metric.set(labels, sample.value);
        else metric.inc(labels, Math.max(0, sample.value));
      }
    }
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
