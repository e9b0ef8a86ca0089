/** /proc/PID/cgroup, or that of one of its threads, as UTF-8: names of groups may be any. Source: cgroups(7). */
import { readSmallFile } from './read-small.js';

/** Empty when the process or thread is gone. @throws when it cannot be told (too many open files …) */
export function readCgroupText(procRoot: string, pid: number, threadId: number = pid): string {
  const file = readSmallFile(`${procRoot}/${pid}/${threadId === pid ? '' : `task/${threadId}/`}cgroup`);
  if (file.kind === 'unknown') throw new Error(file.reason);
  return file.kind === 'text' ? Buffer.from(file.text, 'latin1').toString('utf8') : '';
}
