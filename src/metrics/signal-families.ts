/**
 * The families of what kernel and QEMU count of a guest's memory, disks, network and waiting: a table over the signals in
 * a domain's snapshot. What the host cannot tell has no series.
 */
import { PRESSURE_RESOURCES } from '../signals/pressure.js';
import type {
  DiskSignals,
  DiskTotals,
  HistogramTotals,
  InterfaceTotals,
  MemorySignals,
  PressureSignals,
} from '../snapshot/signals.js';
import type { DomainSnapshot } from '../snapshot/types.js';
import { bit, type DomainFamily, plain, type Sample } from './family.js';

/** One array for all families of a kind: the exposition writer remembers label bytes by it. */
const DISK_LABELS = ['disk'] as const;
const HISTOGRAM_LABELS = ['disk', 'request', 'le'] as const;
const INTERFACE_LABELS = ['interface'] as const;
const RESOURCE_LABELS = ['resource'] as const;

const MEMORY: readonly DomainFamily[] = [
  memory(
    'used_bytes',
    'gauge',
    'Memory charged to the guest: its RAM as far as touched, QEMU and page cache',
    'usedBytes',
  ),
  memory('peak_bytes', 'gauge', 'The most memory that was charged to the guest at once', 'peakBytes'),
  memory('swap_bytes', 'gauge', 'Memory of the guest that is in swap', 'swapBytes'),
  memory(
    'reclaimed_bytes_total',
    'counter',
    'Memory taken back from the guest, to swap or by dropping page cache; cgroup v2 only',
    'reclaimedBytes',
  ),
  memory(
    'refaulted_bytes_total',
    'counter',
    'Memory of the guest that was needed again soon after it had been taken back',
    'refaultedBytes',
  ),
  memory('major_faults_total', 'counter', 'Page faults of the guest that waited for a disk', 'majorFaults'),
  memory('high_events_total', 'counter', 'Times that memory.high throttled the guest; cgroup v2 only', 'highEvents'),
  memory('limit_events_total', 'counter', 'Times that the guest ran into its memory limit', 'limitEvents'),
  memory('oom_kills_total', 'counter', 'Processes of the guest killed for want of memory', 'oomKills'),
];

const DISKS: readonly DomainFamily[] = [
  disk('read_bytes_total', 'Bytes read from the disk', 'readBytes'),
  disk('read_requests_total', 'Reads from the disk that are done', 'readRequests'),
  disk('read_seconds_total', 'Time of all reads added up, waiting for the throttle included', 'readSeconds'),
  disk('write_bytes_total', 'Bytes written to the disk', 'writeBytes'),
  disk('write_requests_total', 'Writes to the disk that are done', 'writeRequests'),
  disk('write_seconds_total', 'Time of all writes added up, waiting for the throttle included', 'writeSeconds'),
  disk('flush_requests_total', 'Flushes of the disk that are done', 'flushRequests'),
  disk('flush_seconds_total', 'Time of all flushes added up', 'flushSeconds'),
  {
    name: 'virtsla_disk_at_limit',
    help: '1 when the disk ran at 95 % of its limit in QEMU or more over the last round, else 0; absent where that cannot be told',
    type: 'gauge',
    labels: DISK_LABELS,
    samples: ({ disks }) =>
      disks.map(({ target, limited }) => ({ labels: [target], value: limited === null ? null : bit(limited) })),
  },
  {
    name: 'virtsla_disk_request_duration_seconds',
    help: 'How long reads and writes took by QEMU, since the daemon first saw it count; where the class asks for disk.histogram',
    type: 'histogram',
    labels: HISTOGRAM_LABELS,
    samples: ({ disks }) => disks.flatMap(histogramSamples),
  },
  plain(
    'virtsla_disk_reading_age_seconds',
    'gauge',
    "Age of the guest's disk figures, which are read in rounds",
    ({ disks }, { atMs }) => ageSeconds(disks, atMs),
  ),
];

const NETWORK: readonly DomainFamily[] = [
  network('receive_bytes_total', 'Bytes that the guest received', 'receivedBytes'),
  network('receive_packets_total', 'Packets that the guest received', 'receivedPackets'),
  network('receive_dropped_total', 'Packets to the guest that were dropped', 'receivedDropped'),
  network('transmit_bytes_total', 'Bytes that the guest sent', 'sentBytes'),
  network('transmit_packets_total', 'Packets that the guest sent', 'sentPackets'),
  network('transmit_dropped_total', 'Packets from the guest that were dropped', 'sentDropped'),
];

const PRESSURE: readonly DomainFamily[] = [
  pressure(
    'waiting_seconds_total',
    'Time in which at least one task of the guest waited for the resource (PSI some)',
    'someSeconds',
  ),
  pressure(
    'stalled_seconds_total',
    'Time in which no task of the guest made progress, for want of the resource (PSI full)',
    'fullSeconds',
  ),
];

export const SIGNAL_FAMILIES: readonly DomainFamily[] = [...MEMORY, ...DISKS, ...NETWORK, ...PRESSURE];

function memory(
  name: string,
  type: 'gauge' | 'counter',
  help: string,
  key: Exclude<keyof MemorySignals, 'rates'>,
): DomainFamily {
  return plain(`virtsla_memory_${name}`, type, help, (domain) => domain.memory?.[key] ?? null);
}

function disk(name: string, help: string, key: keyof DiskTotals): DomainFamily {
  const samples = ({ disks }: DomainSnapshot): readonly Sample[] =>
    disks.map(({ target, counters }) => ({ labels: [target], value: counters[key] }));
  return { name: `virtsla_disk_${name}`, help, type: 'counter', labels: DISK_LABELS, samples };
}

function histogramSamples({ target, histogram }: DiskSignals): readonly Sample[] {
  if (histogram === undefined) return [];
  const { boundsSeconds, read, write } = histogram;
  const of = (request: string, { bins, seconds }: HistogramTotals): Sample[] => {
    let below = 0;
    const buckets = bins.map((count, bin): Sample => {
      below += count;
      return { part: '_bucket', labels: [target, request, String(boundsSeconds[bin] ?? '+Inf')], value: below };
    });
    const labels = [target, request];
    return [...buckets, { part: '_sum', labels, value: seconds }, { part: '_count', labels, value: below }];
  };
  return [...of('read', read), ...of('write', write)];
}

/** Of the oldest one. A clock that was set back makes nothing younger than now. */
function ageSeconds(disks: readonly DiskSignals[], nowMs: number): number | null {
  return disks.length === 0 ? null : Math.max(0, ...disks.map(({ atMs }) => nowMs - atMs)) / 1000;
}

function network(name: string, help: string, key: keyof InterfaceTotals): DomainFamily {
  const samples = ({ interfaces }: DomainSnapshot): readonly Sample[] =>
    interfaces.map(({ device, counters }) => ({ labels: [device], value: counters[key] }));
  return { name: `virtsla_network_${name}`, help, type: 'counter', labels: INTERFACE_LABELS, samples };
}

function pressure(name: string, help: string, key: 'someSeconds' | 'fullSeconds'): DomainFamily {
  const samples = ({ pressure: found }: DomainSnapshot): readonly Sample[] => pressureSamples(found, key);
  return { name: `virtsla_pressure_${name}`, help, type: 'counter', labels: RESOURCE_LABELS, samples };
}

/** One sample a resource, of a guest or of the host. */
export function pressureSamples(found: PressureSignals | null, key: 'someSeconds' | 'fullSeconds'): readonly Sample[] {
  if (found === null) return [];
  return PRESSURE_RESOURCES.map((resource) => ({ labels: [resource], value: found[resource]?.[key] ?? null }));
}
