/**
 * Whether a guest is as the policies want it, and if not why, in the order in which one wants to read it. Takes a
 * domain's snapshot, gives words and a rank; status, plan and explain agree because they all ask here.
 */

import type { ControlSnapshot, ControlStatus, DomainSnapshot } from '../../snapshot/types.js';
import { printable } from '../../text/printable.js';
import type { Style } from './style.js';
import { span } from './words.js';

/** Worse comes first. */
const STATUS_ORDER: readonly ControlStatus[] = [
  'violated',
  'failed',
  'contested',
  'overridden',
  'refused',
  'pending-restart',
  'pending',
  'hands-off',
  'unsupported',
  'holds',
];

export type Verdict = 'bad' | 'hands-off' | 'starting' | 'good' | 'unmanaged' | 'off';

/** The order of the status table: worst first. */
export const VERDICT_ORDER: readonly Verdict[] = ['bad', 'hands-off', 'starting', 'good', 'unmanaged', 'off'];

export function verdictOf(domain: DomainSnapshot): Verdict {
  if (domain.state === 'shutoff' || domain.state === 'crashed') return 'off';
  if (domain.className === null) return 'unmanaged';
  if (domain.handsOff !== null) return 'hands-off';
  if (domain.state === 'starting') return 'starting';
  return domain.compliant ? 'good' : 'bad';
}

/** `yes`, `no: cpu.limit overridden: …`, `held, 2h more`; one line. `atMs`: the snapshot's time. */
export function complianceWords(domain: DomainSnapshot, atMs: number): string {
  switch (verdictOf(domain)) {
    case 'off':
      return '–';
    case 'unmanaged':
      // Released with all others it is what it was before: of no concern to us.
      return domain.handsOff?.kind === 'held' ? `not managed; ${handsOffFor(domain.handsOff, atMs)}` : 'not managed';
    case 'hands-off':
      return domain.handsOff === null ? '' : handsOffFor(domain.handsOff, atMs);
    case 'starting':
      return 'starting';
    case 'good': {
      const missing = domain.controls.filter((control) => control.status === 'unsupported').length;
      return missing === 0 ? 'yes' : `yes; ${missing} of ${domain.controls.length} unsupported`;
    }
    case 'bad':
      return `no: ${whyNot(domain)}`;
  }
}

export function verdictPaint(verdict: Verdict, style: Style): (text: string) => string {
  switch (verdict) {
    case 'bad':
      return style.red;
    case 'hands-off':
    case 'starting':
      return style.yellow;
    case 'good':
      return style.green;
    default:
      return style.dim;
  }
}

export function statusPaint(status: ControlStatus, style: Style): (text: string) => string {
  switch (status) {
    case 'holds':
      return style.green;
    case 'violated':
    case 'failed':
    case 'contested':
    case 'overridden':
    case 'refused':
      return style.red;
    case 'unsupported':
      return style.dim;
    default:
      return style.yellow;
  }
}

export function worstFirst(a: ControlSnapshot, b: ControlSnapshot): number {
  return STATUS_ORDER.indexOf(a.status) - STATUS_ORDER.indexOf(b.status);
}

function handsOffFor(handsOff: NonNullable<DomainSnapshot['handsOff']>, atMs: number): string {
  return handsOff.untilMs === null ? handsOff.kind : `${handsOff.kind}, ${span(handsOff.untilMs - atMs)} more`;
}

function whyNot(domain: DomainSnapshot): string {
  if (domain.obstacle !== null) return printable(domain.obstacle, 200);
  const found = domain.controls.filter(({ status }) => status !== 'holds' && status !== 'unsupported').sort(worstFirst);
  const [first, ...others] = found;
  if (first === undefined) return 'the reason is not known';
  const reason = first.reason === null ? '' : `: ${printable(first.reason, 200)}`;
  return `${first.id} ${first.status}${reason}${others.length === 0 ? '' : ` (+${others.length} more)`}`;
}
