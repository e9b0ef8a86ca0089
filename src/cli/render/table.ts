/**
 * Rows and columns as aligned text. Takes cells with an optional paint, gives lines no wider than asked: columns that
 * may shrink are cut first, then whole columns go, the least important first. Numbers are never cut.
 */
import { cut, pad, widthOf } from './cell.js';
import type { Paint } from './style.js';

export interface Column {
  readonly title: string;
  readonly align?: 'left' | 'right';
  /** May be cut down to this many columns. */
  readonly shrinkTo?: number;
  /** Left out when the table is still too wide; the highest goes first. Absent: never. */
  readonly expendable?: number;
}

export interface Cell {
  readonly text: string;
  readonly paint?: Paint;
}

export interface TableOptions {
  /** Terminal columns; null: as wide as it needs. */
  readonly width: number | null;
  readonly indent?: string;
  readonly paintTitle?: Paint;
}

const GAP = '  ';

export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  options: TableOptions,
): string[] {
  const indent = options.indent ?? '';
  const natural = columns.map((column, index) =>
    Math.max(widthOf(column.title), ...rows.map((row) => widthOf(row[index]?.text ?? ''))),
  );
  const room = options.width === null ? Number.POSITIVE_INFINITY : options.width - indent.length;
  const { shown, widths } = fit(columns, natural, room);
  const line = (cells: readonly Cell[]): string =>
    indent +
    shown
      .map((index, position) => {
        const cell = cells[index] ?? { text: '' };
        const last = position === shown.length - 1;
        return layOut(cell, widths[index] ?? 0, columns[index]?.align ?? 'left', last);
      })
      .join(GAP);
  const title = (text: string): Cell =>
    options.paintTitle === undefined ? { text } : { text, paint: options.paintTitle };
  return [line(columns.map((column) => title(column.title))), ...rows.map(line)];
}

/** Paint goes on the text alone, so that padding is not underlined or coloured. */
function layOut(cell: Cell, width: number, align: 'left' | 'right', last: boolean): string {
  const text = cut(cell.text, width);
  const painted = cell.paint === undefined ? text : cell.paint(text);
  const padding = pad('', width - widthOf(text));
  if (align === 'right') return padding + painted;
  return last ? painted : painted + padding;
}

function fit(
  columns: readonly Column[],
  natural: readonly number[],
  room: number,
): { shown: number[]; widths: number[] } {
  let shown = columns.map((_, index) => index);
  for (;;) {
    const widths = [...natural];
    let excess = total(shown, widths) - room;
    // The widest of the columns that may shrink gives way first.
    while (excess > 0) {
      const giving = shown
        .filter((index) => (widths[index] ?? 0) > (columns[index]?.shrinkTo ?? Number.POSITIVE_INFINITY))
        .sort((a, b) => (widths[b] ?? 0) - (widths[a] ?? 0));
      const widest = giving[0];
      if (widest === undefined) break;
      const next = giving[1] === undefined ? 0 : (widths[giving[1]] ?? 0);
      const floor = Math.max(columns[widest]?.shrinkTo ?? 0, Math.min(next, (widths[widest] ?? 0) - 1));
      const step = Math.min(excess, (widths[widest] ?? 0) - floor);
      widths[widest] = (widths[widest] ?? 0) - step;
      excess -= step;
    }
    if (excess <= 0) return { shown, widths };
    const least = shown
      .filter((index) => columns[index]?.expendable !== undefined)
      .sort((a, b) => (columns[b]?.expendable ?? 0) - (columns[a]?.expendable ?? 0))[0];
    if (least === undefined) return { shown, widths };
    shown = shown.filter((index) => index !== least);
  }
}

function total(shown: readonly number[], widths: readonly number[]): number {
  return shown.reduce((sum, index) => sum + (widths[index] ?? 0), 0) + GAP.length * (shown.length - 1);
}
