/** The goals, and what a figure has to be to reach one. Pure. */
import type { Figure, Missing, Result } from './result.js';

export interface Check {
  readonly id: string;
  /** Of the goal, what this figure is about: `600`, `5,000` … */
  readonly at: string;
  readonly compare: 'at most' | 'at least' | 'equal to';
  readonly limit: number;
  readonly unit: string;
}

export interface Goal {
  readonly what: string;
  readonly checks: readonly Check[];
}

const atMost = (id: string, at: string, limit: number, unit: string): Check => ({
  id,
  at,
  compare: 'at most',
  limit,
  unit,
});
const atLeast = (id: string, at: string, limit: number, unit: string): Check => ({
  id,
  at,
  compare: 'at least',
  limit,
  unit,
});

const WRITES = [
  ['writes-600', '600'],
  ['writes-1000', '1,000'],
  ['writes-5000', '5,000'],
  ['writes-real-600', '600 real groups'],
] as const;

export const GOALS: readonly Goal[] = [
  {
    what: 'Steady cycle, CPU against a C loop over the same files',
    checks: [
      atMost('steady-600', '600', 1.3, '×'),
      atMost('steady-1000', '1,000', 1.3, '×'),
      atMost('steady-5000', '5,000', 1.65, '×'),
      atMost('steady-real-600', '600 real groups', 1.3, '×'),
      atMost('steady-real-1000', '1,000 real groups', 1.3, '×'),
    ],
  },
  {
    what: 'Steady cycle against a `virsh` loop, a guest',
    checks: [atLeast('virsh', 'times cheaper', 500, '×')],
  },
  {
    what: 'Writes in a steady cycle',
    checks: WRITES.map(([id, at]) => ({ id, at, compare: 'equal to', limit: 0, unit: '' })),
  },
  {
    what: 'Error of a 20 % cap while the daemon cycles at 10 Hz for 60 s',
    checks: [atMost('cap-error', '60 s', 5, '%')],
  },
  {
    what: 'Policy edit → last value in the kernel',
    checks: [
      atMost('edit-600', '600, without quotas', 1.5, '× C'),
      atMost('edit-quota-600', '600, with quotas', 1.5, '× C'),
      atMost('edit-5000', '5,000, without quotas', 1.5, '× C'),
      atMost('edit-quota-5000', '5,000, with quotas', 1.5, '× C'),
      atMost('edit-ms-5000', '5,000, without quotas', 150, 'ms'),
    ],
  },
  {
    what: 'libvirt’s own view caught up after a policy edit over 600 guests',
    checks: [atMost('libvirt-view', '600', 10, 's')],
  },
  {
    what: 'Cgroup directory appears → per-vCPU limit written, p99',
    checks: [atMost('arrival', 'p99', 4, '× C')],
  },
  {
    what: 'Scrape at 100 real guests against prometheus-libvirt-exporter, CPU with libvirtd’s',
    checks: [
      atLeast('exporter-time', 'times faster', 50, '×'),
      atLeast('exporter-cpu', 'times less CPU a series', 50, '×'),
    ],
  },
  {
    what: 'Exposition of 36,000 series',
    checks: [
      atMost('exposition', 'CPU', 7, 'ms'),
      { id: 'promtool', at: 'complaints of promtool', compare: 'equal to', limit: 0, unit: '' },
      { id: 'prometheus', at: 'series that a Prometheus did not take', compare: 'equal to', limit: 0, unit: '' },
    ],
  },
  {
    what: 'Share of a core at 600 guests, a scrape every 15 s',
    checks: [atMost('core-share', 'virtslad', 3, '%'), atMost('libvirtd-share', 'libvirtd because of it', 3, '%')],
  },
  {
    what: 'Stalls',
    checks: [
      atMost('stall', 'longest of the event loop, 600', 25, 'ms'),
      atMost('scrape-spread', 'scrape p99 ÷ p50 during cycles', 3, '×'),
    ],
  },
  {
    what: 'Resident memory',
    checks: [
      atMost('rss-0', '0', 110, 'MiB'),
      atMost('rss-600', '600', 125, 'MiB'),
      atMost('rss-1000', '1,000', 135, 'MiB'),
      atMost('rss-5000', '5,000', 200, 'MiB'),
      atMost('rss-skeleton', '0, against a skeleton with the same libraries', 1.25, '×'),
    ],
  },
  {
    what: 'Kernel memory for descriptors and watches',
    checks: [atMost('kernel-memory', 'a guest', 40, 'KB')],
  },
  {
    what: 'Start',
    checks: [
      atMost('start-600', 'start → all 600 reconciled', 500, 'ms'),
      atMost('start-ready', 'process start → ready', 400, 'ms'),
    ],
  },
  {
    what: 'Growth exponent 600 → 5,000',
    checks: [
      atMost('growth-cycle', 'cycle', 1.1, ''),
      atMost('growth-scrape', 'scrape', 1.1, ''),
      atMost('growth-rss', 'resident memory over that at 0', 1.1, ''),
    ],
  },
];

export type Judged =
  | { readonly verdict: 'reached' | 'missed'; readonly figure: Figure }
  | { readonly verdict: 'missed' | 'not run'; readonly figure: null; readonly reason: string };

export function judge(check: Check, figures: readonly Figure[], missing: readonly Missing[]): Judged {
  const figure = figures.find(({ id }) => id === check.id);
  if (figure === undefined || !Number.isFinite(figure.value)) {
    const why = missing.find(({ id }) => id === check.id);
    return {
      verdict: why?.missed === true ? 'missed' : 'not run',
      figure: null,
      reason: why?.reason ?? 'nothing measures it yet',
    };
  }
  const { value } = figure;
  const reached = {
    'at most': value <= check.limit,
    'at least': value >= check.limit,
    'equal to': value === check.limit,
  };
  return { verdict: reached[check.compare] ? 'reached' : 'missed', figure };
}

/** All results of one run together. */
export function merged(results: readonly Pick<Result, 'figures' | 'missing'>[]): {
  readonly figures: readonly Figure[];
  readonly missing: readonly Missing[];
} {
  return {
    figures: results.flatMap(({ figures }) => figures),
    missing: results.flatMap(({ missing = [] }) => missing),
  };
}
