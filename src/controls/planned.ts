/**
 * The controls that are not built yet: their keys are validated, and guests whose class asks for one are shown as
 * `unsupported`. Building one means giving it a file of its own and removing it here.
 */
import { memoryGuarantee, memoryLimit, memorySwap } from '../policy/memory-values.js';
import { networkLimit } from '../policy/network-values.js';
import { mcsCategories, selinuxType } from '../policy/svirt-values.js';
import { cpuList, diskWeight, duration, flag, integer, oneOf, rate } from '../policy/value-types.js';
import type { Control, Desired, KeySpec } from './control.js';

const MEMORY_UNIT = 'size, or % of the guest memory';
const RATE_UNIT = 'bytes per second';
const OPERATIONS_UNIT = 'operations per second';
const FLAG = { unit: 'true or false', range: 'true, false' } as const;

/** QEMU's ceiling for a throttle value (qemu/throttle.h, THROTTLE_VALUE_MAX) is 1e15; a billion is plenty. */
const operations = integer(1, 1_000_000_000, 'write a whole number of operations per second, such as 8000');

function key(
  name: string,
  schema: KeySpec['schema'],
  summary: string,
  rest: { readonly unit: string; readonly range: string; readonly example: string },
): KeySpec {
  return { key: name, schema, summary, ...rest };
}

function planned(id: string, summary: string, keys: readonly KeySpec[]): Control {
  return {
    id,
    scope: 'domain',
    keys,
    built: false,
    summary,
    metrics: [],
    desired(wanted): Desired {
      for (const { key } of keys) {
        const asked = wanted.values.get(key);
        if (asked !== undefined) return { kind: 'unsupported', reason: 'not built yet', asked };
      }
      return { kind: 'unmanaged' };
    },
  };
}

const CPU: readonly Control[] = [
  planned('cpu.burst', 'Unused CPU quota that a vCPU may save up and spend in a short excess over its limit', [
    // The kernel takes at most the quota (sched-bwc.rst, cpu.max.burst), and the quota is at most a period.
    key('cpu.burst', duration('1us', '100ms'), 'CPU time that each vCPU may save up for a burst over cpu.limit', {
      unit: 'duration in each period of 100ms',
      range: '1us–100ms, at most the quota that cpu.limit gives a vCPU',
      example: '20ms',
    }),
  ]),
  planned('cpu.pin', 'Host CPUs on which the vCPU threads may run', [
    key('cpu.pin', cpuList, 'Host CPUs on which the vCPU threads may run', {
      unit: 'CPU list',
      range: 'CPU numbers 0–8191 and ranges',
      example: '0-3,8',
    }),
  ]),
];

const MEMORY: readonly Control[] = [
  planned('memory.guarantee', 'Memory of the guest that the kernel does not reclaim', [
    key('memory.guarantee', memoryGuarantee, 'Guest memory that is not reclaimed while other memory can be', {
      unit: MEMORY_UNIT,
      range: 'more than 0, at most 100%; at most memory.limit where both have the same unit',
      example: '100%',
    }),
    key('memory.hard', flag, 'Never reclaim the guarantee, even if another process has to be killed for it', {
      ...FLAG,
      example: 'true',
    }),
  ]),
  planned('memory.limit', 'Hard ceiling of memory', [
    key('memory.limit', memoryLimit, 'Hard ceiling of memory; refused where it would kill the guest', {
      unit: `none, ${MEMORY_UNIT}`,
      range: 'none, or more than 0 and at most 1000%',
      example: 'none',
    }),
  ]),
  planned('memory.high', 'Memory above which the guest is slowed down and reclaimed from', [
    key('memory.high', memoryLimit, 'Memory above which the guest is slowed down and reclaimed from', {
      unit: `none, ${MEMORY_UNIT}`,
      range: 'none, or more than 0 and at most 1000%; at most memory.limit where both have the same unit',
      example: '110%',
    }),
  ]),
  planned('memory.swap', 'Swap that the guest may use', [
    key('memory.swap', memorySwap, 'Swap that the guest may use; 0 for none at all', {
      unit: 'none, or size',
      range: 'none, 0 or more',
      example: '0',
    }),
  ]),
  planned('memory.merge', 'Sharing of identical pages with other guests (KSM)', [
    key('memory.merge', flag, 'Whether identical pages may be shared with other guests (KSM)', {
      ...FLAG,
      example: 'false',
    }),
  ]),
];

const diskRate = (name: string, summary: string, example: string): KeySpec =>
  key(name, rate, summary, { unit: RATE_UNIT, range: '1B/s or more', example });
const diskOperations = (name: string, summary: string, example: string): KeySpec =>
  key(name, operations, summary, { unit: OPERATIONS_UNIT, range: '1–1000000000', example });

const DISK: readonly Control[] = [
  planned('disk.limit', 'Hard ceiling of throughput and operations of each virtual disk', [
    diskRate('disk.limit.read', 'Bytes read per second from each disk', '400MiB/s'),
    diskRate('disk.limit.write', 'Bytes written per second to each disk', '200MiB/s'),
    diskRate('disk.limit.total', 'Bytes read and written per second; not beside read or write', '500MiB/s'),
    diskOperations('disk.limit.iops', 'Operations per second; not beside read-iops or write-iops', '8000'),
    diskOperations('disk.limit.read-iops', 'Read operations per second', '6000'),
    diskOperations('disk.limit.write-iops', 'Write operations per second', '2000'),
    diskRate('disk.limit.burst.read', 'Bytes read per second during a burst', '800MiB/s'),
    diskRate('disk.limit.burst.write', 'Bytes written per second during a burst', '400MiB/s'),
    diskRate('disk.limit.burst.total', 'Bytes read and written per second during a burst', '1GiB/s'),
    diskOperations('disk.limit.burst.iops', 'Operations per second during a burst', '16000'),
    diskOperations('disk.limit.burst.read-iops', 'Read operations per second during a burst', '12000'),
    diskOperations('disk.limit.burst.write-iops', 'Write operations per second during a burst', '4000'),
    key('disk.limit.burst.for', duration('1s', '24h'), 'How long a burst may last', {
      unit: 'duration',
      range: '1s–24h',
      example: '30s',
    }),
  ]),
  planned('disk.weight', 'Share of disk time under contention', [
    key('disk.weight', diskWeight, 'Share of disk time under contention; 100 is normal', {
      unit: 'cgroup v2 io.weight',
      range: '1–10000',
      example: '400',
    }),
  ]),
  planned('disk.via', 'Who throttles the disks', [
    key('disk.via', oneOf('auto', 'qemu', 'cgroup'), "QEMU's throttle groups (each disk) or the cgroup (each device)", {
      unit: 'word',
      range: 'auto, qemu, cgroup; cgroup knows neither total, iops nor burst',
      example: 'auto',
    }),
  ]),
];

const networkKey = (direction: 'in' | 'out', summary: string): KeySpec =>
  key(`network.limit.${direction}`, networkLimit, summary, {
    unit: 'bits or bytes per second',
    range: 'an average of 1B/s or more, or { average, peak, burst } with peak at least average and burst a size',
    example: '1Gbit/s',
  });

const NETWORK: readonly Control[] = [
  planned('network.limit', 'Ceiling of the traffic of each network interface', [
    networkKey('in', 'Traffic to the guest, on each interface'),
    networkKey('out', 'Traffic from the guest, on each interface'),
  ]),
];

const SVIRT: readonly Control[] = [
  planned('svirt.label', 'SELinux label of the QEMU process and its images', [
    key('svirt.required', flag, 'Whether a guest without a confined label breaks its promise', {
      ...FLAG,
      example: 'true',
    }),
    key(
      'svirt.mode',
      oneOf('dynamic', 'static'),
      'Who chooses the categories: libvirt at each start, or virtslad once',
      {
        unit: 'word',
        range: 'dynamic, static',
        example: 'dynamic',
      },
    ),
    key('svirt.type', selinuxType, 'Type of the process label', {
      unit: 'SELinux type',
      range: 'a name of letters, digits, "_" and "."',
      example: 'svirt_t',
    }),
    key('svirt.categories', mcsCategories, 'MCS categories to choose from; not with mode dynamic', {
      unit: 'MCS categories',
      range: 'c0–c1023 and ranges',
      example: 'c100.c199',
    }),
    key('svirt.apply', oneOf('next-start', 'save-restore'), 'When a changed label takes force', {
      unit: 'word',
      range: 'next-start, save-restore',
      example: 'next-start',
    }),
    key('svirt.max-downtime', duration('100ms', '1h'), 'Longest pause that save-restore may cost the guest', {
      unit: 'duration',
      range: '100ms–1h',
      example: '10s',
    }),
    key('svirt.on-violation', oneOf('alert', 'suspend'), 'What to do with a guest whose label is wrong', {
      unit: 'word',
      range: 'alert, suspend',
      example: 'alert',
    }),
    key('svirt.images', oneOf('verify', 'relabel'), 'Whether wrong labels of images are reported or put right', {
      unit: 'word',
      range: 'verify, relabel',
      example: 'verify',
    }),
  ]),
];

export const PLANNED_CONTROLS: readonly Control[] = [...CPU, ...MEMORY, ...DISK, ...NETWORK, ...SVIRT];

/** Keys of planned parts that set nothing. */
export const PLANNED_PROMISES: readonly KeySpec[] = [
  key('disk.latency', duration('10us', '60s'), 'Bound of the disk.latency objective; throttles nothing', {
    unit: 'duration',
    range: '10us–60s',
    example: '10ms',
  }),
  key('disk.histogram', flag, "Measure disk latency by QEMU's histograms (marks the guest as tainted)", {
    ...FLAG,
    example: 'false',
  }),
];
