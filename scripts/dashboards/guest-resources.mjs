// What one guest gets of each resource against what it may have: the panels of CPU, memory, disks, network and pressure.
import { CORES, graph, STEPS } from './panels.mjs';

/** The host is one, so that a name is one guest. */
export const OF = 'instance=~"$host",domain="$domain"';
/** Disks are read in rounds of a minute or so, and later rounds have to be in the range of a rate. */
const ROUNDS = '2m';

const rate = (metric, matchers = '') => `rate(${metric}{${OF}${matchers}}[$__rate_interval])`;
const increase = (metric) => `increase(${metric}{${OF}}[$__rate_interval])`;
/** No limit is +Inf, which no axis can show. */
const limit = (metric) => `virtsla_${metric}{${OF}} < +Inf`;

function desiredAndActual(metric, unit, legend) {
  const suffix = unit === '' ? '' : `_${unit}`;
  return [
    { expr: limit(`${metric}_actual${suffix}`), legend: `${legend} actual` },
    { expr: limit(`${metric}_desired${suffix}`), legend: `${legend} desired` },
  ];
}

export function cpu() {
  return [
    graph({
      title: 'CPU entitled, demanded, delivered, short',
      description:
        'Entitled: wanted and guaranteed. Demanded: used, and waited for beside what its own limit took. Delivered: used. Short: entitled and not delivered; it alone breaks a promise.',
      unit: CORES,
      width: 24,
      height: 9,
      queries: ['entitled', 'demanded', 'delivered', 'shortfall'].map((name) => ({
        expr: rate(`virtsla_cpu_${name}_seconds_total`),
        legend: name,
      })),
    }),
    graph({
      title: 'CPU limit and guarantee',
      description:
        'Limit as the policy asks and as it stands, and the cores guaranteed. No line: no limit, no guarantee.',
      unit: CORES,
      queries: [
        ...desiredAndActual('cpu_limit', 'cores', 'limit'),
        { expr: `virtsla_cpu_guarantee_cores{${OF}}`, legend: 'guarantee' },
        { expr: `virtsla_domain_vcpus{${OF}}`, legend: 'vCPUs' },
      ],
    }),
    graph({
      title: 'CPU weight and pin',
      description: 'Weight on the scale of cgroup v2, 100 normal; host CPUs on which the vCPUs may run.',
      unit: 'short',
      queries: [
        ...desiredAndActual('cpu_weight', '', 'weight'),
        ...desiredAndActual('cpu_pinned', 'cpus', 'CPUs pinned to'),
      ],
    }),
    graph({
      title: 'Time that vCPUs waited',
      description:
        'Ready to run and not running, all vCPUs added up; throttled is by the limit set on them, and active the share of time in which at least one wanted to run.',
      unit: 'suffix: s/s',
      queries: [
        { expr: rate('virtsla_cpu_wait_seconds_total'), legend: 'waited' },
        { expr: rate('virtsla_cpu_throttled_seconds_total'), legend: 'throttled' },
        { expr: rate('virtsla_cpu_active_seconds_total'), legend: 'active' },
      ],
    }),
    graph({
      title: 'CPU of the emulator, burst',
      description: 'CPU of all other threads of QEMU, which no limit binds; CPU time that each vCPU may save up.',
      unit: 'suffix: s',
      queries: [
        { expr: rate('virtsla_cpu_emulator_seconds_total'), legend: 'emulator, each second' },
        ...desiredAndActual('cpu_burst', 'seconds', 'burst'),
      ],
    }),
  ];
}

export function memory() {
  return [
    graph({
      title: 'Memory and its limits',
      description:
        'Memory charged to the guest, what is guaranteed, and its limits as they stand and as the policy asks.',
      unit: 'bytes',
      queries: [
        { expr: `virtsla_memory_used_bytes{${OF}}`, legend: 'used' },
        { expr: `virtsla_memory_peak_bytes{${OF}}`, legend: 'peak' },
        { expr: `virtsla_memory_swap_bytes{${OF}}`, legend: 'in swap' },
        ...desiredAndActual('memory_guarantee', 'bytes', 'guarantee'),
        ...desiredAndActual('memory_limit', 'bytes', 'limit'),
        ...desiredAndActual('memory_high', 'bytes', 'high'),
        ...desiredAndActual('memory_swap_limit', 'bytes', 'swap limit'),
      ],
    }),
    graph({
      title: 'Memory taken back and needed again',
      description: 'Bytes a second. Reclaimed is of cgroup v2 alone; refaulted is what hurts.',
      unit: 'Bps',
      queries: [
        { expr: rate('virtsla_memory_reclaimed_bytes_total'), legend: 'reclaimed' },
        { expr: rate('virtsla_memory_refaulted_bytes_total'), legend: 'refaulted' },
      ],
    }),
    graph({
      title: 'Memory events',
      description:
        'In each step: page faults that waited for a disk, throttling by memory.high, hits of the limit, processes killed for want of memory.',
      unit: 'short',
      bars: true,
      width: 24,
      height: 6,
      queries: [
        { expr: increase('virtsla_memory_major_faults_total'), legend: 'major faults' },
        { expr: increase('virtsla_memory_high_events_total'), legend: 'throttled by high' },
        { expr: increase('virtsla_memory_limit_events_total'), legend: 'hit the limit' },
        { expr: increase('virtsla_memory_oom_kills_total'), legend: 'killed' },
      ],
    }),
  ];
}

export function disks() {
  const traffic = (way) => ({ expr: rate(`virtsla_disk_${way}_bytes_total`), legend: `{{disk}} ${way}` });
  const operations = (way) => ({ expr: rate(`virtsla_disk_${way}_requests_total`), legend: `{{disk}} ${way}` });
  const latency = (way) => ({
    expr: `${rate(`virtsla_disk_${way}_seconds_total`)} / ${rate(`virtsla_disk_${way}_requests_total`)}`,
    legend: `{{disk}} ${way}`,
  });
  const limits = (unit) =>
    ['limit_read', 'limit_write', 'limit'].flatMap((name) =>
      desiredAndActual(`disk_${name}`, unit, `{{disk}} ${name.replace('_', ' ')}`),
    );
  return [
    graph({
      title: 'Bytes of each disk, and limits',
      description: 'Read and written, and the limits as they stand and as the policy asks. No line: no limit.',
      unit: 'Bps',
      interval: ROUNDS,
      queries: [traffic('read'), traffic('write'), ...limits('bytes_per_second')],
    }),
    graph({
      title: 'Operations of each disk, and limits',
      description: 'Reads, writes and flushes, and the limits as they stand and as the policy asks. No line: no limit.',
      unit: 'iops',
      interval: ROUNDS,
      queries: [operations('read'), operations('write'), operations('flush'), ...limits('operations_per_second')],
    }),
    graph({
      title: 'Mean time of an operation',
      description: 'As QEMU sees it, waiting for the limit of the disk included. No line while there are none.',
      unit: 's',
      interval: ROUNDS,
      queries: [latency('read'), latency('write'), latency('flush')],
    }),
    graph({
      title: 'Disks at their limit, age of the figures, weight',
      description: '1 when the disk ran at 95 % of its limit or more over the last round; seconds since that round.',
      unit: 'short',
      queries: [
        { expr: `virtsla_disk_at_limit{${OF}}`, legend: '{{disk}} at its limit' },
        { expr: `virtsla_disk_reading_age_seconds{${OF}}`, legend: 'age of the figures, s' },
        ...desiredAndActual('disk_weight', '', 'weight'),
      ],
    }),
  ];
}

export function network() {
  return [
    graph({
      title: 'Bytes of each interface, and limits',
      description: 'Received and sent by the guest, and the limits of the average to (in) and from (out) it.',
      unit: 'Bps',
      queries: [
        { expr: rate('virtsla_network_receive_bytes_total'), legend: '{{interface}} in' },
        { expr: rate('virtsla_network_transmit_bytes_total'), legend: '{{interface}} out' },
        ...desiredAndActual('network_limit', 'bytes_per_second', '{{interface}} limit {{direction}}'),
      ],
    }),
    graph({
      title: 'Packets dropped',
      description: 'Share of the packets of each interface.',
      unit: 'percentunit',
      steps: STEPS.no,
      queries: ['receive', 'transmit'].map((way) => ({
        expr: `${rate(`virtsla_network_${way}_dropped_total`)} / (${rate(`virtsla_network_${way}_packets_total`)} + ${rate(`virtsla_network_${way}_dropped_total`)})`,
        legend: `{{interface}} ${way === 'receive' ? 'in' : 'out'}`,
      })),
    }),
  ];
}

export function pressure() {
  const of = (kind, title, description) =>
    graph({
      title,
      description,
      unit: 'percentunit',
      max: 1,
      queries: [{ expr: rate(`virtsla_pressure_${kind}_seconds_total`), legend: '{{resource}}' }],
    });
  return [
    of(
      'waiting',
      'Pressure: waiting',
      'Share of time in which at least one task of the guest waited for the resource (PSI some).',
    ),
    of('stalled', 'Pressure: stalled', 'Share of time in which no task of the guest made progress (PSI full).'),
  ];
}
