/**
 * CPU files of both cgroup versions under one name. `cpu.max` is v2's own file; on v1 it stands for the pair
 * cpu.cfs_quota_us and cpu.cfs_period_us, so that a value has one text on every host (`20000 100000`, `max 100000`).
 * Sources: Documentation/admin-guide/cgroup-v2.rst, Documentation/scheduler/sched-bwc.rst.
 */
import type { Group } from './group.js';

export const QUOTA_FILE_V1 = 'cpu.cfs_quota_us';
export const PERIOD_FILE_V1 = 'cpu.cfs_period_us';

/** Canonical text of a CPU file, or null when it cannot be read. */
export function readCpuFile(group: Group, file: string, version: 1 | 2): string | null {
  if (file !== 'cpu.max' || version === 2) return group.read(file);
  const quota = group.read(QUOTA_FILE_V1);
  const period = group.read(PERIOD_FILE_V1);
  if (quota === null || period === null) return null;
  return `${quota === '-1' ? 'max' : quota} ${period}`;
}

/** cpu.stat: microseconds throttled in this group. v1 says throttled_time in ns, v2 throttled_usec. */
export function throttledUsec(statText: string | null): number | null {
  if (statText === null) return null;
  const v2 = /^throttled_usec (\d+)$/m.exec(statText);
  if (v2 !== null) return Number(v2[1]);
  const v1 = /^throttled_time (\d+)$/m.exec(statText);
  return v1 === null ? null : Number(v1[1]) / 1000;
}
