/**
 * A small record that two processes change: read, changed and written under an flock(2) on a file beside it, held for
 * that long alone. A process that is killed meanwhile leaves the old bytes or the new ones, and no lock.
 */
import { closeSync, constants, openSync } from 'node:fs';
import { VirtsladError } from '../errors.js';
import { flockExclusive } from './libc.js';
import { makeDirectory } from './lock.js';

const WAIT_MS = 5_000;
const ASK_AGAIN_MS = 2;

/**
 * Does the work while nobody else does theirs. `path`: of the lock file, which is made and never removed.
 * @throws VirtsladError LOCK_FAILED when another holds it for too long; what the work throws
 */
export async function whileLocked<T>(path: string, work: () => Promise<T>, waitMs = WAIT_MS): Promise<T> {
  const fd = openLock(path);
  try {
    const until = performance.now() + waitMs;
    while (!flockExclusive(fd)) {
      if (performance.now() > until) throw tooLong(path, waitMs);
      await new Promise((resolve) => setTimeout(resolve, ASK_AGAIN_MS));
    }
    return await work();
  } finally {
    closeSync(fd);
  }
}

function openLock(path: string): number {
  makeDirectory(path.slice(0, path.lastIndexOf('/')), 0o700);
  try {
    return openSync(path, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
  } catch (error) {
    const message = `the lock file cannot be opened: ${(error as Error).message}`;
    const fix = 'point state-dir to a directory that only the running user can write, or remove what is in its place';
    throw new VirtsladError({ code: 'LOCK_FAILED', message, where: path, fix }, { cause: error });
  }
}

function tooLong(path: string, waitMs: number): VirtsladError {
  return new VirtsladError({
    code: 'LOCK_FAILED',
    message: `another virtslad has held this lock for more than ${waitMs / 1000} s`,
    where: path,
    fix: 'look for a virtslad that hangs, on its disk perhaps, and end it',
  });
}
