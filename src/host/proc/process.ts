/**
 * Facts about one process from /proc. Identity is pid and start time together: a pid alone is reused.
 * Source: proc(5).
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** USER_HZ: the unit of times in /proc/PID/stat; 100 on every architecture that runs KVM (proc(5)). */
const TICKS_PER_SECOND = 100;

export interface ProcessStat {
  readonly startTicks: bigint;
  /** utime + stime of all threads, seconds. */
  readonly cpuSeconds: number;
}

/** Null when there is no such process. @throws when it cannot be told (too many open files …) */
export function readProcessStat(procRoot: string, pid: number): ProcessStat | null {
  const text = readProc(procRoot, pid, 'stat');
  return text === null ? null : parseProcessStat(text);
}

/** False only when the kernel says that there is no such process any more; what cannot be read counts as alive. */
export function mayLive(procRoot: string, pid: number, startTicks: bigint): boolean {
  try {
    return readProcessStat(procRoot, pid)?.startTicks === startTicks;
  } catch {
    return true;
  }
}

/** The command's name may hold spaces and parentheses: fields are counted from the last `)`. */
export function parseProcessStat(text: string): ProcessStat | null {
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [utime, stime, start] = [fields[11], fields[12], fields[19]];
  if (utime === undefined || stime === undefined || start === undefined || !/^\d+$/.test(start)) return null;
  return { startTicks: BigInt(start), cpuSeconds: (Number(utime) + Number(stime)) / TICKS_PER_SECOND };
}

export function readProcessCgroup(procRoot: string, pid: number): string | null {
  return readProc(procRoot, pid, 'cgroup');
}

/** The uuid after `-uuid` on QEMU's command line: a claim of the process, used only as a cross-check. */
export function readUuidArgument(procRoot: string, pid: number): string | null {
  const text = readProc(procRoot, pid, 'cmdline');
  if (text === null) return null;
  const words = text.split('\0');
  const at = words.indexOf('-uuid');
  return at < 0 ? null : (words[at + 1]?.toLowerCase() ?? null);
}

function readProc(procRoot: string, pid: number, file: string): string | null {
  try {
    return readFileSync(join(procRoot, String(pid), file), 'latin1');
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return null;
    throw error;
  }
}
