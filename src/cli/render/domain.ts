/**
 * What is said of one guest as a whole: the verdict in one line, then labelled facts. `status DOMAIN` adds one line a
 * control, `explain` (explain.ts) the whole story of each. Takes a snapshot and one of its domains, gives text.
 */

import type { DomainSnapshot, Snapshot } from '../../snapshot/types.js';
import { printable } from '../../text/printable.js';
import { complianceWords, statusPaint, verdictOf, verdictPaint, worstFirst } from './compliance.js';
import { labelRows } from './label.js';
import { objectiveRows } from './objectives.js';
import { signalRows } from './signals.js';
import { type Paint, type Style, styleFor } from './style.js';
import { renderTable } from './table.js';
import { cores, handsOffWords, nameOf, plural, positionOf, type Reader, span } from './words.js';

export type Row = readonly [label: string, words: string, paint?: Paint | undefined];

export function renderDomainStatus(
  domain: DomainSnapshot,
  snapshot: Snapshot,
  reader: Reader,
  source: 'daemon' | 'local',
): string {
  const style = styleFor(reader.color);
  const rows = domainRows(domain, snapshot, reader, source, style);
  const out = [headline(domain, snapshot, style), '', ...layOut(rows, '', style)];
  if (domain.controls.length > 0) {
    const columns = [{ title: 'CONTROL' }, { title: 'STATUS' }, { title: 'DESIRED' }, { title: 'ACTUAL' }];
    const table = renderTable(
      [...columns, { title: 'WHY', shrinkTo: 20 }],
      [...domain.controls]
        .sort(worstFirst)
        .map((control) => [
          { text: control.id, paint: style.bold },
          { text: control.status, paint: statusPaint(control.status, style) },
          { text: control.desired ?? '–' },
          { text: control.actual ?? '–' },
          { text: control.reason === null ? '' : printable(control.reason, 512) },
        ]),
      { width: reader.width, paintTitle: style.dim },
    );
    out.push('', ...table.map((line) => line.trimEnd()));
  }
  return `${out.join('\n')}\n`;
}

/** Columns of the labels: as wide as `vcpu0-1/cpu.max` with its indent, so that blocks line up. */
const LABEL_WIDTH = 17;

export function headline(domain: DomainSnapshot, snapshot: Snapshot, style: Style): string {
  const verdict = verdictOf(domain);
  const words = complianceWords(domain, snapshot.atMs);
  const says: Readonly<Record<typeof verdict, string>> = {
    bad: `not compliant, ${words.replace(/^no: /, '')}`,
    good: `compliant, every supported control holds its desired value${missingWords(domain)}`,
    'hands-off': `hands-off: ${words}; nothing is written`,
    starting: 'starting',
    unmanaged: 'not managed: no assignment matches it, or `manage` in the configuration leaves it out',
    off: `not running (${domain.state})`,
  };
  return `${style.bold(nameOf(domain, snapshot))}: ${verdictPaint(verdict, style)(says[verdict])}`;
}

function missingWords({ controls }: DomainSnapshot): string {
  const missing = controls.filter(({ status }) => status === 'unsupported').length;
  return missing === 0 ? '' : `; ${missing} of ${controls.length} are not supported`;
}

export function domainRows(
  domain: DomainSnapshot,
  snapshot: Snapshot,
  reader: Reader,
  source: 'daemon' | 'local',
  style: Style,
): Row[] {
  const rows: Row[] = [['uuid', domain.uuid]];
  const running = [plural(domain.vcpus, 'vCPU')];
  if (domain.id !== null) running.push(`libvirt id ${domain.id}`);
  if (domain.pid !== null) running.push(`pid ${domain.pid}`);
  rows.push(['state', domain.pid === null ? domain.state : `${domain.state}, ${running.join(', ')}`]);
  if (domain.className === null) rows.push(['class', 'none']);
  else {
    const priority = domain.priority === null ? '' : `, priority ${domain.priority}`;
    rows.push(['class', `${domain.className}${priority}`]);
    rows.push(['assigned by', positionOf(domain.assignedBy)]);
  }
  rows.push([
    'schedules',
    domain.openSchedules.length === 0 ? 'none open' : `open: ${domain.openSchedules.join(', ')}`,
  ]);
  if (domain.handsOff !== null) {
    rows.push([
      'hands-off',
      `${handsOffWords(domain.handsOff, reader.timeZone)}; virtslad resume ends it`,
      style.yellow,
    ]);
  } else if (snapshot.handsOffAll) {
    rows.push(['hands-off', 'every guest is released; virtslad resume --all ends it', style.yellow]);
  }
  if (domain.guaranteedCores !== null) rows.push(['guaranteed', `${cores(domain.guaranteedCores)} cores`]);
  if (domain.cpu !== null) {
    const { usedCores, waitCores, throttledCores } = domain.cpu;
    const own = Math.max(0, waitCores - throttledCores);
    rows.push([
      'CPU now',
      `uses ${cores(usedCores)} cores, waits for ${cores(own)}, throttled by its limit for ${cores(throttledCores)}`,
    ]);
  }
  rows.push(...signalRows(domain, snapshot.atMs, style));
  rows.push(...objectiveRows(domain.objectives, style));
  rows.push(...labelRows(domain, snapshot.atMs, style));
  if (domain.cgroup !== null) rows.push(['cgroup', printable(domain.cgroup, 1024)]);
  if (domain.obstacle !== null) rows.push(['obstacle', printable(domain.obstacle, 512), style.red]);
  rows.push(libvirtRow(domain, snapshot, style));
  const repairs = snapshot.driftRepairsByDomain[domain.uuid] ?? 0;
  if (repairs > 0) rows.push(['drift', `repaired ${plural(repairs, 'time')} since it started`, style.yellow]);
  const generation = snapshot.generation === null ? 'no policy accepted' : `generation ${snapshot.generation.id}`;
  const seen =
    source === 'daemon' ? `as the daemon saw it ${span(reader.nowMs - snapshot.atMs)} ago` : 'read now; no daemon runs';
  rows.push(['policy', `${generation}, mode ${snapshot.mode}, ${seen}`]);
  if (snapshot.killSwitch) rows.push(['kill switch', 'ON: nothing is written', style.red]);
  return rows;
}

function libvirtRow(domain: DomainSnapshot, snapshot: Snapshot, style: Style): Row {
  const { libvirt } = snapshot;
  if (domain.source === 'bare') return ['libvirt', 'does not run this guest: found as a QEMU process'];
  if (libvirt.uri === null) return ['libvirt', 'not used'];
  if (!libvirt.connected) {
    const reason = libvirt.lastError === null ? '' : `: ${printable(libvirt.lastError, 256)}`;
    return ['libvirt', `not connected${reason}; what it last said is shown`, style.red];
  }
  if (libvirt.quarantined.includes(domain.uuid)) {
    return ['libvirt', 'connected, but a call about this guest hangs; it is left alone until the call ends', style.red];
  }
  return ['libvirt', `connected, says ${domain.state}`];
}

/** `label  words`, the labels padded alike. */
export function layOut(rows: readonly Row[], indent: string, style: Style): string[] {
  const width = Math.max(...rows.map(([label]) => label.length), LABEL_WIDTH - indent.length);
  return rows.map(([label, words, paint]) => {
    const shown = paint === undefined ? words : paint(words);
    return `${indent}${style.dim(label.padEnd(width))}  ${shown}`;
  });
}
