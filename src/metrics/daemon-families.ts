/**
 * The families of fixed size: the daemon, its policy, libvirt and the host, each a line that takes its value from the
 * snapshot. Rendered by prom-client (`registry.ts`).
 */
import type { Control } from '../controls/control.js';
import { isFeasible } from '../snapshot/feasibility.js';
import type { SliceSnapshot, Snapshot } from '../snapshot/types.js';
import { bit, type Family, type Sample, single } from './family.js';
import { IO_COST_FAMILIES } from './io-cost-families.js';
import { SECURITY_FAMILIES } from './security-families.js';
import { SERVICE_LEVEL_FAMILIES } from './service-level-families.js';
import { pressureSamples } from './signal-families.js';

/** The facts of `virtsla_host_info`; what a host does not tell is an empty label. */
export const HOST_INFO_LABELS = [
  'arch',
  'cpu_cores',
  'cpu_model',
  'cpu_sockets',
  'cpu_threads',
  'distro',
  'kernel',
  'machine',
] as const;

/** Who drift is put down to; there from the start. */
const ATTRIBUTIONS = ['libvirt', 'systemd', 'unknown'];

type DaemonFamily = Family<Snapshot>;

export function daemonFamilies(controls: readonly Control[]): readonly DaemonFamily[] {
  const built = controls.filter((control) => control.built).map((control) => control.id);
  return [
    ...DAEMON,
    ...counts(built),
    ...POLICY,
    ...LIBVIRT,
    ...SECURITY_FAMILIES,
    ...SERVICE_LEVEL_FAMILIES,
    ...HOST,
    ...IO_COST_FAMILIES,
  ];
}

function gauge(name: string, help: string, value: (snapshot: Snapshot) => number | null): DaemonFamily {
  return { name, help, type: 'gauge', labels: [], samples: (snapshot) => single(value(snapshot)) };
}

function counter(name: string, help: string, value: (snapshot: Snapshot) => number): DaemonFamily {
  return { name, help, type: 'counter', labels: [], samples: (snapshot) => single(value(snapshot)) };
}

function info(
  name: string,
  help: string,
  labels: readonly string[],
  values: (snapshot: Snapshot) => readonly string[] | null,
): DaemonFamily {
  const samples = (snapshot: Snapshot): readonly Sample[] => {
    const found = values(snapshot);
    return found === null ? [] : [{ labels: found, value: 1 }];
  };
  return { name, help: `Always 1; ${help}`, type: 'gauge', labels, samples };
}

/** A counter by one label; the `known` values are there at 0 from the start. */
function countBy(
  name: string,
  help: string,
  label: string,
  known: readonly string[],
  counts: (snapshot: Snapshot) => Readonly<Record<string, number>>,
): DaemonFamily {
  const samples = (snapshot: Snapshot): readonly Sample[] => {
    const found = counts(snapshot);
    const keys = [...new Set([...known, ...Object.keys(found)])].sort();
    return keys.map((key) => ({ labels: [key], value: found[key] ?? 0 }));
  };
  return { name, help, type: 'counter', labels: [label], samples };
}

/** A moment that has not come yet is 0, so that `time() - x` is alarming and not absent. */
function timestamp(ms: number | null): number {
  return ms === null ? 0 : ms / 1000;
}

const DAEMON: readonly DaemonFamily[] = [
  gauge('virtsla_ready', '1 when a policy is in force and the first reconcile is done, else 0', (s) => bit(s.ready)),
  info('virtsla_mode_info', 'the mode: enforce, or observe, which writes nothing', ['mode'], (s) => [s.mode]),
  gauge('virtsla_kill_switch', '1 while the kill-switch file stops all writes, else 0', (s) => bit(s.killSwitch)),
  gauge('virtsla_hands_off_all', '1 while an operator has released every guest, else 0', (s) => bit(s.handsOffAll)),
  gauge(
    'virtsla_lacks',
    'Parts of the host or of the daemon that are missing; the status says which',
    (s) => s.lacks.length,
  ),
  gauge(
    'virtsla_event_loop_lag_seconds',
    'Longest delay of the event loop in the last cycle',
    (s) => s.eventLoopLagSeconds,
  ),
  gauge('virtsla_snapshot_timestamp_seconds', 'When the snapshot that this answer comes from was taken', (s) =>
    timestamp(s.atMs),
  ),
  gauge(
    'virtsla_last_reconcile_success_timestamp_seconds',
    'When a reconcile cycle last ended well; 0 before the first',
    (s) => timestamp(s.lastReconcileSuccessMs),
  ),
];

function counts(built: readonly string[]): readonly DaemonFamily[] {
  return [
    counter('virtsla_reconciles_total', 'Reconcile cycles, failed ones included', (s) => s.counters.cycles),
    counter('virtsla_reconcile_failures_total', 'Reconcile cycles that failed', (s) => s.counters.cycleFailures),
    countBy(
      'virtsla_writes_total',
      'Values written, repairs and releases included',
      'control',
      built,
      (s) => s.counters.writes,
    ),
    countBy(
      'virtsla_apply_failures_total',
      'Writes that failed or did not read back',
      'control',
      built,
      (s) => s.counters.applyFailures,
    ),
    countBy(
      'virtsla_drift_repairs_by_writer_total',
      'Values put back, by who had changed them; guests that are gone included',
      'writer',
      ATTRIBUTIONS,
      (s) => s.counters.driftRepairs,
    ),
    counter('virtsla_domain_starts_total', 'Starts of managed guests seen', (s) => s.counters.starts),
    counter(
      'virtsla_domain_starts_capped_before_resume_total',
      'Starts in which every per-vCPU limit stood before the guest ran its first instruction',
      (s) => s.counters.startsCappedBeforeResume,
    ),
  ];
}

const POLICY: readonly DaemonFamily[] = [
  info('virtsla_policy_generation_info', 'the policy generation in force', ['generation'], (s) =>
    s.generation === null ? null : [s.generation.id],
  ),
  counter(
    'virtsla_policy_reloads_total',
    'Attempts to load the policy, failed ones included',
    (s) => s.counters.policyReloads,
  ),
  counter(
    'virtsla_policy_reload_failures_total',
    'Attempts to load the policy that failed',
    (s) => s.counters.policyReloadFailures,
  ),
  gauge('virtsla_policy_last_reload_successful', '1 when the last attempt to load the policy succeeded, else 0', (s) =>
    bit(s.lastReloadSuccessful),
  ),
  gauge(
    'virtsla_policy_last_reload_success_timestamp_seconds',
    'When the policy was last loaded; 0 before the first time',
    (s) => timestamp(s.lastReloadSuccessMs),
  ),
  gauge(
    'virtsla_policy_problems',
    'Problems that the last attempt to load the policy found',
    (s) => s.policyProblems.length,
  ),
  gauge(
    'virtsla_policy_pending',
    '1 while a generation that changes too many guests waits to be acknowledged, else 0',
    (s) => bit(s.pendingGeneration !== null),
  ),
  gauge(
    'virtsla_policy_pending_domains',
    'Guests that the waiting generation would change; 0 when none waits',
    (s) => s.pendingGeneration?.domainsAffected ?? 0,
  ),
  {
    name: 'virtsla_schedule_open',
    help: 'Always 1; one series for each schedule whose open window applies to a guest now',
    type: 'gauge',
    labels: ['schedule'],
    samples: (s) =>
      [...new Set(s.domains.flatMap((domain) => domain.openSchedules))]
        .sort()
        .map((name) => ({ labels: [name], value: 1 })),
  },
  gauge(
    'virtsla_schedule_next_boundary_timestamp_seconds',
    'When a schedule window opens or closes next; absent without schedules',
    (s) => (s.nextScheduleBoundaryMs === null ? null : timestamp(s.nextScheduleBoundaryMs)),
  ),
];

const LIBVIRT: readonly DaemonFamily[] = [
  info(
    'virtsla_libvirt_info',
    'the libvirt that virtslad talks to',
    ['uri', 'library_version', 'daemon_version'],
    (s) =>
      s.libvirt.uri === null ? null : [s.libvirt.uri, s.libvirt.libraryVersion ?? '', s.libvirt.daemonVersion ?? ''],
  ),
  gauge('virtsla_libvirt_connected', '1 while connected to libvirt, else 0', (s) => bit(s.libvirt.connected)),
  counter(
    'virtsla_libvirt_reconnects_total',
    'Connections to libvirt made again after a loss',
    (s) => s.libvirt.reconnects,
  ),
  gauge(
    'virtsla_libvirt_quarantined_domains',
    'Guests left alone because a libvirt call about them hangs',
    (s) => s.libvirt.quarantined.length,
  ),
];

const HOST: readonly DaemonFamily[] = [
  info('virtsla_host_info', 'what this host is, read once at the start', HOST_INFO_LABELS, (s) =>
    HOST_INFO_LABELS.map((label) => s.host.facts[label] ?? ''),
  ),
  gauge('virtsla_host_cpu_cores', 'Online logical CPUs of the host', (s) => s.host.cores),
  gauge(
    'virtsla_host_cpu_weight',
    'CPU weights of all guests that run, unmanaged ones included, added up',
    (s) => s.host.weightSum,
  ),
  gauge(
    'virtsla_host_cpu_weight_capacity',
    'Up to this much weight on the host, weights deliver the guarantees',
    (s) => s.host.weightCapacity,
  ),
  gauge(
    'virtsla_host_guaranteed_cores',
    'Cores guaranteed to the guests that run, added up',
    (s) => s.host.guaranteedCores,
  ),
  gauge(
    'virtsla_guarantees_feasible',
    '1 when the host can keep all guarantees at once: weights within their capacity, guarantees within its cores and memory, else 0',
    (s) => bit(isFeasible(s.host)),
  ),
  gauge('virtsla_host_memory_bytes', 'Memory of the host', (s) => s.host.memoryBytes),
  gauge(
    'virtsla_host_guaranteed_memory_bytes',
    'Memory guaranteed to the guests that run, added up',
    (s) => s.host.guaranteedMemoryBytes,
  ),
  sliceProtection('desired', 'that all guests below it need together', ({ desiredBytes }) => desiredBytes),
  sliceProtection('actual', 'as the kernel says', ({ actualBytes }) => actualBytes),
  hostPressure(
    'waiting',
    'Time in which at least one task of the host waited for the resource (PSI some)',
    'someSeconds',
  ),
  hostPressure(
    'stalled',
    'Time in which no task of the host made progress, for want of the resource (PSI full)',
    'fullSeconds',
  ),
];

function hostPressure(name: string, help: string, key: 'someSeconds' | 'fullSeconds'): DaemonFamily {
  const samples = ({ host }: Snapshot): readonly Sample[] => pressureSamples(host.pressure, key);
  return { name: `virtsla_host_pressure_${name}_seconds_total`, help, type: 'counter', labels: ['resource'], samples };
}

/** Series come and go with the groups. */
function sliceProtection(name: string, help: string, bytes: (slice: SliceSnapshot) => number | null): DaemonFamily {
  return {
    name: `virtsla_slice_memory_${name}_protected_bytes`,
    help: `Memory protected for guests by a group above them, ${help}`,
    type: 'gauge',
    labels: ['path'],
    samples: ({ host }) =>
      host.slices.flatMap((slice): Sample[] => {
        const value = bytes(slice);
        return value === null ? [] : [{ labels: [slice.path], value }];
      }),
  };
}
