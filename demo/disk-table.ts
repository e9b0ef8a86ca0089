/**
 * The demo's second table: reads a second of the guest that reads its disk for ever, before and now, and their limit. Takes
 * rows, gives text.
 */
import { styleFor } from '../src/cli/render/style.js';
import { type Column, renderTable } from '../src/cli/render/table.js';
import type { ControlSnapshot, DomainSnapshot } from '../src/snapshot/types.js';
import type { TableOptions } from './table.js';

export interface DiskRow {
  readonly guest: string;
  /** null: not known yet. */
  readonly className: string | null;
  readonly limit: ReadLimit | null;
  readonly beforePerSecond: number | null;
  readonly nowPerSecond: number | null;
}

export interface ReadLimit {
  readonly readsPerSecond: number;
  readonly by: 'QEMU' | 'cgroup';
}

/** What counts the requests and what limits them are two clocks. */
const TOLERANCE = 0.1;
const METRICS = ['disk_limit_read_operations_per_second', 'disk_limit_operations_per_second'];

/** What stands between the guest and its disk now, as the daemon has read it back; null without a limit of reads. */
export function readLimitOf(domain: DomainSnapshot | undefined): ReadLimit | null {
  const control = domain?.controls.find(({ id }) => id === 'disk.limit');
  const limits = (control?.amounts ?? []).flatMap(({ metric, actual }) =>
    METRICS.includes(metric) && typeof actual === 'number' ? [actual] : [],
  );
  return control === undefined || limits.length === 0
    ? null
    : { readsPerSecond: Math.min(...limits), by: enforcerOf(control) };
}

export function enforcerOf({ settings }: Pick<ControlSnapshot, 'settings'>): 'QEMU' | 'cgroup' {
  return settings.some(({ path }) => path.startsWith('qemu:')) ? 'QEMU' : 'cgroup';
}

/** A guest without a limit has none to break. */
export function diskLimitHolds({ className, limit, nowPerSecond }: DiskRow): boolean {
  if (className === null || nowPerSecond === null) return false;
  return limit === null || nowPerSecond <= limit.readsPerSecond * (1 + TOLERANCE);
}

export function renderDiskTable(rows: readonly DiskRow[], { color, width }: TableOptions): string[] {
  const style = styleFor(color);
  const columns: readonly Column[] = [
    { title: 'GUEST' },
    { title: 'CLASS' },
    { title: 'DISK LIMIT', align: 'right' },
    { title: 'BY', expendable: 1 },
    { title: 'READS/S BEFORE', align: 'right' },
    { title: 'READS/S NOW', align: 'right' },
    { title: '' },
  ];
  const cells = rows.map((row) => {
    const { guest, className, limit, beforePerSecond, nowPerSecond } = row;
    const isKnown = className !== null && nowPerSecond !== null && limit !== null;
    const paint = !isKnown ? style.dim : diskLimitHolds(row) ? style.green : style.red;
    const none = className === null ? '–' : 'none here';
    return [
      { text: guest, paint: style.bold },
      { text: className ?? '–' },
      { text: limit === null ? none : `${limit.readsPerSecond} reads/s` },
      { text: limit?.by ?? '' },
      { text: figure(beforePerSecond), paint: style.dim },
      { text: figure(nowPerSecond), paint },
      { text: !isKnown ? '' : diskLimitHolds(row) ? '✓ kept' : '✗ over its limit', paint },
    ];
  });
  return renderTable(columns, cells, { width, indent: '  ', paintTitle: style.dim }).map((line) => line.trimEnd());
}

function figure(perSecond: number | null): string {
  return perSecond === null ? '–' : String(Math.round(perSecond));
}
