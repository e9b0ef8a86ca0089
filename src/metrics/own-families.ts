/**
 * The families about the process and about the exposition itself, and the figures behind them. They stand in for
 * prom-client's default metrics, some of whose names break promtool's rules and which read files on every scrape.
 */
import { readdir } from 'node:fs/promises';
import type { Family, FamilyHead } from './family.js';
import { single } from './family.js';

export interface ProcessFigures {
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly startTimeSeconds: number;
  /** Null where they cannot be counted. */
  readonly openFds: number | null;
}

export interface OwnFigures {
  readonly version: string;
  readonly nodeVersion: string;
  /** Series of guests in the answer, and all those left out of answers so far. */
  readonly series: number;
  readonly seriesDropped: number;
  readonly process: ProcessFigures;
}

export const OWN_FAMILIES: readonly Family<OwnFigures>[] = [
  {
    name: 'virtsla_build_info',
    help: 'Always 1; the version of virtslad and of the Node.js that runs it',
    type: 'gauge',
    labels: ['version', 'node_version'],
    samples: (own) => [{ labels: [own.version, own.nodeVersion], value: 1 }],
  },
  own('virtsla_domain_series', 'gauge', 'Series about guests in this answer', ({ series }) => series),
  own(
    'virtsla_domain_series_dropped_total',
    'counter',
    'Series about guests left out because there were more than the cap allows, once for each snapshot that was asked for',
    ({ seriesDropped }) => seriesDropped,
  ),
  own('process_cpu_seconds_total', 'counter', 'CPU time used by the daemon', (of) => of.process.cpuSeconds),
  own('process_resident_memory_bytes', 'gauge', 'Resident memory of the daemon', (of) => of.process.residentBytes),
  own('process_heap_bytes', 'gauge', 'JavaScript heap in use', (of) => of.process.heapBytes),
  own('process_open_fds', 'gauge', 'Open file descriptors of the daemon', (of) => of.process.openFds),
  own('process_start_time_seconds', 'gauge', 'When the daemon started', (of) => of.process.startTimeSeconds),
];

/** Fed by `observeCycle`. */
export const RECONCILE_DURATION: FamilyHead & { readonly buckets: readonly number[] } = {
  name: 'virtsla_reconcile_duration_seconds',
  help: 'Time that a reconcile cycle took',
  type: 'histogram',
  labels: [],
  buckets: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
};

function own(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  value: (own: OwnFigures) => number | null,
): Family<OwnFigures> {
  return { name, help, type, labels: [], samples: (figures) => single(value(figures)) };
}

/** Figures of this process. Counting descriptors lists a directory, off the event loop. */
export async function readProcessFigures(): Promise<ProcessFigures> {
  const { user, system } = process.cpuUsage();
  const { rss, heapUsed } = process.memoryUsage();
  const descriptors = await readdir('/proc/self/fd').catch(() => null);
  return {
    cpuSeconds: (user + system) / 1e6,
    residentBytes: rss,
    heapBytes: heapUsed,
    startTimeSeconds: Math.round(performance.timeOrigin) / 1000,
    openFds: descriptors?.length ?? null,
  };
}
