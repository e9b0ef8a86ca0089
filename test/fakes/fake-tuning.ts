/**
 * Tuning and hardware of domains in memory: values to build facts from, and what libvirt makes of a TuneCall. Pure.
 *
 *     defaultTuning({ disks: [fakeDisk({ target: 'vda' })] })
 *     applyTune(tuning, 2, { call: 'throttle', disk: 'vda', throttle })   // the tuning after it, and what is announced
 */

import {
  type Bandwidth,
  type BlkioDevice,
  type BlkioTune,
  type DiskDevice,
  type Hardware,
  type InterfaceDevice,
  type MemoryTune,
  THROTTLE_FIELDS,
  type Tuning,
} from '../../src/domains/types.js';
import {
  type BlkioParameters,
  MEMORY_UNLIMITED_KIB,
  type MemoryParameters,
  type SchedulerParameters,
  type TuneCall,
} from '../../src/host/libvirt/client.js';
import { canonicalThrottle, NO_THROTTLE } from '../../src/text/disk-throttle.js';

const GIB = 1024 ** 3;

/** One GiB of memory, nothing that would keep it from being limited. */
export function defaultHardware(changes: Partial<Hardware> = {}): Hardware {
  const memoryBytes = changes.memoryBytes ?? GIB;
  return {
    arch: 'x86_64',
    memoryBytes,
    currentMemoryBytes: memoryBytes,
    locked: false,
    hugepages: false,
    vfio: false,
    ioThreads: 0,
    videos: 0,
    tpm: false,
    encrypted: false,
    unmerged: false,
    cpuset: null,
    vhostUser: false,
    invtsc: false,
    ...changes,
  };
}

/** Nothing is tuned, and there are no devices. */
export function defaultTuning(changes: Partial<Tuning> = {}): Tuning {
  return {
    cpu: { realtimeVcpus: false },
    memory: {},
    blkio: { devices: [] },
    disks: [],
    interfaces: [],
    pins: {},
    ...changes,
  };
}

/** An image file with cache none. */
export function fakeDisk(disk: Partial<DiskDevice> & Pick<DiskDevice, 'target'>): DiskDevice {
  const path = disk.path === undefined ? `/images/${disk.target}.img` : disk.path;
  return {
    device: 'disk',
    sourceType: 'file',
    path,
    empty: path === null,
    cache: 'none',
    readOnly: false,
    throttle: NO_THROTTLE,
    ...disk,
  };
}

/** On a bridge; its tap is given when the guest starts. */
export function fakeInterface(device: Partial<InterfaceDevice> & Pick<InterfaceDevice, 'mac'>): InterfaceDevice {
  return { type: 'bridge', device: null, inbound: null, outbound: null, ...device };
}

/** virNetDevSupportsBandwidth */
export function supportsBandwidth(type: string): boolean {
  return ['bridge', 'network', 'direct', 'ethernet'].includes(type);
}

/** What a call did. */
export type Tuned =
  | {
      readonly ok: true;
      readonly tuning: Tuning;
      /** What libvirt announces; null where it announces nothing. */
      readonly announced: Readonly<Record<string, string>> | null;
    }
  | { readonly ok: false; readonly message: string };

/** Errors in libvirt's words. */
export function applyTune(tuning: Tuning, vcpus: number, call: TuneCall): Tuned {
  switch (call.call) {
    case 'scheduler':
      return applyScheduler(tuning, call.parameters);
    case 'memory':
      return { ok: true, tuning: { ...tuning, memory: setMemory(tuning.memory, call.parameters) }, announced: null };
    case 'blkio':
      return { ok: true, tuning: { ...tuning, blkio: setBlkio(tuning.blkio, call.parameters) }, announced: null };
    case 'throttle':
      return applyThrottle(tuning, call);
    case 'bandwidth':
      return applyBandwidth(tuning, call);
    case 'pin': {
      if (call.vcpu >= vcpus) {
        return refused(
          `vCPU ${call.vcpu}: invalid argument: vcpu ${call.vcpu} is out of range of live cpu count ${vcpus}`,
        );
      }
      const list = cpuList(call.cpus);
      const announced = { [`cputune.vcpupin${call.vcpu}`]: list };
      return { ok: true, tuning: { ...tuning, pins: { ...tuning.pins, [call.vcpu]: list } }, announced };
    }
    case 'seclabel':
    case 'histogram':
      // Of the definition, not of what runs; QEMU's own, of which libvirt knows nothing.
      return { ok: true, tuning, announced: null };
  }
}

function applyScheduler(tuning: Tuning, parameters: SchedulerParameters): Tuned {
  const { cpu_shares, vcpu_period, vcpu_quota } = parameters;
  const cpu = {
    ...tuning.cpu,
    ...(cpu_shares !== undefined && { shares: Number(cpu_shares) }),
    ...(vcpu_period !== undefined && { vcpuPeriodUsec: Number(vcpu_period) }),
    ...(vcpu_quota !== undefined && { vcpuQuotaUsec: Number(vcpu_quota) }),
  };
  const named = Object.entries(parameters).map(([name, value]) => [`cputune.${name}`, String(value)] as const);
  return { ok: true, tuning: { ...tuning, cpu }, announced: Object.fromEntries(named) };
}

function setMemory(memory: MemoryTune, parameters: MemoryParameters): MemoryTune {
  const changed: { -readonly [K in keyof MemoryTune]: MemoryTune[K] } = { ...memory };
  const names = {
    hard_limit: 'hardLimitKib',
    soft_limit: 'softLimitKib',
    swap_hard_limit: 'swapHardLimitKib',
  } as const;
  for (const [name, field] of Object.entries(names)) {
    const value = parameters[name as keyof MemoryParameters];
    if (value === undefined) continue;
    if (value >= MEMORY_UNLIMITED_KIB) delete changed[field];
    else changed[field] = Number(value);
  }
  return changed;
}

function setBlkio(blkio: BlkioTune, { weight, ...lists }: BlkioParameters): BlkioTune {
  const names = {
    device_weight: 'weight',
    device_read_bytes_sec: 'readBytesPerSecond',
    device_write_bytes_sec: 'writeBytesPerSecond',
    device_read_iops_sec: 'readOperationsPerSecond',
    device_write_iops_sec: 'writeOperationsPerSecond',
  } as const;
  const devices = new Map(blkio.devices.map((device) => [device.path, device]));
  for (const [name, list] of Object.entries(lists)) {
    const field = names[name as keyof typeof names];
    const words = list.split(',');
    for (let index = 0; index + 1 < words.length; index += 2) {
      const [path = '', value = '0'] = words.slice(index);
      const { [field]: _old, ...others }: BlkioDevice = devices.get(path) ?? { path };
      devices.set(path, Number(value) === 0 ? { ...others, path } : { ...others, path, [field]: Number(value) });
    }
  }
  const tuned = [...devices.values()].filter((device) => Object.keys(device).length > 1);
  return { ...blkio, ...(weight !== undefined && { weight }), devices: tuned };
}

/** A group's limits are one for all its disks; a disk whose limits are all taken off leaves it. */
function applyThrottle(tuning: Tuning, { disk, throttle }: Extract<TuneCall, { call: 'throttle' }>): Tuned {
  const found = tuning.disks.find(({ target }) => target === disk);
  if (found === undefined) return refused(`disk ${disk}: invalid argument: disk '${disk}' not found in domain`);
  if (found.sourceType === 'vhostuser') {
    return refused(
      `disk ${disk}: unsupported configuration: a block I/O throttling is not supported for vhostuser disk`,
    );
  }
  const wanted = canonicalThrottle(throttle);
  const inGroup = (other: DiskDevice) => wanted.group !== null && other.throttle.group === wanted.group;
  const disks = tuning.disks.map((other) =>
    other.target === disk || inGroup(other) ? { ...other, throttle: wanted } : other,
  );
  const announced = {
    'blkdeviotune.disk': disk,
    ...Object.fromEntries(
      THROTTLE_FIELDS.map((name) => [`blkdeviotune.${name}`, String(wanted.fields[name] ?? 0)] as const),
    ),
    ...(wanted.group !== null && { 'blkdeviotune.group_name': wanted.group }),
  };
  return { ok: true, tuning: { ...tuning, disks }, announced };
}

function applyBandwidth(tuning: Tuning, call: Extract<TuneCall, { call: 'bandwidth' }>): Tuned {
  const { device, inbound, outbound } = call;
  const found = tuning.interfaces.find((other) => other.device === device || other.mac === device);
  if (found === undefined) {
    return refused(`interface ${device}: invalid argument: '${device}' is not a known interface`);
  }
  if (!supportsBandwidth(found.type)) {
    return refused(
      `interface ${device}: unsupported configuration: setting bandwidth on interfaces of type '${found.type}' is not implemented yet`,
    );
  }
  const tuned = {
    ...found,
    ...(inbound !== undefined && { inbound: limiting(inbound) }),
    ...(outbound !== undefined && { outbound: limiting(outbound) }),
  };
  const interfaces = tuning.interfaces.map((other) => (other === found ? tuned : other));
  return { ok: true, tuning: { ...tuning, interfaces }, announced: null };
}

function limiting(bandwidth: Bandwidth | null): Bandwidth | null {
  return bandwidth !== null && bandwidth.averageKbytes + (bandwidth.floorKbytes ?? 0) > 0 ? bandwidth : null;
}

/** `0-1,5` */
function cpuList(cpus: readonly number[]): string {
  const ranges: [first: number, last: number][] = [];
  for (const cpu of [...new Set(cpus)].sort((a, b) => a - b)) {
    const open = ranges.at(-1);
    if (open !== undefined && open[1] === cpu - 1) open[1] = cpu;
    else ranges.push([cpu, cpu]);
  }
  return ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).join(',');
}

function refused(message: string): Tuned {
  return { ok: false, message };
}
