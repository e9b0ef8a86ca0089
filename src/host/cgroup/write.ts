/**
 * The only place that writes kernel files; imported by `reconcile/apply.ts` alone. A write opens an existing file
 * (never O_CREAT, never O_TRUNC), is one write(2), and is read back. Expected refusals come back as data.
 */
import { constants } from 'node:fs';
import type { GroupFile, Step } from './codec.js';
import { codecOf, readValue } from './files.js';
import type { Group } from './group.js';

export type WriteResult =
  | { readonly kind: 'written' }
  /** The group is gone. */
  | { readonly kind: 'vanished' }
  /** The kernel took the write and stands at another value. */
  | { readonly kind: 'differs'; readonly actual: string | null }
  | { readonly kind: 'refused'; readonly errno: string; readonly message: string };

/** Writes the canonical text of a value and reads it back. Where several files make the value, the first refusal ends it. */
export function writeValue(at: GroupFile, text: string): WriteResult {
  const { group, file } = at;
  const steps = codecOf(file)?.steps?.(at, text) ?? null;
  if (steps === null) return { kind: 'refused', errno: 'EINVAL', message: `not a value of ${file}: ${text}` };
  for (const step of steps) {
    const failure = take(group, step);
    if (failure !== null) return failure;
  }
  const actual = readValue(at);
  if (actual === text) return { kind: 'written' };
  if (actual === null && !group.exists()) return { kind: 'vanished' };
  return { kind: 'differs', actual };
}

function take(group: Group, { file, text, nonBlocking }: Step): WriteResult | null {
  let fd: number | null = null;
  try {
    fd = group.openFile(file, constants.O_WRONLY | constants.O_NOFOLLOW | (nonBlocking ? constants.O_NONBLOCK : 0));
    group.writeTo(fd, text);
    return null;
  } catch (error) {
    const { code = 'EIO', message } = error as NodeJS.ErrnoException;
    // ENODEV also names a disk that io.max does not take, ENOENT a controller that is off.
    if ((code === 'ENOENT' || code === 'ENODEV') && !group.exists()) return { kind: 'vanished' };
    return { kind: 'refused', errno: code, message };
  } finally {
    if (fd !== null) group.closeFile(fd);
  }
}
