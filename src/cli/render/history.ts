/** `virtslad history`: past writes, oldest first, one line each. Takes history entries, gives text. */

import type { HistoryEntry } from '../../reconcile/types.js';
import { printable } from '../../text/printable.js';
import { styleFor } from './style.js';
import { renderTable } from './table.js';
import { type Reader, timeOf } from './words.js';

export function renderHistory(entries: readonly HistoryEntry[], reader: Reader): string {
  const style = styleFor(reader.color);
  const rows = entries.map((entry) => {
    const failed = entry.outcome === 'failed' || entry.outcome === 'refused';
    const message = entry.message === null ? '' : `: ${printable(entry.message, 512)}`;
    return [
      { text: timeOf(entry.atMs, reader.timeZone), paint: style.dim },
      { text: printable(entry.domain), paint: style.bold },
      { text: entry.key === entry.control ? entry.control : `${entry.control} ${entry.key}` },
      { text: `${quoted(entry.from)} → ${quoted(entry.to)}` },
      { text: entry.why },
      { text: entry.outcome + message, paint: failed ? style.red : style.green },
      { text: entry.source === null ? '' : printable(entry.source, 1024), paint: style.dim },
    ];
  });
  const columns = [
    { title: 'TIME' },
    { title: 'GUEST', shrinkTo: 12 },
    { title: 'CONTROL' },
    { title: 'FROM → TO' },
    { title: 'WHY' },
    { title: 'OUTCOME', shrinkTo: 16 },
    { title: 'ASKED AT', shrinkTo: 16, expendable: 1 },
  ];
  const lines = renderTable(columns, rows, { width: reader.width, paintTitle: style.dim });
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

function quoted(text: string | null): string {
  return text === null ? 'unreadable' : JSON.stringify(printable(text));
}
