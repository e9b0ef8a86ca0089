/**
 * CPU of one guest: raw kernel readings and what its class promises in; monotone counters, rates and the last slice of
 * its accounting out. Pure. A counter that went back, or a vCPU that came, went or has another thread, starts anew: no
 * negative, no spike, and no slice over that time.
 * Sources: Documentation/scheduler/sched-stats.rst (run time and run-queue delay), sched-bwc.rst (throttled time).
 */
import type { CpuSlice } from '../slo/types.js';
import type { CpuCounters } from '../snapshot/types.js';
import { entitlementOf, type VcpuSeconds } from './cpu-entitled.js';

/** One reading of one vCPU thread and its group. */
export interface VcpuReading {
  /** Thread id and start make the counter's identity: `TID` of a reading that continues the last one. */
  readonly threadId: number;
  readonly ranNs: bigint;
  /** Contains throttled time. The kernel adds a wait when it ends. */
  readonly waitedNs: bigint;
  /** null: the group has no cpu.stat. The kernel adds a time when it ends. */
  readonly throttledUsec: number | null;
}

export interface CpuReading {
  readonly atMonotonicMs: number;
  readonly vcpus: ReadonlyMap<number, VcpuReading>;
  /** utime + stime of the whole process. */
  readonly processSeconds: number;
}

/** What is promised and allowed from this reading on. */
export interface CpuTerms {
  /** Host cores, cut to the limit; null: no guarantee. */
  readonly guaranteedCores: number | null;
  /** The quota of the policy that stands in the guest's groups; null: none, so that all throttling is somebody else's. */
  readonly limit: CpuLimit | null;
}

export interface CpuLimit {
  /** For all vCPUs together. */
  readonly cores: number;
  /** Each vCPU group has its part, or the one group of the process has all: then the first reading has its throttled time. */
  readonly on: 'vcpus' | 'whole';
}

export interface CpuAccount {
  readonly last: CpuReading;
  readonly terms: CpuTerms;
  /** vCPU → seconds of waiting told and still to be counted; negative: throttled time told ahead of the wait around it. */
  readonly late: ReadonlyMap<number, number>;
  readonly counters: CpuCounters;
  /** From the reading before; null when that cannot be told. A new object with each reading. */
  readonly slice: CpuSlice | null;
}

const NO_TERMS: CpuTerms = { guaranteedCores: null, limit: null };

/**
 * The most that is carried from slice to slice. One throttling lasts up to some periods of 100 ms where a small quota was
 * overrun by a tick.
 */
const LATE_SECONDS_MAX = 1;

const NONE: CpuCounters = {
  usedSeconds: 0,
  waitSeconds: 0,
  throttledSeconds: 0,
  emulatorSeconds: 0,
  demandedSeconds: 0,
  entitledSeconds: 0,
  shortfallSeconds: 0,
  activeSeconds: 0,
  usedCores: 0,
  waitCores: 0,
  throttledCores: 0,
};

/** The account after one more reading; the first one only sets the marks. */
export function accountCpu(account: CpuAccount | null, reading: CpuReading, terms: CpuTerms = NO_TERMS): CpuAccount {
  if (account === null) return { last: reading, terms, late: new Map(), counters: NONE, slice: null };
  const { last, counters } = account;
  const elapsed = (reading.atMonotonicMs - last.atMonotonicMs) / 1000;
  if (elapsed <= 0) return account;
  const rises = risesOf(last, reading);
  let [used, waited, throttled] = [0, 0, 0];
  for (const rise of rises.byVcpu.values()) {
    used += rise.used;
    waited += rise.waited;
    throttled += rise.throttled ?? 0;
  }
  const process = Math.max(0, reading.processSeconds - last.processSeconds);
  const late = new Map<number, number>();
  const slice = rises.whole ? sliceOver(elapsed, rises.byVcpu, account, terms, late) : null;
  return {
    last: reading,
    terms,
    late,
    slice,
    counters: {
      usedSeconds: counters.usedSeconds + used,
      waitSeconds: counters.waitSeconds + waited,
      throttledSeconds: counters.throttledSeconds + throttled,
      // The process's time has a grain of 10 ms: a vCPU's own time may be ahead of it for a moment.
      emulatorSeconds: counters.emulatorSeconds + Math.max(0, process - used),
      // What ran was wanted, whatever else is not known of this time.
      demandedSeconds: counters.demandedSeconds + (slice?.demandedSeconds ?? used),
      entitledSeconds: counters.entitledSeconds + (slice?.entitledSeconds ?? 0),
      shortfallSeconds: counters.shortfallSeconds + (slice?.shortfallSeconds ?? 0),
      activeSeconds: counters.activeSeconds + (slice?.activeSeconds ?? 0),
      usedCores: used / elapsed,
      waitCores: waited / elapsed,
      throttledCores: throttled / elapsed,
    },
  };
}

interface Rise {
  readonly used: number;
  readonly waited: number;
  /** null: not known at one of the two ends. */
  readonly throttled: number | null;
}

/** `whole`: every vCPU has a rise, and none began anew. */
function risesOf(last: CpuReading, now: CpuReading): { byVcpu: Map<number, Rise>; whole: boolean } {
  const byVcpu = new Map<number, Rise>();
  let whole = now.vcpus.size > 0 && now.vcpus.size === last.vcpus.size;
  for (const [vcpu, is] of now.vcpus) {
    const was = last.vcpus.get(vcpu);
    if (was === undefined || was.threadId !== is.threadId) {
      whole = false;
      continue;
    }
    const known = was.throttledUsec !== null && is.throttledUsec !== null;
    const throttledUsec = known ? (is.throttledUsec ?? 0) - (was.throttledUsec ?? 0) : null;
    if (is.ranNs < was.ranNs || is.waitedNs < was.waitedNs || (throttledUsec ?? 0) < 0) whole = false;
    byVcpu.set(vcpu, {
      used: rise(was.ranNs, is.ranNs),
      waited: rise(was.waitedNs, is.waitedNs),
      throttled: throttledUsec === null ? null : Math.max(0, throttledUsec) / 1e6,
    });
  }
  return { byVcpu, whole };
}

/** Fills `late` with what goes on to the next slice. */
function sliceOver(
  elapsed: number,
  rises: ReadonlyMap<number, Rise>,
  account: CpuAccount,
  terms: CpuTerms,
  late: Map<number, number>,
): CpuSlice | null {
  // A limit that stood at either end may have throttled in between.
  const limit = terms.limit ?? account.terms.limit;
  const ours = limit === null ? () => 0 : throttledBy(limit, rises);
  if (ours === null) return null;
  const vcpus: VcpuSeconds[] = [];
  let [usedSeconds, waitSeconds, throttledSeconds] = [0, 0, 0];
  for (const [vcpu, { used, waited }] of rises) {
    const throttled = ours(vcpu);
    const pending = (account.late.get(vcpu) ?? 0) + waited - throttled;
    const wait = Math.min(Math.max(0, pending), Math.max(0, elapsed - used));
    late.set(vcpu, Math.min(LATE_SECONDS_MAX, Math.max(-LATE_SECONDS_MAX, pending - wait)));
    vcpus.push({ used, wait, throttled });
    usedSeconds += used;
    waitSeconds += wait;
    throttledSeconds += throttled;
  }
  // Nobody is owed for the whole slice what was promised at one end of it only.
  const guaranteed = Math.min(terms.guaranteedCores ?? 0, account.terms.guaranteedCores ?? 0);
  const cores = Math.min(...[terms.limit, account.terms.limit].flatMap((one) => (one === null ? [] : [one.cores])));
  const perVcpu = limit?.on === 'vcpus' ? cores / rises.size : null;
  return { usedSeconds, waitSeconds, throttledSeconds, ...entitlementOf(vcpus, elapsed, guaranteed, perVcpu) };
}

/**
 * Seconds of each vCPU; null when they are not known. A process that is throttled as a whole does not tell which of its
 * threads that held up: shared out as they waited.
 */
function throttledBy(limit: CpuLimit, rises: ReadonlyMap<number, Rise>): ((vcpu: number) => number) | null {
  const each = [...rises.values()];
  if (limit.on === 'vcpus') {
    return each.some(({ throttled }) => throttled === null) ? null : (vcpu) => rises.get(vcpu)?.throttled ?? 0;
  }
  if (each.every(({ throttled }) => throttled === null)) return null;
  const sum = each.reduce((total, { throttled }) => total + (throttled ?? 0), 0);
  const waited = each.reduce((total, one) => total + one.waited, 0);
  return (vcpu) => sum * (waited > 0 ? (rises.get(vcpu)?.waited ?? 0) / waited : 1 / each.length);
}

function rise(before: bigint, now: bigint): number {
  return now > before ? Number(now - before) / 1e9 : 0;
}
