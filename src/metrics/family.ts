/**
 * What a metric family is: one declaration gives the name, the help, the labels and how to get the values, and the
 * exposition, the reference page and the tests all read it. Names follow the Prometheus conventions: prefix
 * `virtsla_`, base units, `_total` on counters and nowhere else, `_info` on gauges that are 1 and carry labels.
 */
import type { DomainSnapshot, Snapshot } from '../snapshot/types.js';

export interface FamilyHead {
  readonly name: string;
  /** One sentence, no trailing full stop. */
  readonly help: string;
  readonly type: 'gauge' | 'counter' | 'histogram';
  /** Names of the labels; of a guest's family, those after {@link DOMAIN_LABELS}. */
  readonly labels: readonly string[];
}

/** One series: values of the family's labels, in their order. Null: there is no such series now. */
export interface Sample {
  /** Of a histogram: which of its series. `le`, the last label, is on its buckets alone. */
  readonly part?: '_bucket' | '_sum' | '_count';
  readonly labels: readonly string[];
  readonly value: number | null;
}

/** A family of fixed size, rendered by prom-client. */
export interface Family<Source> extends FamilyHead {
  readonly type: 'gauge' | 'counter';
  samples(source: Source): readonly Sample[];
}

/** The labels that every series of a guest starts with. `class` is empty for a guest that is not managed. */
export const DOMAIN_LABELS = ['domain', 'uuid', 'class'] as const;

/** A family with series for each guest, rendered by the exposition writer. */
export interface DomainFamily extends FamilyHead {
  samples(domain: DomainSnapshot, snapshot: Snapshot): readonly Sample[];
}

const NO_SAMPLES: readonly Sample[] = [];
const NO_LABELS: readonly string[] = [];

/** One sample without labels, or none for null. */
export function single(value: number | null): readonly Sample[] {
  return value === null ? NO_SAMPLES : [{ labels: NO_LABELS, value }];
}

export function bit(value: boolean): number {
  return value ? 1 : 0;
}

/** A family with at most one series a guest. */
export function plain(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  value: (...of: Parameters<DomainFamily['samples']>) => number | null,
): DomainFamily {
  return { name, help, type, labels: [], samples: (domain, snapshot) => single(value(domain, snapshot)) };
}
