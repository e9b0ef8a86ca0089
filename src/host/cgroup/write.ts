/**
 * The only place that writes kernel files; imported by `reconcile/apply.ts` alone. A write opens an existing file
 * (never O_CREAT, never O_TRUNC), is one write(2), and is read back. Expected refusals come back as data.
 */
import { closeSync, constants, openSync, writeSync } from 'node:fs';
import { parseCpuMax } from '../../cpu-max-text.js';
import { PERIOD_FILE_V1, QUOTA_FILE_V1, readCpuFile } from './cpu-files.js';
import type { Group } from './group.js';

export type WriteResult =
  | { readonly kind: 'written' }
  /** The group is gone: ENOENT, or ENODEV while a reference to it lives. */
  | { readonly kind: 'vanished' }
  /** The kernel took the write and stands at another value. */
  | { readonly kind: 'differs'; readonly actual: string | null }
  | { readonly kind: 'refused'; readonly errno: string; readonly message: string };

/** Writes the canonical text of a CPU file and reads it back. */
export function writeCpuFile(group: Group, file: string, version: 1 | 2, text: string): WriteResult {
  const failure =
    file === 'cpu.max' && version === 1 ? writeQuotaPair(group, text) : writeText(group.fileAt(file), text);
  if (failure !== null) return failure;
  const actual = readCpuFile(group, file, version);
  if (actual === text) return { kind: 'written' };
  if (actual === null && !group.exists()) return { kind: 'vanished' };
  return { kind: 'differs', actual };
}

/**
 * v1 takes quota and period in two writes. The order is chosen so that the value in between is never under both the
 * old and the new limit: a longer period is written last, a shorter one first. Unchanged halves are not written.
 */
function writeQuotaPair(group: Group, text: string): WriteResult | null {
  const to = parseCpuMax(text);
  const current = readCpuFile(group, 'cpu.max', 1);
  if (current === null) return { kind: 'vanished' };
  const from = parseCpuMax(current);
  if (to === null || from === null) return { kind: 'refused', errno: 'EINVAL', message: `not a CPU limit: ${text}` };
  const quota = (): WriteResult | null =>
    from.quotaUsec === to.quotaUsec ? null : writeText(group.fileAt(QUOTA_FILE_V1), String(to.quotaUsec ?? -1));
  const period = (): WriteResult | null =>
    from.periodUsec === to.periodUsec ? null : writeText(group.fileAt(PERIOD_FILE_V1), String(to.periodUsec));
  return to.periodUsec < from.periodUsec ? (period() ?? quota()) : (quota() ?? period());
}

function writeText(path: string, text: string): WriteResult | null {
  let fd: number | null = null;
  try {
    fd = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
    writeSync(fd, text);
    return null;
  } catch (error) {
    const { code = 'EIO', message } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENODEV') return { kind: 'vanished' };
    return { kind: 'refused', errno: code, message };
  } finally {
    if (fd !== null) closeSync(fd);
  }
}
