/**
 * What the accounting of service levels works on: a slice is one cycle of one guest, with what it wanted and what it got; an
 * SLI judges a slice; a budget adds judgements up. Pure data.
 */
import type { DomainState } from '../domains/types.js';

/**
 * Good: it got what it was promised, or wanted less than that. Bad: it wanted it and did not get it. Unknown: nobody can tell
 * (the daemon did not run, a counter began anew, the host has no such figure); it counts on neither side. Excluded: in a
 * maintenance window; counts on neither side too.
 */
export type Verdict = 'good' | 'bad' | 'unknown';
export type Result = Verdict | 'excluded';
export const RESULTS: readonly Result[] = ['good', 'bad', 'unknown', 'excluded'];

/** Over one cycle, of one guest. Null: not known for this slice, so nothing about it can be judged. */
export interface Slice {
  /** Length, monotonic. Over 0. */
  readonly seconds: number;
  readonly state: DomainState;
  /** It is meant to run: libvirt has it running, or it ended without anybody having stopped it. */
  readonly meantToRun: boolean;
  readonly cpu: CpuSlice | null;
  readonly memory: MemorySlice | null;
  readonly disks: readonly DiskSlice[] | null;
  readonly interfaces: readonly InterfaceSlice[] | null;
  /** The last audit of its label; null on a host without SELinux, and before the first audit. */
  readonly labelCompliant: boolean | null;
}

export interface CpuSlice {
  /** Run time of the vCPU threads. */
  readonly usedSeconds: number;
  /** Run-queue wait of the vCPU threads without what limits of the policy took. */
  readonly waitSeconds: number;
  /** Taken by limits of the policy: nobody's fault. */
  readonly throttledSeconds: number;
  /** Time in which at least one vCPU wanted to run. */
  readonly activeSeconds: number;
  /** Used and waited. */
  readonly demandedSeconds: number;
  /** What it wanted, as far as it was guaranteed. 0 without a guarantee. */
  readonly entitledSeconds: number;
  readonly shortfallSeconds: number;
}

export interface MemorySlice {
  /** Null without a guarantee. */
  readonly guaranteedBytes: number | null;
  readonly usedBytes: number;
  /** In swap now. */
  readonly swapBytes: number | null;
  /** Pages taken back over the slice and needed again. */
  readonly refaultedBytes: number | null;
  /** Time in which at least one task of the guest waited for memory (PSI some). Null: no PSI. */
  readonly waitedSeconds: number | null;
}

/** Disks are read in rounds: a slice has those whose round ended in it. */
export interface DiskSlice {
  readonly target: string;
  /** Length of the round. */
  readonly overSeconds: number;
  readonly requests: number;
  readonly bytes: number;
  /** Sum over requests, waiting for the throttle included. */
  readonly requestSeconds: number;
  /** Ran at its own limit; null when that cannot be told. */
  readonly limited: boolean | null;
  /** Upper bounds in seconds → requests, of QEMU's own histogram over the round; null when the class does not ask. */
  readonly histogram: readonly (readonly [number, number])[] | null;
  /** Lowest promise that a class makes of throughput; null: none. */
  readonly promised: { readonly bytesPerSecond: number | null; readonly iops: number | null };
}

export interface InterfaceSlice {
  readonly device: string;
  readonly packets: number;
  readonly dropped: number;
}
