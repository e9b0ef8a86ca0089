/**
 * What the kernel and QEMU say of a guest's memory, disks, network and waiting, as the snapshot carries it: plain JSON.
 * Counters only rise while the instance of the guest lives. They count from its start where kernel or QEMU do, from the
 * first reading where one of them began anew. Null: this host has no such figure. Rates are over the last cycle, those
 * of a disk over the last round; null until there are two readings to compare.
 */

export interface MemorySignals {
  /** All that is charged to the guest's group: its RAM as far as touched, QEMU's own, page cache of its images. */
  readonly usedBytes: number;
  readonly peakBytes: number | null;
  /** RAM of a guest without memory backing of its own, and QEMU's heap. */
  readonly anonBytes: number | null;
  /** Page cache of files. */
  readonly fileBytes: number | null;
  /** Shared memory: guest RAM backed by a memfd or by /dev/shm. */
  readonly sharedBytes: number | null;
  readonly swapBytes: number | null;
  /** Counter: taken back from the group, to swap or by dropping cache. cgroup v1 does not count it. */
  readonly reclaimedBytes: number | null;
  /** Counter: needed again soon after it had been taken back. */
  readonly refaultedBytes: number | null;
  /** Counter: page faults that had to wait for a disk. */
  readonly majorFaults: number | null;
  /** Counter: times that `memory.high` throttled it. cgroup v1 has no such limit. */
  readonly highEvents: number | null;
  /** Counter: times that its use ran into its limit. */
  readonly limitEvents: number | null;
  /** Counter: processes of the guest killed for want of memory. */
  readonly oomKills: number | null;
  readonly rates: MemoryRates | null;
}

export interface MemoryRates {
  readonly reclaimedBytesPerSecond: number | null;
  readonly refaultedBytesPerSecond: number | null;
  readonly majorFaultsPerSecond: number | null;
}

/** One virtual disk; readings go round the guests, so each has its own age. */
export interface DiskSignals {
  /** `vda` */
  readonly target: string;
  /** When it was read. */
  readonly atMs: number;
  readonly counters: DiskTotals;
  readonly rates: DiskRates | null;
  /**
   * Ran at its limit in QEMU: at 95 % of it or more over the last round. False without one; null when it cannot be told.
   * QEMU has no counter for what a throttle held back, so how much that was is not known. Limits by cgroup are not judged.
   */
  readonly limited: boolean | null;
  /** Where the class asks for it and QEMU has begun to count. */
  readonly histogram?: DiskHistogramSignals;
}

/** How long requests took, by QEMU's histogram. */
export interface DiskHistogramSignals {
  /** Upper bounds of all bins but the last, ascending. */
  readonly boundsSeconds: readonly number[];
  /** Reads and writes of the last round, by bin; null until there are two readings to compare. */
  readonly round: readonly number[] | null;
  readonly read: HistogramTotals;
  readonly write: HistogramTotals;
}

/** Counters, from the first reading of the histogram on. */
export interface HistogramTotals {
  /** Requests by bin: one bin more than bounds. */
  readonly bins: readonly number[];
  /** Time of all of them. */
  readonly seconds: number;
}

/** Since QEMU began to count. Seconds are the sum over requests, waiting for the throttle included. */
export interface DiskTotals {
  readonly readRequests: number;
  readonly readBytes: number;
  readonly readSeconds: number;
  readonly writeRequests: number;
  readonly writeBytes: number;
  readonly writeSeconds: number;
  readonly flushRequests: number;
  readonly flushSeconds: number;
}

export interface DiskRates {
  /** Length of the round that they are over. */
  readonly overSeconds: number;
  /** Requests a second. */
  readonly readIops: number;
  readonly writeIops: number;
  readonly flushIops: number;
  readonly readBytesPerSecond: number;
  readonly writeBytesPerSecond: number;
  /** Mean time of a request; null when there was none. */
  readonly readLatencySeconds: number | null;
  readonly writeLatencySeconds: number | null;
  readonly flushLatencySeconds: number | null;
}

/** One network interface with a device on this host, seen from the guest. */
export interface InterfaceSignals {
  /** Stays over restarts of the guest, unlike `device`. */
  readonly mac: string;
  /** `vnet0` */
  readonly device: string;
  readonly counters: InterfaceTotals;
  readonly rates: InterfaceRates | null;
}

export interface InterfaceTotals {
  readonly receivedBytes: number;
  readonly receivedPackets: number;
  readonly receivedDropped: number;
  readonly sentBytes: number;
  readonly sentPackets: number;
  readonly sentDropped: number;
}

export interface InterfaceRates {
  readonly receivedBytesPerSecond: number;
  readonly receivedPacketsPerSecond: number;
  readonly receivedDroppedPerSecond: number;
  readonly sentBytesPerSecond: number;
  readonly sentPacketsPerSecond: number;
  readonly sentDroppedPerSecond: number;
}

/** Pressure stall information of a guest's group or of the host. */
export type PressureSignals = Readonly<Record<PressureResource, ResourcePressure | null>>;

export type PressureResource = 'cpu' | 'memory' | 'io';

export interface ResourcePressure {
  /** Counter: time in which at least one task waited for the resource. */
  readonly someSeconds: number;
  /** Counter: time in which none made progress, for want of it. */
  readonly fullSeconds: number | null;
  /** Of the time of the last cycle, 0 to 1. */
  readonly someShare: number | null;
  readonly fullShare: number | null;
}
