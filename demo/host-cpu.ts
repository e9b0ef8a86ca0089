/**
 * Where the host's CPU went while the guests were measured, from /proc/stat (proc(5)): a guest can be short of its
 * guarantee because something else on the host took the CPU, or because the machine below withheld it (steal).
 */
import { readFileSync } from 'node:fs';

/** Seconds since boot, all CPUs together. */
export interface CpuTimes {
  readonly cpus: number;
  readonly usedSeconds: number;
  readonly stolenSeconds: number;
}

/** Of the cores that the host has. */
export interface HostShare {
  readonly hostCores: number;
  readonly guestCores: number;
  /** Taken by everything but the guests' vCPUs. */
  readonly otherCores: number;
  /** Withheld by a hypervisor below this host. */
  readonly stolenCores: number;
}

/** The clock tick of /proc/stat is 10 ms for user space, whatever CONFIG_HZ is. */
const TICKS_PER_SECOND = 100;

export function readCpuTimes(): CpuTimes {
  const lines = readFileSync('/proc/stat', 'latin1').split('\n');
  const ticks = (lines[0] ?? '').trim().split(/\s+/).slice(1).map(Number);
  const [user = 0, nice = 0, system = 0, , , irq = 0, softirq = 0, steal = 0] = ticks;
  return {
    cpus: lines.filter((line) => /^cpu\d/.test(line)).length,
    usedSeconds: (user + nice + system + irq + softirq) / TICKS_PER_SECOND,
    stolenSeconds: steal / TICKS_PER_SECOND,
  };
}

export function shareOf(before: CpuTimes, after: CpuTimes, seconds: number, guestCores: number): HostShare {
  return {
    hostCores: after.cpus,
    guestCores,
    otherCores: Math.max(0, (after.usedSeconds - before.usedSeconds) / seconds - guestCores),
    stolenCores: Math.max(0, (after.stolenSeconds - before.stolenSeconds) / seconds),
  };
}

/** `The guests got 1.62 of 2 cores: 0.30 went to other work on this host, 0.05 were withheld from it (steal).` */
export function hostShareWords({ hostCores, guestCores, otherCores, stolenCores }: HostShare): string {
  const where = [`${otherCores.toFixed(2)} went to other work on this host`];
  if (stolenCores >= 0.01) where.push(`${stolenCores.toFixed(2)} were withheld from it by the machine below (steal)`);
  const cores = hostCores === 1 ? 'core' : 'cores';
  return `The guests together got ${guestCores.toFixed(2)} of ${hostCores} ${cores}: ${where.join(', ')}.`;
}
