/**
 * The C library calls that Node does not offer: an advisory lock on an open file, and an end of the process that waits
 * for nothing.
 */
import { VirtsladError } from '../errors.js';
import { lastErrno, loadLibrary, requireLibrary } from './ffi.js';

const LIBC = 'libc.so.6';
/** fcntl.h, sys/file.h; the same on every Linux architecture that Node runs on. */
const LOCK_EX = 2;
const LOCK_NB = 4;
const EINTR = 4;
const EWOULDBLOCK = 11;

/**
 * Takes the exclusive flock(2) of an open file without waiting. It is held until the descriptor is closed, which the
 * kernel does even after SIGKILL.
 * @returns false when another open file description holds it.
 * @throws VirtsladError NATIVE_LIBRARY_MISSING, LOCK_FAILED
 */
export function flockExclusive(fd: number): boolean {
  const flock = requireLibrary(LIBC).bind('flock', 'int', ['int', 'int']) as (fd: number, operation: number) => number;
  for (;;) {
    if (flock(fd, LOCK_EX | LOCK_NB) === 0) return true;
    const errno = lastErrno();
    if (errno === EWOULDBLOCK) return false;
    if (errno === EINTR) continue;
    throw new VirtsladError({
      code: 'LOCK_FAILED',
      message: `flock of descriptor ${fd} failed with errno ${errno}`,
      fix: 'put the run directory on a local file system that supports flock(2)',
    });
  }
}

/**
 * _exit(2). process.exit waits for worker threads, and one that is stuck in a native call never ends; so once the
 * daemon has flushed what it must, it leaves by this door. No exit handler runs.
 */
export function exitNow(code: number): never {
  const libc = loadLibrary(LIBC);
  // Without native code no thread can be stuck in it.
  if (!libc.ok) process.exit(code);
  (libc.library.bind('_exit', 'void', ['int']) as (code: number) => void)(code);
  throw new Error('_exit returned');
}
