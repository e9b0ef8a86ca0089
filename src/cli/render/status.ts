/**
 * `virtslad status`: a header on the daemon and the host, and one line a guest, worst first. Takes a snapshot, gives
 * text; the table alone is exported for live views.
 */

import { excessOf } from '../../snapshot/feasibility.js';
import type { DomainSnapshot, SliceSnapshot, Snapshot } from '../../snapshot/types.js';
import { printable } from '../../text/printable.js';
import { roundedSize } from '../../units.js';
import { complianceWords, VERDICT_ORDER, verdictOf, verdictPaint } from './compliance.js';
import type { Row } from './domain.js';
import { ioCostRows } from './io-cost.js';
import { securityRow } from './label.js';
import { classRows } from './objectives.js';
import { type Paint, PLAIN, type Style, styleFor } from './style.js';
import { type Cell, type Column, renderTable } from './table.js';
import { cores, handsOffAllWords, nameOf, plural, type Reader, someOf, span, timeOf } from './words.js';

export interface StatusTableOptions {
  /** Terminal columns; null or absent: as wide as it needs. */
  readonly width?: number | null;
  readonly color?: boolean;
  /** Adds a column with the CPU that each guest used in this earlier snapshot. */
  readonly previous?: Snapshot;
}

const BAR_CELLS = 10;

export function renderStatus(snapshot: Snapshot, reader: Reader, source: 'daemon' | 'local'): string {
  const lines = renderStatusHeader(snapshot, reader, source);
  if (snapshot.domains.length === 0) lines.push('', snapshot.libvirt.connected ? 'No guests.' : 'No guests are known.');
  else lines.push('', renderStatusTable(snapshot, reader).trimEnd());
  return `${lines.join('\n')}\n`;
}

/** Lines `label  words`; what is wrong is coloured. */
export function renderStatusHeader(snapshot: Snapshot, reader: Reader, source: 'daemon' | 'local'): string[] {
  const style = styleFor(reader.color);
  const rows: Row[] = [];
  const from = source === 'daemon' ? `daemon up ${span(reader.nowMs - snapshot.startedAtMs)}` : 'no daemon runs';
  rows.push(['virtslad', `${snapshot.version}, ${from}, mode ${snapshot.mode}`]);
  rows.push(policyRow(snapshot, reader, source, style));
  for (const problem of snapshot.policyProblems) rows.push(['', printable(problem, 1024), style.red]);
  const { pendingGeneration: pending } = snapshot;
  if (pending !== null) {
    const affected = `would change ${pending.domainsAffected} of ${plural(pending.domainsTotal, 'guest')}`;
    rows.push(['waiting', `generation ${pending.id} ${affected}, ${pending.allowed} allowed;`, style.yellow]);
    rows.push(['', `let it through: virtslad apply --once --acknowledge ${pending.id}`, style.yellow]);
  }
  rows.push(libvirtRow(snapshot, style));
  const security = securityRow(snapshot.host.security, style);
  if (security !== null) rows.push(security);
  rows.push(
    snapshot.killSwitch
      ? ['kill switch', 'ON: nothing is written while the file is there', style.red]
      : ['kill switch', 'off'],
  );
  if (snapshot.handsOffAll) rows.push(['hands-off', handsOffAllWords(snapshot), style.yellow]);
  rows.push(feasibilityRow(snapshot, style));
  rows.push(...classRows(snapshot, style));
  for (const slice of snapshot.host.slices.filter(({ status }) => status !== 'holds'))
    rows.push(['slices', sliceWords(slice), style.red]);
  rows.push(...ioCostRows(snapshot.host.ioCost, style));
  // The line on libvirt has said it.
  const lacks = snapshot.lacks.filter((lack) => !lack.startsWith('libvirt:'));
  for (const [index, lack] of lacks.entries())
    rows.push([index === 0 ? 'lacks' : '', printable(lack, 512), style.yellow]);
  if (snapshot.nextScheduleBoundaryMs !== null) {
    const away = span(snapshot.nextScheduleBoundaryMs - reader.nowMs);
    rows.push(['schedules', `next change in ${away}, at ${timeOf(snapshot.nextScheduleBoundaryMs, reader.timeZone)}`]);
  }
  return rows.map(
    ([label, words, paint]) => `${style.bold(label.padEnd(11))}  ${paint === undefined ? words : paint(words)}`,
  );
}

function policyRow(
  snapshot: Snapshot,
  reader: Reader,
  source: 'daemon' | 'local',
  style: Style,
): [string, string, Paint?] {
  const { generation } = snapshot;
  const failed = snapshot.lastReloadSuccessful ? '' : '; the files as they are now were refused';
  if (generation === null) return ['policy', `none accepted yet${failed}`, style.red];
  // One look accepts nothing: it shows what the files would make of the host.
  const since = source === 'daemon' ? `accepted ${span(reader.nowMs - generation.acceptedAtMs)} ago` : 'looked at now';
  const words = `generation ${generation.id}, ${since}, ${plural(generation.files.length, 'file')}${failed}`;
  return failed === '' ? ['policy', words] : ['policy', words, style.red];
}

function libvirtRow(snapshot: Snapshot, style: Style): [string, string, Paint?] {
  const { libvirt } = snapshot;
  if (libvirt.uri === null) return ['libvirt', 'not used'];
  if (!libvirt.connected) {
    const reason = libvirt.lastError === null ? '' : `: ${printable(libvirt.lastError, 256)}`;
    return ['libvirt', `not connected to ${printable(libvirt.uri)}${reason}`, style.red];
  }
  const version = libvirt.daemonVersion === null ? '' : ` (${libvirt.daemonVersion})`;
  const connected = `connected to ${printable(libvirt.uri)}${version}`;
  if (libvirt.quarantined.length === 0) return ['libvirt', connected];
  const names = libvirt.quarantined.map(
    (uuid) => snapshot.domains.find((domain) => domain.uuid === uuid)?.name ?? uuid,
  );
  return ['libvirt', `${connected}; does not answer for ${someOf(names)}`, style.yellow];
}

function sliceWords({ path, status, reason, desiredBytes, actualBytes }: SliceSnapshot): string {
  const stands = actualBytes === null ? 'cannot be read' : `stands at ${roundedSize(actualBytes)}`;
  const why = reason === null ? '' : `: ${printable(reason, 512)}`;
  return `${printable(path, 512)} ${stands}, ${roundedSize(desiredBytes)} needed; ${status}${why}`;
}

/** Weights keep guarantees only while their sum fits the host. */
export function feasibilityRow(snapshot: Snapshot, style: Style): [string, string, Paint?] {
  const { host, libvirt } = snapshot;
  if (snapshot.domains.length === 0 && libvirt.uri !== null && !libvirt.connected) {
    return ['guarantees', 'not known: libvirt has not said which guests there are', style.yellow];
  }
  const excess = excessOf(host);
  const others = excess.includes('weights') ? snapshot.domains.filter(isWithoutOurWeight).length : 0;
  const among = others === 0 ? '' : `, ${plural(others, 'guest')} without a weight of ours among them`;
  const said = [
    ['cores', `${cores(host.guaranteedCores)} of ${plural(host.cores, 'core')} guaranteed`],
    ['weights', `weights sum to ${host.weightSum} of ${host.weightCapacity}${among}`],
    ['memory', `${roundedSize(host.guaranteedMemoryBytes)} of ${roundedSize(host.memoryBytes)} memory guaranteed`],
  ] as const;
  const asked = said.filter(([what]) => what !== 'memory' || host.guaranteedMemoryBytes > 0);
  const words = (over: boolean): string =>
    asked.flatMap(([what, text]) => (excess.includes(what) === over ? [text] : [])).join(', ');
  if (excess.length === 0) return ['guarantees', `can all be kept at once: ${words(false)}`];
  // What there is too much of comes first.
  const fine = words(false);
  return ['guarantees', `CANNOT all be kept at once: ${words(true)}${fine && `; ${fine}`}`, style.red];
}

/** It competes with what stands there by itself, normally 100. */
function isWithoutOurWeight({ pid, controls }: DomainSnapshot): boolean {
  const weight = controls.find(({ id }) => id === 'cpu.weight');
  return pid !== null && (weight === undefined || weight.status === 'hands-off');
}

/** One line a guest, worst first, under a line of titles; ends with a newline. CPU figures are in cores. */
export function renderStatusTable(snapshot: Snapshot, options: StatusTableOptions = {}): string {
  const style = options.color === true ? styleFor(true) : PLAIN;
  const before = options.previous;
  const columns: readonly (Column | false)[] = [
    { title: 'GUEST', shrinkTo: 12 },
    { title: 'CLASS', shrinkTo: 6 },
    { title: 'STATE', expendable: 2 },
    before !== undefined && { title: 'BEFORE', align: 'right' },
    { title: 'CPU', align: 'right' },
    { title: 'LIMIT', align: 'right' },
    { title: 'OF LIMIT', expendable: 4 },
    { title: 'GUARANTEE', align: 'right', expendable: 1 },
    { title: 'THROTTLED', align: 'right', expendable: 3 },
    { title: 'COMPLIANT', shrinkTo: 24 },
  ];
  const rows = sorted(snapshot.domains).map((domain): readonly (Cell | false)[] => {
    const verdict = verdictOf(domain);
    const paint = verdictPaint(verdict, style);
    const quiet = verdict === 'off' || verdict === 'unmanaged' ? { paint: style.dim } : {};
    return [
      { text: nameOf(domain, snapshot), paint: verdict === 'off' ? style.dim : style.bold },
      { text: domain.className ?? '–', ...quiet },
      { text: domain.state, ...quiet },
      before !== undefined && { text: usedIn(before, domain.uuid) },
      { text: domain.cpu === null ? '–' : cores(domain.cpu.usedCores) },
      { text: limitOf(domain) },
      barOf(domain, style),
      { text: domain.guaranteedCores === null ? '–' : cores(domain.guaranteedCores) },
      throttledOf(domain, style),
      { text: complianceWords(domain, snapshot.atMs), paint },
    ];
  });
  const lines = renderTable(
    columns.filter((column) => column !== false),
    rows.map((row) => row.filter((cell) => cell !== false)),
    { width: options.width ?? null, paintTitle: style.dim },
  );
  return `${lines.map((line) => line.trimEnd()).join('\n')}\n`;
}

/** Worst first; then the more important class; then by name, `web-2` before `web-10`. */
export function sorted(domains: readonly DomainSnapshot[]): DomainSnapshot[] {
  const rank = (domain: DomainSnapshot): number => VERDICT_ORDER.indexOf(verdictOf(domain));
  const byName = new Intl.Collator('en', { numeric: true });
  return [...domains].sort(
    (a, b) =>
      rank(a) - rank(b) ||
      (b.priority ?? -1) - (a.priority ?? -1) ||
      byName.compare(a.name, b.name) ||
      (a.uuid < b.uuid ? -1 : 1),
  );
}

/** What the kernel holds: cores, `none`, `?` when unreadable, `–` when no policy asks. */
export function limitOf(domain: DomainSnapshot): string {
  const limit = domain.controls.find((control) => control.id === 'cpu.limit');
  if (limit === undefined || domain.pid === null) return '–';
  const actual = limit.amounts[0]?.actual;
  if (typeof actual === 'number') return cores(actual);
  return limit.actual === null || limit.settings.some((setting) => setting.actual === null) ? '?' : 'none';
}

function usedIn(snapshot: Snapshot, uuid: string): string {
  const cpu = snapshot.domains.find((domain) => domain.uuid === uuid)?.cpu;
  return cpu === null || cpu === undefined ? '–' : cores(cpu.usedCores);
}

/** Used against the limit in force, or against all vCPUs where there is none. */
function barOf(domain: DomainSnapshot, style: Style): Cell {
  const ceiling = domain.controls.find((control) => control.id === 'cpu.limit')?.amounts[0]?.actual ?? domain.vcpus;
  if (domain.cpu === null || ceiling <= 0) return { text: '' };
  const full = Math.min(BAR_CELLS, Math.round((domain.cpu.usedCores / ceiling) * BAR_CELLS));
  return { text: '█'.repeat(full) + '░'.repeat(BAR_CELLS - full), paint: style.cyan };
}

function throttledOf(domain: DomainSnapshot, style: Style): Cell {
  if (domain.cpu === null) return { text: '–' };
  const text = cores(domain.cpu.throttledCores);
  return domain.cpu.throttledCores >= 0.01 ? { text, paint: style.yellow } : { text };
}
