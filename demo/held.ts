/**
 * What else the daemon holds beside the CPU limits of the table, and what it was asked for and cannot do here, with the
 * reason. Takes the guests as the daemon shows them, gives lines cut to the width of the screen.
 */
import { cut, pad, widthOf } from '../src/cli/render/cell.js';
import { styleFor } from '../src/cli/render/style.js';
import type { ControlSnapshot, DomainSnapshot } from '../src/snapshot/types.js';
import { enforcerOf } from './disk-table.js';
import type { TableOptions } from './table.js';

/** A line: guest and control, in either order, and what is said of them. */
type Row = readonly [first: string, second: string, words: string];

export function renderHeld(domains: readonly DomainSnapshot[], { color, width }: TableOptions): string[] {
  const style = styleFor(color);
  const block = (title: string, rows: readonly Row[]): string[] => {
    const [first, second] = [0, 1].map((column) => Math.max(...rows.map((row) => widthOf(row[column] ?? ''))));
    const lines = rows.map(([one, two, words]) => {
      const start = `    ${style.bold(pad(one, first ?? 0))}  ${pad(two, second ?? 0)}  `;
      return start + (width === null ? words : cut(words, width - (first ?? 0) - (second ?? 0) - '        '.length));
    });
    return rows.length === 0 ? [] : [style.dim(`  ${title}`), ...lines];
  };
  return [...block('Also held', heldRows(domains)), ...block('Asked for and not held', missingRows(domains))];
}

/** A line for each control of each guest: `db-1  disk.limit  8000 iops (by QEMU)`. */
function heldRows(domains: readonly DomainSnapshot[]): Row[] {
  return domains.flatMap(({ name, controls }) =>
    controls
      .filter(({ id, status }) => status === 'holds' && id !== 'cpu.limit')
      .map((control, index): Row => [index === 0 ? name : '', control.id, heldWords(control)]),
  );
}

function heldWords(control: ControlSnapshot): string {
  return `${control.desired ?? ''}${control.id === 'disk.limit' ? ` (by ${enforcerOf(control)})` : ''}`;
}

/** A line for each reason, with all guests whom it concerns: `memory.guarantee  db-1, web-1  cgroup v1 cannot …`. */
function missingRows(domains: readonly DomainSnapshot[]): Row[] {
  const guestsOf = new Map<string, { readonly id: string; readonly why: string; readonly names: string[] }>();
  for (const { name, controls } of domains) {
    for (const { id, status, reason } of controls) {
      if (status === 'holds') continue;
      const why = status === 'unsupported' ? (reason ?? status) : [status, reason].filter(Boolean).join(': ');
      const key = JSON.stringify([id, why]);
      const known = guestsOf.get(key);
      if (known === undefined) guestsOf.set(key, { id, why, names: [name] });
      else known.names.push(name);
    }
  }
  return [...guestsOf.values()].map(({ id, why, names }): Row => [id, names.join(', '), why]);
}
