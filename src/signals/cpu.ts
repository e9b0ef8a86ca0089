/**
 * CPU counters of one guest: raw kernel readings in, monotone counters and rates out. Pure. A counter that went back
 * (a vCPU thread was replaced) starts anew and never gives a negative or a spike.
 */
import type { CpuCounters } from '../snapshot/types.js';

/** One reading of one vCPU thread and its group. */
export interface VcpuReading {
  /** Thread id and start make the counter's identity: `TID` of a reading that continues the last one. */
  readonly threadId: number;
  readonly ranNs: bigint;
  readonly waitedNs: bigint;
  /** null: the group has no cpu.stat. */
  readonly throttledUsec: number | null;
}

export interface CpuReading {
  readonly atMonotonicMs: number;
  readonly vcpus: ReadonlyMap<number, VcpuReading>;
  /** utime + stime of the whole process. */
  readonly processSeconds: number;
}

export interface CpuAccount {
  readonly last: CpuReading;
  readonly counters: CpuCounters;
}

const NONE: CpuCounters = {
  usedSeconds: 0,
  waitSeconds: 0,
  throttledSeconds: 0,
  emulatorSeconds: 0,
  usedCores: 0,
  waitCores: 0,
  throttledCores: 0,
};

/** The account after one more reading; the first one only sets the marks. */
export function accountCpu(account: CpuAccount | null, reading: CpuReading): CpuAccount {
  if (account === null) return { last: reading, counters: NONE };
  const { last, counters } = account;
  const elapsed = (reading.atMonotonicMs - last.atMonotonicMs) / 1000;
  if (elapsed <= 0) return account;
  let [used, waited, throttled] = [0, 0, 0];
  for (const [vcpu, now] of reading.vcpus) {
    const before = last.vcpus.get(vcpu);
    if (before === undefined || before.threadId !== now.threadId) continue;
    used += rise(before.ranNs, now.ranNs);
    waited += rise(before.waitedNs, now.waitedNs);
    throttled += Math.max(0, (now.throttledUsec ?? 0) - (before.throttledUsec ?? 0)) / 1e6;
  }
  const process = Math.max(0, reading.processSeconds - last.processSeconds);
  return {
    last: reading,
    counters: {
      usedSeconds: counters.usedSeconds + used,
      waitSeconds: counters.waitSeconds + waited,
      throttledSeconds: counters.throttledSeconds + throttled,
      // The process's time has a grain of 10 ms: a vCPU's own time may be ahead of it for a moment.
      emulatorSeconds: counters.emulatorSeconds + Math.max(0, process - used),
      usedCores: used / elapsed,
      waitCores: waited / elapsed,
      throttledCores: throttled / elapsed,
    },
  };
}

function rise(before: bigint, now: bigint): number {
  return now > before ? Number(now - before) / 1e9 : 0;
}
