/**
 * CPU time of a guest's vCPU threads, read from the kernel and not through virtslad: the independent witness of every
 * measured promise. Source: /proc/PID/task/TID/schedstat, first field, nanoseconds on a CPU
 * (Documentation/scheduler/sched-stats.rst); `utime + stime` of `stat` on kernels without it.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { sleep } from './wait.js';

/** vCPU number → thread id. libvirt starts QEMU with `debug-threads=on`, which names the threads `CPU 0/TCG`. */
export function vcpuThreadIds(pid: number): ReadonlyMap<number, number> {
  const threads = new Map<number, number>();
  for (const tid of readdirSync(`/proc/${pid}/task`)) {
    const vcpu = /^CPU (\d+)\//.exec(readThread(pid, Number(tid), 'comm'))?.[1];
    if (vcpu !== undefined) threads.set(Number(vcpu), Number(tid));
  }
  return threads;
}

/** Seconds that the vCPU threads were on a CPU or waited for one; on kernels without schedstat the waiting is missing. */
export function vcpuDemandSeconds(pid: number): number {
  let seconds = 0;
  for (const tid of vcpuThreadIds(pid).values()) {
    const [, waitNs = '0'] = readThread(pid, tid, 'schedstat').split(' ');
    seconds += cpuSeconds(pid, tid) + Number(waitNs) / 1e9;
  }
  return seconds;
}

/** Seconds on a CPU since the thread began; 0 for one that is gone. */
export function cpuSeconds(pid: number, tid: number): number {
  const schedstat = readThread(pid, tid, 'schedstat');
  if (schedstat !== '') return Number(schedstat.split(' ')[0]) / 1e9;
  const stat = readThread(pid, tid, 'stat');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  // utime and stime are fields 14 and 15 of proc(5); the clock tick is 10 ms on every Linux that has schedstat off.
  return stat === '' ? 0 : (Number(fields[11]) + Number(fields[12])) / 100;
}

/** Seconds on a CPU of all vCPU threads together. */
export function vcpuSeconds(pid: number): number {
  let seconds = 0;
  for (const tid of vcpuThreadIds(pid).values()) seconds += cpuSeconds(pid, tid);
  return seconds;
}

/** Cores used by the vCPUs of each process over the same stretch of time. */
export async function measureCores(pids: readonly number[], seconds: number, signal?: AbortSignal): Promise<number[]> {
  const began = performance.now();
  const before = pids.map(vcpuSeconds);
  await sleep(seconds, signal);
  const after = pids.map(vcpuSeconds);
  const elapsedSeconds = (performance.now() - began) / 1000;
  return after.map((used, index) => (used - (before[index] ?? 0)) / elapsedSeconds);
}

/**
 * Measures again, twice at most, while the result is not as promised: another load on the machine can spoil a
 * measurement, but nothing makes a limit or weight that is wrong look right over seconds. Gives the last result.
 */
export async function measureUntil<T>(isGood: (result: T) => boolean, measure: () => Promise<T>): Promise<T> {
  let result = await measure();
  for (let again = 0; again < 2 && !isGood(result); again += 1) result = await measure();
  return result;
}

function readThread(pid: number, tid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/task/${tid}/${file}`, 'latin1').trim();
  } catch {
    return '';
  }
}
