/** One group of the emulated cgroup file system: its place in the tree and the state behind its files. */
import type { Controller } from '../../src/domains/types.js';

export interface Mount {
  /** Full path of the mount point. */
  readonly root: string;
  readonly version: 1 | 2;
  readonly controllers: readonly Controller[];
}

/** What the emulated machine has. */
export interface Machine {
  readonly cpus: number;
  readonly pageBytes: number;
  /** Whole disks, `MAJOR:MINOR`; partitions and all others are ENODEV. */
  readonly disks: readonly string[];
  readonly swapAccounting: boolean;
  readonly bfq: boolean;
  /** memory.peak: Linux 5.19. */
  readonly peak: boolean;
  /** O_NONBLOCK on memory.max and memory.high: Linux 6.16. */
  readonly nonBlocking: boolean;
}

/** What one open file does. Text is as the kernel prints it, last newline included. */
export interface EmulatedFile {
  read?(group: EmulatedGroup): string;
  /** @throws KernelError */
  write?(group: EmulatedGroup, text: string, nonBlocking: boolean): void;
  /** The mount point has it too. */
  readonly onRoot?: true;
  /** No other group has it. */
  readonly onlyOnRoot?: true;
}

export type FileTable = Readonly<Record<string, EmulatedFile>>;

/** Amounts per second of one device; U64_MAX, or U32_MAX for operations: none. */
export interface Throttle {
  readonly device: string;
  readonly amounts: [bigint, bigint, bigint, bigint];
}

/** The io cost controller of one disk; percents in hundredths, latencies in microseconds. */
export interface IoCostSwitch {
  readonly device: string;
  readonly enabled: boolean;
  /** Somebody has chosen the amounts. */
  readonly user: boolean;
  readonly amounts: Readonly<Record<'rpct' | 'rlat' | 'wpct' | 'wlat' | 'min' | 'max', number>>;
}

export class EmulatedGroup {
  readonly path: string;
  readonly parent: EmulatedGroup | null;
  readonly mount: Mount;
  readonly machine: Machine;
  readonly inode: bigint;
  readonly children = new Map<string, EmulatedGroup>();
  readonly processes = new Set<number>();
  readonly threads = new Set<number>();
  /** v2: what groups below get. */
  readonly passedOn = new Set<Controller>();
  threaded = false;
  removed = false;

  /** Microseconds; null: no quota. */
  quotaUsec: bigint | null = null;
  periodUsec = 100_000n;
  burstUsec = 0n;
  shares = 1024n;
  cpuStat: Readonly<Record<string, number>> = {};

  /** Pages; null: no limit. */
  readonly memory: Record<'max' | 'high' | 'swapMax' | 'memswMax', bigint | null> = {
    max: null,
    high: null,
    swapMax: null,
    memswMax: null,
  };
  readonly protectedPages: Record<'low' | 'min', bigint | null> = { low: 0n, min: 0n };
  readonly events = { low: 0, high: 0, max: 0, oom: 0, oomKill: 0 };
  /** In use by the group's own processes, bytes. */
  pinnedBytes = 0n;
  reclaimableBytes = 0n;
  peakBytes = 0n;

  readonly throttles: Throttle[] = [];
  ioWeight = 100n;
  bfqWeight = 100n;
  /** Where the io cost controller is set up for the device; newer ones are listed first. */
  readonly deviceWeights = new Map<string, bigint>();
  /** Of the root group, in the order in which somebody first wrote of them. */
  readonly ioCosts = new Map<string, IoCostSwitch>();

  cpus: ReadonlySet<number> = new Set();

  constructor(path: string, parent: EmulatedGroup | null, mount: Mount, machine: Machine, inode: bigint) {
    this.path = path;
    this.parent = parent;
    this.mount = mount;
    this.machine = machine;
    this.inode = inode;
  }

  get controllers(): readonly Controller[] {
    if (this.mount.version === 1 || this.parent === null) return this.mount.controllers;
    const offered = [...this.parent.passedOn];
    return this.threaded ? offered.filter((controller) => isThreadable(controller)) : offered;
  }

  get subtree(): EmulatedGroup[] {
    return [this, ...[...this.children.values()].flatMap((child) => child.subtree)];
  }

  get usedBytes(): bigint {
    return this.subtree.reduce((sum, group) => sum + group.pinnedBytes + group.reclaimableBytes, 0n);
  }

  get populated(): boolean {
    return this.subtree.some(({ processes, threads }) => processes.size > 0 || threads.size > 0);
  }
}

/** v2: may be used in threaded groups (cgroup-v2.rst, Threads). */
export function isThreadable(controller: Controller): boolean {
  return controller === 'cpu' || controller === 'cpuset';
}
