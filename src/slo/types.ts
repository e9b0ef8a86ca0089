/**
 * What the accounting of service levels works on: a slice is one cycle of one guest, with what it wanted and what it got; an
 * SLI judges a slice; a budget adds judgements up. Pure data.
 */
import type { DomainState } from '../domains/types.js';
import type { Objective } from '../policy/types.js';

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
  /**
   * It is meant to run: libvirt has it running, or it ended or stands still without anybody having asked for that (a crash,
   * an I/O error). False of one that was shut down, paused, saved or suspended for its label by those who may.
   */
  readonly meantToRun: boolean;
  readonly cpu: CpuSlice | null;
  readonly memory: MemorySlice | null;
  readonly disks: readonly DiskSlice[] | null;
  readonly interfaces: readonly InterfaceSlice[] | null;
  /** The last audit of its label; null on a host without SELinux, and before the first audit. */
  readonly labelCompliant: boolean | null;
}

/** How they are worked out: src/signals/cpu.ts and src/signals/cpu-entitled.ts. */
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
  /** What it was entitled to and did not get. */
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

/**
 * Disks are read in rounds, longer than a cycle: a slice has the last round of each disk, which stands until the next one
 * ends, so that each round counts once for about its own length.
 */
export interface DiskSlice {
  readonly target: string;
  /** Length of the round. */
  readonly overSeconds: number;
  readonly read: DiskTraffic;
  readonly write: DiskTraffic;
  /** Ran at the limit in force, whoever set it; null when that cannot be told. */
  readonly limited: boolean | null;
  /**
   * Of QEMU's own histogram over the round: upper bound in seconds (the last may be Infinity) → requests of that bucket
   * alone, ascending. Null when the class does not ask for it.
   */
  readonly histogram: readonly (readonly [number, number])[] | null;
  /** What the class lets it have, as it desires it now; null: nothing. */
  readonly promised: DiskPromise | null;
}

/** Over the round. Flushes are in neither: their time is that of data the guest wrote before. */
export interface DiskTraffic {
  readonly requests: number;
  readonly bytes: number;
  /** Sum over requests, waiting for the throttle included. */
  readonly requestSeconds: number;
}

/** A second; absent: none. `total` is of reads and writes together. */
export interface DiskPromise {
  readonly readBytes?: number;
  readonly writeBytes?: number;
  readonly totalBytes?: number;
  readonly readIops?: number;
  readonly writeIops?: number;
  readonly totalIops?: number;
}

/** Both ways together. */
export interface InterfaceSlice {
  readonly device: string;
  /** That arrived. */
  readonly packets: number;
  /** That did not. */
  readonly dropped: number;
}

/** What bound an objective of an SLI takes. */
export type SliBound = 'at-least' | 'at-most-share' | 'at-most-duration' | 'none';

/** One service level indicator: judges slices. Pure. */
export interface Sli {
  /** As policies name it. */
  readonly name: string;
  readonly bound: SliBound;
  /** What is measured and what makes a slice bad, in a sentence or two, for documentation. */
  readonly help: string;
  readonly unit: 'share' | 'seconds';
  judge(slice: Slice, objective: SliObjective): Verdict;
  /** What the bound is held against; null: not known, or nothing was asked for. For display. */
  figure(slice: Slice): number | null;
}

/** The part of an objective that a slice is judged by. */
export type SliObjective = Pick<Objective, 'sli' | 'atLeast' | 'atMost'>;
