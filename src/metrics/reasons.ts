/**
 * Why a control of a guest is not compliant, as a code from a short fixed list: free text would make a new series for
 * every wording. Takes a domain's snapshot, gives (control, code) pairs; the full text is in the API and on the page.
 */
import type { ControlSnapshot, DomainSnapshot, Snapshot } from '../snapshot/types.js';

/** code → meaning, for the reference page. */
export const REASONS = {
  pending: 'A change is due: a call is under way or the next cycle makes it',
  observe: 'A change is due and the daemon only observes',
  'kill-switch': 'A change is due and the kill switch stops all writes',
  refused: 'The policy asks for a value that would harm the guest or that the kernel cannot hold',
  failed: 'The last write failed',
  overridden: 'The value stands, but a tighter one that virtslad did not set decides',
  'pending-restart': 'The definition says it, and the guest runs without it until its next start',
  violated: 'The SELinux label of the guest or of its images breaks what its class promises',
  contested: 'Someone rewrites the value again and again, and virtslad backs off',
  held: 'An operator holds the guest and its values differ from the policy',
  released: 'An operator released the guest and its values differ from the policy',
  obstructed: 'The guest cannot be acted on now (no cgroup of its own, its libvirt call hangs …)',
  unknown: 'Not compliant for a reason without a code',
} as const;

export type Reason = keyof typeof REASONS;

/** `control` is empty where the reason is about the whole guest. */
export interface Noncompliance {
  readonly control: string;
  readonly reason: Reason;
}

export function noncompliances(domain: DomainSnapshot, snapshot: Snapshot): readonly Noncompliance[] {
  const found: Noncompliance[] = [];
  for (const control of domain.controls) {
    const reason = reasonOf(control, domain, snapshot);
    if (reason !== null) found.push({ control: control.id, reason });
  }
  if (domain.compliant) return found;
  if (domain.obstacle !== null) found.push({ control: '', reason: 'obstructed' });
  else if (found.length === 0) found.push({ control: '', reason: 'unknown' });
  return found;
}

function reasonOf(control: ControlSnapshot, domain: DomainSnapshot, snapshot: Snapshot): Reason | null {
  switch (control.status) {
    case 'holds':
    case 'unsupported':
      return null;
    case 'pending':
      if (snapshot.killSwitch) return 'kill-switch';
      return snapshot.mode === 'observe' ? 'observe' : 'pending';
    case 'hands-off':
      // A guest left alone with the right values is in order.
      if (control.settings.every(({ desired, actual }) => desired === actual)) return null;
      return domain.handsOff?.kind ?? 'released';
    default:
      return control.status;
  }
}
