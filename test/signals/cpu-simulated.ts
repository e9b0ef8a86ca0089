/** A host that is simulated in steps of 10 ms: what vCPU threads do, and what the kernel's counters say of it and when. */
import type { CpuReading, VcpuReading } from '../../src/signals/cpu.js';

export const STEP_SECONDS = 0.01;
const STEP_NS = 10_000_000n;
const PERIOD_STEPS = 10;

export interface Step {
  /** It has work. */
  readonly wants: boolean;
  /** Another guest has its core. */
  readonly crowded: boolean;
}

interface Thread {
  ranNs: bigint;
  waitedNs: bigint;
  throttledUsec: number;
  /** Steps of the stretch of waiting that goes on, and those of them that were throttled. */
  waiting: bigint;
  throttling: number;
  usedOfPeriod: number;
}

export interface Simulated {
  readonly readings: readonly CpuReading[];
  /** True seconds, over all vCPUs. */
  readonly used: number;
  readonly wait: number;
  readonly throttled: number;
}

/**
 * `quotaSteps`: of ten, each vCPU; null: none. A reading every `every` steps and one at the end, when nothing waits any
 * more. Waits are told when the thread runs again or sleeps, throttled time when it is unthrottled.
 */
export function simulate(plan: readonly (readonly Step[])[], quotaSteps: number | null, every: number): Simulated {
  const vcpus = plan[0]?.length ?? 0;
  const threads = Array.from({ length: vcpus }, (): Thread => {
    return { ranNs: 0n, waitedNs: 0n, throttledUsec: 0, waiting: 0n, throttling: 0, usedOfPeriod: 0 };
  });
  const truth = { used: 0, wait: 0, throttled: 0 };
  const readings = [read(0, threads)];
  const calm = Array.from({ length: vcpus }, (): Step => ({ wants: false, crowded: false }));
  const steps = [...plan, calm];
  steps.forEach((step, at) => {
    step.forEach(({ wants, crowded }, vcpu) => {
      const thread = threads[vcpu] as Thread;
      if (at % PERIOD_STEPS === 0) {
        thread.usedOfPeriod = 0;
        thread.throttledUsec += thread.throttling * 10_000;
        thread.throttling = 0;
      }
      const throttled = quotaSteps !== null && thread.usedOfPeriod >= quotaSteps;
      if (wants && (crowded || throttled)) {
        thread.waiting++;
        if (throttled) thread.throttling++;
        truth[throttled ? 'throttled' : 'wait'] += STEP_SECONDS;
        return;
      }
      thread.waitedNs += thread.waiting * STEP_NS;
      thread.waiting = 0n;
      if (!wants) {
        thread.throttledUsec += thread.throttling * 10_000;
        thread.throttling = 0;
        return;
      }
      thread.ranNs += STEP_NS;
      thread.usedOfPeriod++;
      truth.used += STEP_SECONDS;
    });
    if ((at + 1) % every === 0 || at === steps.length - 1) readings.push(read(at + 1, threads));
  });
  return { readings, ...truth };
}

function read(steps: number, threads: readonly Thread[]): CpuReading {
  const vcpus = new Map(
    threads.map(({ ranNs, waitedNs, throttledUsec }, vcpu): [number, VcpuReading] => {
      return [vcpu, { threadId: 100 + vcpu, ranNs, waitedNs, throttledUsec }];
    }),
  );
  return { atMonotonicMs: steps * STEP_SECONDS * 1000, vcpus, processSeconds: 0 };
}
