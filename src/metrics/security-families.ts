/**
 * The families about SELinux labels: of each guest, and of the host. Absent on hosts without SELinux, so that an alert on
 * them is silent there.
 */
import type { DomainSnapshot, Snapshot } from '../snapshot/types.js';
import { VIOLATIONS } from '../svirt/judge.js';
import { bit, type DomainFamily, type Family, plain } from './family.js';

const onLabel = (of: (label: NonNullable<DomainSnapshot['label']>) => number | null) => (domain: DomainSnapshot) =>
  domain.label === null ? null : of(domain.label);

export const LABEL_FAMILIES: readonly DomainFamily[] = [
  plain(
    'virtsla_svirt_compliant',
    'gauge',
    '1 when the label of the running guest and those of its images isolate it from the others, else 0',
    onLabel(({ violations }) => bit(violations.length === 0)),
  ),
  {
    name: 'virtsla_svirt_violation',
    help: 'Always 1; one series for each way in which the label of a guest or of its images is wrong',
    type: 'gauge',
    labels: ['reason', 'severity'],
    samples: ({ label }) => {
      const reasons = new Set(label?.violations.map(({ reason }) => reason));
      return [...reasons].sort().map((reason) => ({ labels: [reason, severityOf(reason)], value: 1 }));
    },
  },
  plain(
    'virtsla_svirt_pending_restart',
    'gauge',
    '1 while the guest runs without the label of its definition, which counts from its next start, else 0',
    onLabel(({ pendingRestart }) => bit(pendingRestart)),
  ),
  plain(
    'virtsla_svirt_suspended',
    'gauge',
    '1 while the guest stands still because virtslad suspended it for a violation of its label, else 0',
    onLabel(({ suspended }) => bit(suspended)),
  ),
  plain(
    'virtsla_svirt_save_restore_downtime_seconds',
    'gauge',
    'How long the guest stood still when it was last saved and restored for a new label',
    onLabel(({ saveRestore }) => saveRestore?.downtimeSeconds ?? null),
  ),
];

function severityOf(reason: string): string {
  return VIOLATIONS[reason as keyof typeof VIOLATIONS]?.severity ?? 'critical';
}

export const SECURITY_FAMILIES: readonly Family<Snapshot>[] = [
  {
    name: 'virtsla_svirt_enforcing',
    help: '1 while SELinux enforces, 0 while it is permissive',
    type: 'gauge',
    labels: [],
    samples: ({ host: { security } }) =>
      security?.enforcing == null ? [] : [{ labels: [], value: bit(security.enforcing) }],
  },
  {
    name: 'virtsla_svirt_boolean',
    help: "Booleans of the host's SELinux policy that matter to guests: 1 on, 0 off",
    type: 'gauge',
    labels: ['boolean'],
    samples: ({ host: { security } }) =>
      Object.entries(security?.booleans ?? {}).map(([name, on]) => ({ labels: [name], value: bit(on) })),
  },
  {
    name: 'virtsla_svirt_suspensions_total',
    help: 'Guests suspended for a violation of their label',
    type: 'counter',
    labels: [],
    samples: ({ counters }) => [{ labels: [], value: counters.suspensions }],
  },
  {
    name: 'virtsla_svirt_image_relabels_total',
    help: 'Images whose labels were put right',
    type: 'counter',
    labels: [],
    samples: ({ counters }) => [{ labels: [], value: counters.imageRelabels }],
  },
  {
    name: 'virtsla_svirt_save_restores_total',
    help: 'Guests saved and restored for a new label, by how it ended',
    type: 'counter',
    labels: ['outcome'],
    samples: ({ counters }) =>
      Object.entries(counters.saveRestores).map(([outcome, value]) => ({ labels: [outcome], value })),
  },
];
