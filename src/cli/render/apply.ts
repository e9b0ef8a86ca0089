/**
 * What `apply --once`, `release` and `resume` did: one line a control, then a summary. Takes an apply report, gives
 * text; and whether it counts as done, for the exit code.
 */

import type { ApplyReport, ControlOutcome, Outcome, PlannedChange } from '../../reconcile/types.js';
import { printable } from '../../text/printable.js';
import { groupBy } from './group.js';
import { HOST, keysOf } from './plan.js';
import { type Style, styleFor } from './style.js';
import { plural, type Reader } from './words.js';

/** `unchanged` is said in the summary only. */
const SHOWN: readonly Outcome[] = ['failed', 'refused', 'applied', 'vanished', 'unsupported'];

export function renderApply(report: ApplyReport, reader: Reader): string {
  const style = styleFor(reader.color);
  const out: string[] = [];
  const shown = report.outcomes
    .filter(({ outcome }) => SHOWN.includes(outcome) && outcome !== 'unsupported')
    .sort((a, b) => SHOWN.indexOf(a.outcome) - SHOWN.indexOf(b.outcome));
  for (const outcome of shown) out.push(...outcomeLines(outcome, report, style));
  const missing = groupBy(
    report.outcomes.filter(({ outcome }) => outcome === 'unsupported'),
    ({ message }) => printable(message ?? 'unsupported', 512),
  );
  for (const [reason, entries] of missing) {
    const controls = [...new Set(entries.map(({ control }) => control))].join(', ');
    const guests = new Set(entries.map(({ uuid }) => uuid)).size;
    out.push(style.dim(`unsupported  ${controls}: ${reason} (${plural(guests, 'guest')})`));
  }
  if (report.stopped !== null) out.push(style.yellow(`Nothing was written: ${printable(report.stopped, 1024)}`));
  if (report.stopped === null || report.outcomes.length > 0) out.push(summaryOf(report));
  return `${out.join('\n')}\n`;
}

export function summaryOf(report: ApplyReport): string {
  const count = (outcome: Outcome): number => report.outcomes.filter((entry) => entry.outcome === outcome).length;
  const parts = [`${count('applied')} applied`, `${count('unchanged')} unchanged`];
  for (const outcome of ['failed', 'refused', 'unsupported', 'vanished'] as const) {
    if (count(outcome) > 0) parts.push(`${count(outcome)} ${outcome}`);
  }
  const uuids = new Set(report.outcomes.map(({ uuid }) => uuid));
  const host = uuids.delete(HOST) ? ' and the host' : '';
  return `${plural(uuids.size, 'guest')}${host}: ${parts.join(', ')}`;
}

function outcomeLines(entry: ControlOutcome, report: ApplyReport, style: Style): string[] {
  const paint = { applied: style.green, failed: style.red, refused: style.red }[entry.outcome as string] ?? style.dim;
  const message = entry.message === null ? '' : `: ${printable(entry.message, 512)}`;
  const head = `${paint(entry.outcome.padEnd(11))}  ${style.bold(printable(entry.domain))} ${entry.control}${message}`;
  const changes = report.changes.filter(({ uuid, control }) => uuid === entry.uuid && control === entry.control);
  const alike = groupBy(changes, ({ from, to }) => JSON.stringify([from, to]));
  return [head, ...[...alike.values()].map((writes) => style.dim(writesLine(writes)))];
}

function writesLine(writes: readonly [PlannedChange, ...PlannedChange[]]): string {
  const [{ from, to }] = writes;
  const before = from === null ? 'unreadable' : JSON.stringify(from);
  return `             ${keysOf(writes.map(({ key }) => key))}  ${before} → ${JSON.stringify(to)}`;
}
