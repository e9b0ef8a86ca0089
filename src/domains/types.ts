/**
 * A domain as this host sees it now. Facts come from libvirt (its XML) and from the kernel (process, cgroup);
 * nothing is derived by parsing a name back out of a path.
 */
import type { DomainAttributes } from '../policy/types.js';

export type DomainState = 'starting' | 'running' | 'paused' | 'shutdown' | 'shutoff' | 'crashed' | 'pmsuspended';

/** CPU tuning as libvirt's live XML has it; an absent field is libvirt's default. */
export interface CpuTune {
  readonly shares?: number;
  readonly vcpuPeriodUsec?: number;
  /** Negative: no quota. */
  readonly vcpuQuotaUsec?: number;
  readonly globalPeriodUsec?: number;
  readonly globalQuotaUsec?: number;
  /** A `<vcpusched>` with fifo or rr exists: quotas do not bind those threads. */
  readonly realtimeVcpus: boolean;
}

/** What one reading of a domain's XML says. */
export interface DomainFacts extends DomainAttributes {
  /** libvirt's id of the running instance; null when it does not run. */
  readonly id: number | null;
  readonly state: DomainState;
  readonly persistent: boolean;
  readonly vcpusOnline: number;
  readonly vcpusMax: number;
  readonly cputune: CpuTune;
  /** The same from the persistent definition; null for a transient domain. */
  readonly persistentCputune: CpuTune | null;
  /** Our own element of the live metadata (originals that travelled with the guest), as text; null if none. */
  readonly originalsXml: string | null;
}

/** Kernel identity of a running domain's QEMU process. A reused pid has another start time. */
export interface ProcessIdentity {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, clock ticks since boot. */
  readonly startTicks: bigint;
}

/** Where the domain's CPU settings live in the cgroup tree. */
export interface CpuCgroup {
  readonly version: 1 | 2;
  /** Directory that holds `vcpuN` and `emulator`. */
  readonly domainDir: string;
  /** Directory whose weight counts among siblings: the systemd scope on nested layouts, else `domainDir`. */
  readonly weightDir: string;
  /** systemd manages `weightDir`: its files are set through libvirt (D-Bus), never written. */
  readonly systemdOwned: boolean;
  /** The groups above `weightDir`, nearest first, without the root: their quotas bind the guest too. */
  readonly ancestors: readonly string[];
  /** Inode of `domainDir`: a recreated directory of the same name is another one. */
  readonly inode: bigint;
}

export interface Domain {
  readonly uuid: string;
  readonly name: string;
  readonly state: DomainState;
  /** Null until libvirt has answered for it the first time. */
  readonly facts: DomainFacts | null;
  readonly process: ProcessIdentity | null;
  readonly cgroup: CpuCgroup | null;
  /** Numbers of the `vcpuN` groups that exist now, ascending. */
  readonly vcpuGroups: readonly number[];
  /** Why a running domain cannot be acted on (no cgroup of its own, quarantined …); null when it can. */
  readonly obstacle: string | null;
}
