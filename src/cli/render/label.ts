/**
 * A guest's SELinux label in words, for `status DOMAIN` and `explain`: what it wears, what is wrong with it, what is under
 * way. Labels are data from the host and are shown escaped.
 */

import type { HostSecuritySnapshot, SaveRestoreSnapshot } from '../../snapshot/security.js';
import type { DomainSnapshot } from '../../snapshot/types.js';
import { printable } from '../../text/printable.js';
import type { Row } from './domain.js';
import type { Paint, Style } from './style.js';
import { span } from './words.js';

const LABEL_LENGTH = 512;

export function labelRows({ label, uuid }: DomainSnapshot, nowMs: number, style: Style): Row[] {
  if (label === null) return [];
  const { defined, pendingRestart, process, saveRestore, suspended, violations } = label;
  const paint = violations.length > 0 ? style.red : undefined;
  const rows: Row[] = [['label', process === null ? 'cannot be read' : printable(process, LABEL_LENGTH), paint]];
  for (const { detail, reason } of violations)
    rows.push(['violation', `${reason}: ${printable(detail, LABEL_LENGTH)}`, style.red]);
  if (pendingRestart && defined !== null) rows.push(['next start', printable(defined, LABEL_LENGTH), style.yellow]);
  if (saveRestore !== null) rows.push(saveRestoreRow(saveRestore, nowMs, style));
  if (suspended) {
    const again = `virsh resume ${uuid}`;
    rows.push(['suspended', `by virtslad, for what is said above; once it is mended: ${again}`, style.red]);
  }
  return rows;
}

function saveRestoreRow(
  { phase, message, atMs, downtimeSeconds }: SaveRestoreSnapshot,
  nowMs: number,
  style: Style,
): Row {
  const paint = phase === 'failed' ? style.red : phase === 'done' ? undefined : style.yellow;
  const downtime = downtimeSeconds === null ? '' : `, it stood still for ${downtimeSeconds.toFixed(1)} s`;
  return ['save-restore', `${phase} ${span(nowMs - atMs)} ago: ${printable(message, LABEL_LENGTH)}${downtime}`, paint];
}

/** The line of the whole host; null where labels are nobody's concern. */
export function securityRow(security: HostSecuritySnapshot | null, style: Style): [string, string, Paint?] | null {
  if (security?.model !== 'selinux') return null;
  if (security.enforcing === true) {
    const on = Object.entries(security.booleans).flatMap(([name, value]) => (value ? [name] : []));
    return [
      'SELinux',
      `enforcing${
        on.length === 0
          ? ''
          : `; on are ${on
              .sort()
              .map((name) => printable(name))
              .join(', ')}`
      }`,
    ];
  }
  return ['SELinux', 'PERMISSIVE: labels are worn and nothing is denied', style.red];
}
