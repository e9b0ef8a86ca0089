/**
 * The demo's table: what each guest is promised, what it used before, what it uses now. Takes rows in cores, gives text;
 * the bar's mark is the limit.
 */
import { type Style, styleFor } from '../src/cli/render/style.js';
import { type Cell, type Column, renderTable } from '../src/cli/render/table.js';

export interface Row {
  readonly guest: string;
  /** null: not known yet. */
  readonly className: string | null;
  readonly vcpus: number;
  readonly guaranteedCores: number | null;
  /** null: no limit. */
  readonly limitCores: number | null;
  readonly beforeCores: number | null;
  readonly nowCores: number | null;
}

export interface TableOptions {
  readonly color: boolean;
  /** Terminal columns; null: as wide as it needs. */
  readonly width: number | null;
}

const BAR_CELLS = 24;
/** A guest may be over its limit by this much within one measurement. */
export const TOLERANCE_CORES = 0.03;

export function renderDemoTable(rows: readonly Row[], { color, width }: TableOptions): string[] {
  const style = styleFor(color);
  const mostCores = Math.max(...rows.map(({ vcpus }) => vcpus));
  const columns: readonly Column[] = [
    { title: 'GUEST' },
    { title: 'CLASS' },
    { title: 'vCPUs', align: 'right', expendable: 2 },
    { title: 'GUARANTEE', align: 'right' },
    { title: 'LIMIT', align: 'right' },
    { title: 'CPU BEFORE', align: 'right' },
    { title: 'CPU NOW', align: 'right' },
    { title: '', expendable: 3 },
    { title: '' },
  ];
  return renderTable(
    columns,
    rows.map((row) => cells(row, mostCores, style)),
    { width, indent: '  ', paintTitle: style.dim },
  ).map((line) => line.trimEnd());
}

function cells(row: Row, mostCores: number, style: Style): Cell[] {
  const verdict = judge(row);
  const paint = { kept: style.green, over: style.red, short: style.yellow, unknown: style.dim }[verdict];
  const words = { kept: '✓ kept', over: '✗ over its limit', short: '✗ short of its guarantee', unknown: '' }[verdict];
  return [
    { text: row.guest, paint: style.bold },
    { text: row.className ?? '–' },
    { text: String(row.vcpus) },
    { text: cores(row.guaranteedCores) },
    { text: row.className !== null && row.limitCores === null ? 'none' : cores(row.limitCores) },
    { text: cores(row.beforeCores), paint: style.dim },
    { text: cores(row.nowCores), paint },
    { text: bar(row, mostCores) },
    { text: words, paint },
  ];
}

export type Verdict = 'kept' | 'over' | 'short' | 'unknown';

/** Whether limit and guarantee hold right now; every guest of the demo wants all it can get. */
export function judge({ className, limitCores, guaranteedCores, nowCores, vcpus }: Row): Verdict {
  if (className === null || nowCores === null) return 'unknown';
  if (nowCores > (limitCores ?? vcpus) + TOLERANCE_CORES) return 'over';
  const owedCores = guaranteedCores ?? 0;
  return nowCores >= owedCores - Math.max(TOLERANCE_CORES, 0.05 * owedCores) ? 'kept' : 'short';
}

function bar({ beforeCores, nowCores, limitCores, vcpus }: Row, mostCores: number): string {
  const cell = (value: number): number => Math.round((value / mostCores) * BAR_CELLS);
  const used = cell(nowCores ?? beforeCores ?? 0);
  const drawn = Array.from({ length: BAR_CELLS }, (_, index) => (index < used ? '█' : index < cell(vcpus) ? '·' : ' '));
  if (limitCores === null) return drawn.join('');
  return `${drawn.slice(0, cell(limitCores)).join('')}▏${drawn.slice(cell(limitCores)).join('')}`;
}

function cores(value: number | null): string {
  return value === null ? '–' : value.toFixed(2);
}
