/**
 * `virtslad plan` as text: what would be written, guest by guest, like a diff; then what would not be done and why;
 * then a summary. Takes a plan report, gives text.
 */

import type { PlannedChange, PlanReport } from '../../reconcile/types.js';
import { isFeasible } from '../../snapshot/feasibility.js';
import type { Snapshot } from '../../snapshot/types.js';
import { printable } from '../../text/printable.js';
import { formatCpuList } from '../../units.js';
import { pad, widthOf } from './cell.js';
import { verdictOf } from './compliance.js';
import { groupBy } from './group.js';
import { leftAlone, type NotDone, notDone } from './not-done.js';
import { rawWords } from './raw-words.js';
import { feasibilityRow } from './status.js';
import { type Style, styleFor } from './style.js';
import { nameOf, plural, positionOf, type Reader } from './words.js';

export interface PlanOptions {
  /** Adds the raw text of every write. */
  readonly verbose?: boolean;
}

/** The writes of one control of one guest that go the same way: one line of the diff. */
interface PlanLine {
  readonly action: PlannedChange['action'];
  readonly control: string;
  readonly from: string;
  readonly to: string;
  readonly why: string;
  readonly where: string;
  readonly writes: readonly PlannedChange[];
}

/** Uuid of what is set on the host, for all guests. */
export const HOST = 'host';

/** A longer value stands out of line, so that one guest's many disks do not push all else off the screen. */
const ALIGNED_WIDTH_MOST = 40;

/** In the order of the summary. */
const SUMMED: readonly NotDone['kind'][] = [
  'violated',
  'refused',
  'overridden',
  'contested',
  'failed',
  'obstructed',
  'pending-restart',
  'unsupported',
];

const SYMBOL: Readonly<Record<PlannedChange['action'], string>> = { add: '+', change: '~', restore: '-' };

export function renderPlan(report: PlanReport, reader: Reader, options: PlanOptions = {}): string {
  const style = styleFor(reader.color);
  const { snapshot } = report;
  const byGuest = groupBy(report.changes, (change) => change.uuid);
  const out: string[] = [];
  const byName = new Intl.Collator('en', { numeric: true });
  const guests = [...byGuest.values()].sort(([a], [b]) => byName.compare(a.domain, b.domain));
  for (const changes of guests) out.push(...guestLines(changes, snapshot, style, options), '');
  const skipped = notDone(snapshot);
  if (skipped.length > 0) {
    out.push(style.bold('Not done'));
    for (const entry of skipped) out.push(`  ${style.yellow('!')} ${entry.words}`);
    out.push('');
  }
  const alone = leftAlone(snapshot, reader.timeZone);
  if (alone.length > 0) out.push(style.bold('Hands-off'), ...alone.map((words) => `    ${words}`), '');
  out.push(...notes(report, style), summaryOf(report));
  return `${out.join('\n')}\n`;
}

/** `3 guests: 4 to add, 1 to change, 0 to restore; 1 unsupported; 597 guests already hold`. Counts controls. */
export function summaryOf(report: PlanReport): string {
  const { snapshot } = report;
  const changing = new Set(report.changes.map((change) => change.uuid).filter((uuid) => uuid !== HOST));
  const lines = { add: 0, change: 0, restore: 0 };
  const byUuid = groupBy(report.changes, (change) => change.uuid);
  for (const changes of byUuid.values()) {
    for (const line of linesOf(changes, snapshot)) lines[line.action]++;
  }
  const holding = snapshot.domains.filter((domain) => verdictOf(domain) === 'good' && !changing.has(domain.uuid));
  const skipped = notDone(snapshot);
  const parts = [
    byUuid.size === 0
      ? snapshot.libvirt.uri !== null && !snapshot.libvirt.connected
        ? 'Not known: libvirt is away'
        : 'Nothing to do'
      : `${plural(changing.size, 'guest')}${changing.size < byUuid.size ? ' and the host' : ''}: ${lines.add} to add, ${lines.change} to change, ${lines.restore} to restore`,
  ];
  for (const kind of SUMMED) {
    const alike = skipped.filter((entry) => entry.kind === kind);
    const found = alike.reduce((sum, { count }) => sum + count, 0);
    if (found > 0) parts.push(`${found} ${kind}`);
  }
  parts.push(`${plural(holding.length, 'guest')} already hold${holding.length === 1 ? 's' : ''}`);
  const alone = snapshot.domains.filter((domain) => verdictOf(domain) === 'hands-off').length;
  if (alone > 0) parts.push(`${plural(alone, 'guest')} left alone`);
  return parts.join('; ');
}

function guestLines(
  changes: readonly PlannedChange[],
  snapshot: Snapshot,
  style: Style,
  options: PlanOptions,
): string[] {
  const first = changes[0] as PlannedChange;
  const domain = snapshot.domains.find((candidate) => candidate.uuid === first.uuid);
  const name = domain === undefined ? printable(first.domain) : nameOf(domain, snapshot);
  const className = first.className ?? domain?.className ?? null;
  const assigned = positionOf(domain?.assignedBy ?? null);
  const whose = first.uuid === HOST ? 'for all guests together' : (className ?? 'no class');
  const heading = `${style.bold(name)} (${whose})${assigned === '' ? '' : `  ${style.dim(assigned)}`}`;
  const lines = linesOf(changes, snapshot);
  const widest = (read: (line: PlanLine) => string, most = Number.POSITIVE_INFINITY): number =>
    Math.max(0, ...lines.map((line) => widthOf(read(line))).filter((width) => width <= most));
  const widths = {
    control: widest((line) => line.control),
    from: widest((line) => line.from, ALIGNED_WIDTH_MOST),
    to: widest((line) => line.to, ALIGNED_WIDTH_MOST),
    why: widest((line) => line.why),
  };
  const body = lines.flatMap((line) => {
    const paint = { add: style.green, change: style.yellow, restore: style.red }[line.action];
    const values = `${pad(line.from, widths.from, 'right')} → ${pad(line.to, widths.to)}`;
    const left = paint(`${SYMBOL[line.action]} ${pad(line.control, widths.control)}  ${values}`);
    const row = `  ${left}  ${pad(line.why, widths.why)}  ${style.dim(line.where)}`.trimEnd();
    return options.verbose === true ? [row, ...rawLines(line.writes, style)] : [row];
  });
  return [heading, ...body];
}

function linesOf(changes: readonly PlannedChange[], snapshot: Snapshot): PlanLine[] {
  const domain = snapshot.domains.find(({ uuid }) => uuid === changes[0]?.uuid);
  // Of the host each file, and each disk in it, is a matter of its own.
  const kindOf = ({ uuid, control, action, key }: PlannedChange): string =>
    `${control} ${action}${uuid === HOST ? ` ${key}` : ''}`;
  return [...groupBy(changes, kindOf).values()].map((writes) => {
    const [first] = writes;
    const control = domain?.controls.find((candidate) => candidate.id === first.control);
    // The words of the snapshot say what the policy asks; a restore goes to what was there before.
    const words = first.action === 'restore' ? null : control?.desired;
    const { cpuVersion } = snapshot.host;
    const schedule = control?.asked?.schedule ?? null;
    return {
      action: first.action,
      control: first.control,
      from:
        control?.actual ??
        rawWords(writes, 'from', cpuVersion) ??
        rawOf(writes.map(({ from }) => from ?? 'unreadable')),
      to: words ?? rawWords(writes, 'to', cpuVersion) ?? rawOf(writes.map(({ to }) => to)),
      why: whyWords(first, schedule),
      where: positionOf(first.source),
      writes,
    };
  });
}

function whyWords(change: PlannedChange, schedule: string | null): string {
  switch (change.why) {
    case 'schedule':
      return schedule === null ? 'schedule ended' : `schedule ${schedule}`;
    case 'policy':
      return schedule === null ? 'policy' : `policy, schedule ${schedule}`;
    case 'leave':
      return 'no longer asked for';
    case 'start':
      return 'guest started';
    default:
      return change.why;
  }
}

/** One text if all are the same, else all of them. */
function rawOf(texts: readonly string[]): string {
  return [...new Set(texts)].map((text) => JSON.stringify(text)).join(' / ');
}

/** Writes of the same text to `vcpuN` groups side by side as one line: `vcpu0-3/cpu.max`. */
function rawLines(writes: readonly PlannedChange[], style: Style): string[] {
  const alike = groupBy(writes, (write) => {
    const tail = /^vcpu\d+\/(.+)$/.exec(write.key)?.[1] ?? write.key;
    return JSON.stringify([tail, write.from, write.to]);
  });
  return [...alike.values()].map((group) => {
    const [first] = group;
    const values = `${first.from === null ? 'unreadable' : JSON.stringify(first.from)} → ${JSON.stringify(first.to)}`;
    return style.dim(`      ${keysOf(group.map((write) => write.key))}  ${values}`);
  });
}

export function keysOf(keys: readonly string[]): string {
  const groups = keys.map((key) => /^vcpu(\d+)(\/.+)$/.exec(key));
  const numbers = groups.map((match) => Number(match?.[1]));
  if (numbers.some(Number.isNaN)) return keys.join(', ');
  return `vcpu${formatCpuList(numbers.sort((a, b) => a - b))}${groups[0]?.[2]}`;
}

/** What stands in the way of the whole plan. */
function notes(report: PlanReport, style: Style): string[] {
  const { snapshot } = report;
  const found: string[] = [];
  if (report.generation === null)
    found.push(style.red('No policy has been accepted, so nothing is asked of any guest.'));
  if (snapshot.killSwitch) found.push(style.red('The kill switch is on: apply would write nothing.'));
  if (snapshot.mode === 'observe') found.push(style.yellow('The mode is observe: apply would write nothing.'));
  const { pendingGeneration: pending } = snapshot;
  if (pending !== null) {
    const affected = `${pending.domainsAffected} of ${plural(pending.domainsTotal, 'guest')}`;
    const stop = `Generation ${pending.id} would change ${affected}, more than the ${pending.allowed} allowed;`;
    found.push(style.yellow(`${stop} virtslad apply --once --acknowledge ${pending.id} lets it through.`));
  }
  if (!isFeasible(snapshot.host)) {
    const [, words] = feasibilityRow(snapshot, style);
    found.push(style.red(`The guarantees ${words}.`));
  }
  return found.length === 0 ? [] : [...found, ''];
}
