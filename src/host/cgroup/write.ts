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
  return standing(at, text);
}

/**
 * The same where the kernel may let the writer wait (io.cost.qos: until no request of the disk is under way, for ever on
 * one that does not answer): a thread writes it, and the caller decides how long it waits for the answer.
 */
export async function writeValueLater(at: GroupFile, text: string): Promise<WriteResult> {
  const { group, file } = at;
  const steps = codecOf(file)?.steps?.(at, text) ?? null;
  if (steps === null) return { kind: 'refused', errno: 'EINVAL', message: `not a value of ${file}: ${text}` };
  for (const step of steps) {
    let fd: number | null = null;
    try {
      fd = openFor(group, step);
      await group.writeLaterTo(fd, step.text);
    } catch (error) {
      return failureOf(error as NodeJS.ErrnoException, group);
    } finally {
      if (fd !== null) group.closeFile(fd);
    }
  }
  return standing(at, text);
}

function take(group: Group, step: Step): WriteResult | null {
  let fd: number | null = null;
  try {
    fd = openFor(group, step);
    group.writeTo(fd, step.text);
    return null;
  } catch (error) {
    return failureOf(error as NodeJS.ErrnoException, group);
  } finally {
    if (fd !== null) group.closeFile(fd);
  }
}

function openFor(group: Group, { file, nonBlocking }: Step): number {
  return group.openFile(file, constants.O_WRONLY | constants.O_NOFOLLOW | (nonBlocking ? constants.O_NONBLOCK : 0));
}

function failureOf({ code = 'EIO', message }: NodeJS.ErrnoException, group: Group): WriteResult {
  // ENODEV also names a disk that io.max does not take, ENOENT a controller that is off.
  if ((code === 'ENOENT' || code === 'ENODEV') && !group.exists()) return { kind: 'vanished' };
  return { kind: 'refused', errno: code, message };
}

function standing(at: GroupFile, text: string): WriteResult {
  const actual = readValue(at);
  if (actual === text) return { kind: 'written' };
  if (actual === null && !at.group.exists()) return { kind: 'vanished' };
  return { kind: 'differs', actual };
}
