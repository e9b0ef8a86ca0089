/** Tells kernel threads from processes, by the flags in /proc/PID/stat (proc(5); PF_KTHREAD in the kernel's sched.h). */
import { readSmallFile } from './read-small.js';

const PF_KTHREAD = 0x0020_0000;

/** False also for what is gone or cannot be read. */
export function isKernelThread(procRoot: string, pid: number): boolean {
  const file = readSmallFile(`${procRoot}/${pid}/stat`);
  if (file.kind !== 'text') return false;
  const flags = Number(file.text.slice(file.text.lastIndexOf(')') + 2).split(' ', 7)[6]);
  return (flags & PF_KTHREAD) !== 0;
}
