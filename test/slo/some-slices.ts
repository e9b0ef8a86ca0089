/** A slice in which all is well, and parts of it with what differs. */
import type { CpuSlice, DiskSlice, MemorySlice, Slice } from '../../src/slo/types.js';

const QUIET = { requests: 0, bytes: 0, requestSeconds: 0 };

/** Ten seconds of a running guest. */
export function someSlice(changes: Partial<Slice> = {}): Slice {
  return {
    seconds: 10,
    state: 'running',
    meantToRun: true,
    cpu: null,
    memory: null,
    disks: null,
    interfaces: null,
    labelCompliant: null,
    ...changes,
  };
}

export function someCpu(changes: Partial<CpuSlice>): CpuSlice {
  return {
    usedSeconds: 0,
    waitSeconds: 0,
    throttledSeconds: 0,
    activeSeconds: 0,
    demandedSeconds: 0,
    entitledSeconds: 0,
    shortfallSeconds: 0,
    ...changes,
  };
}

export function someMemory(changes: Partial<MemorySlice>): MemorySlice {
  return { guaranteedBytes: 1000, usedBytes: 1000, swapBytes: 0, refaultedBytes: 0, waitedSeconds: 0, ...changes };
}

/** A round of a minute. */
export function someDisk(changes: Partial<DiskSlice>): DiskSlice {
  return {
    target: 'vda',
    overSeconds: 60,
    read: QUIET,
    write: QUIET,
    limited: false,
    histogram: null,
    promised: null,
    ...changes,
  };
}

/** Of the round of a minute. */
export function traffic(iops: number, bytesPerSecond: number, meanSeconds: number) {
  return { requests: iops * 60, bytes: bytesPerSecond * 60, requestSeconds: iops * 60 * meanSeconds };
}
