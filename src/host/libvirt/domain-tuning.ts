/**
 * Everything that can be tuned on a domain: takes a parsed `<domain>`, live or persistent, gives Tuning. Pure.
 * Format: https://libvirt.org/formatdomain.html, sections "CPU Tuning", "Memory Tuning" and "Block I/O Tuning".
 */
import type { BlkioDevice, BlkioTune, CpuTune, MemoryTune, Tuning } from '../../domains/types.js';
import { MEMORY_UNLIMITED_KIB } from './client.js';
import { readDisks, readInterfaces } from './domain-devices.js';
import { memoryKib } from './memory-size.js';
import { attribute, child, childInteger, children, childText, integer, type XmlNode } from './xml-tree.js';

export function readTuning(domain: XmlNode): Tuning {
  const devices = child(domain, 'devices');
  const cputune = child(domain, 'cputune');
  return {
    cpu: cpuTune(cputune),
    memory: memoryTune(child(domain, 'memtune')),
    blkio: blkioTune(child(domain, 'blkiotune')),
    disks: readDisks(devices),
    interfaces: readInterfaces(devices),
    pins: vcpuPins(cputune),
  };
}

function cpuTune(cputune: XmlNode | undefined): CpuTune {
  const shares = childInteger(cputune, 'shares');
  const period = childInteger(cputune, 'period');
  const quota = childInteger(cputune, 'quota');
  const globalPeriod = childInteger(cputune, 'global_period');
  const globalQuota = childInteger(cputune, 'global_quota');
  return {
    ...(shares !== undefined && { shares }),
    ...(period !== undefined && { vcpuPeriodUsec: period }),
    ...(quota !== undefined && { vcpuQuotaUsec: quota }),
    ...(globalPeriod !== undefined && { globalPeriodUsec: globalPeriod }),
    ...(globalQuota !== undefined && { globalQuotaUsec: globalQuota }),
    realtimeVcpus: children(cputune, 'vcpusched').some((node) =>
      /^(fifo|rr)$/.test(attribute(node, 'scheduler') ?? ''),
    ),
  };
}

function memoryTune(memtune: XmlNode | undefined): MemoryTune {
  const limit = (name: string) => {
    const kib = memoryKib(child(memtune, name));
    return kib === undefined || kib >= MEMORY_UNLIMITED_KIB ? undefined : kib;
  };
  const hard = limit('hard_limit');
  const soft = limit('soft_limit');
  const swap = limit('swap_hard_limit');
  return {
    ...(hard !== undefined && { hardLimitKib: hard }),
    ...(soft !== undefined && { softLimitKib: soft }),
    ...(swap !== undefined && { swapHardLimitKib: swap }),
  };
}

function blkioTune(blkiotune: XmlNode | undefined): BlkioTune {
  const weight = childInteger(blkiotune, 'weight');
  return { ...(weight !== undefined && { weight }), devices: children(blkiotune, 'device').map(blkioDevice) };
}

function blkioDevice(device: XmlNode): BlkioDevice {
  const weight = childInteger(device, 'weight');
  const readBytes = childInteger(device, 'read_bytes_sec');
  const writeBytes = childInteger(device, 'write_bytes_sec');
  const readOperations = childInteger(device, 'read_iops_sec');
  const writeOperations = childInteger(device, 'write_iops_sec');
  return {
    path: childText(device, 'path'),
    ...(weight !== undefined && { weight }),
    ...(readBytes !== undefined && { readBytesPerSecond: readBytes }),
    ...(writeBytes !== undefined && { writeBytesPerSecond: writeBytes }),
    ...(readOperations !== undefined && { readOperationsPerSecond: readOperations }),
    ...(writeOperations !== undefined && { writeOperationsPerSecond: writeOperations }),
  };
}

/** The first `<vcpupin>` of a vCPU; libvirt writes one at most. */
function vcpuPins(cputune: XmlNode | undefined): Record<number, string> {
  const pins: Record<number, string> = {};
  for (const pin of children(cputune, 'vcpupin')) {
    const vcpu = integer(attribute(pin, 'vcpu'));
    const cpuset = attribute(pin, 'cpuset');
    if (vcpu !== undefined && vcpu >= 0 && cpuset !== undefined) pins[vcpu] ??= cpuset;
  }
  return pins;
}
