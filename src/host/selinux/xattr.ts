/**
 * The extended attribute `security.selinux` of a file, by path, following symbolic links as QEMU's open does. Calls that
 * may hang for ever on a file system that does not answer: only for threads that can be given up.
 * Source: getxattr(2), setxattr(2), xattr(7).
 */
import { constants } from 'node:os';
import { lastErrno, requireLibrary } from '../ffi.js';

const { EACCES, EDQUOT, EINVAL, ENODATA, ENOENT, ENOSPC, ENOTDIR, EOPNOTSUPP, EPERM, EROFS } = constants.errno;

const ATTRIBUTE = 'security.selinux';
/** A label of a thousand categories has less; XATTR_SIZE_MAX is 64 KiB. */
const LABEL_MAX_BYTES = 16 * 1024;

export type LabelProblem = 'unsupported' | 'missing' | 'unreadable';

export interface LabelReading {
  /** Latin-1, without the NUL at its end. Null with no problem: the file wears none. */
  readonly label: string | null;
  readonly problem: LabelProblem | null;
}

/** What is not would reach another file than its text says: relative to the daemon, or cut at a NUL. */
export function isFilePath(path: string): boolean {
  return path.startsWith('/') && !path.includes('\0');
}

interface Calls {
  getxattr(path: string, name: string, value: Uint8Array, size: number): number;
  setxattr(path: string, name: string, value: Uint8Array, size: number, flags: number): number;
}

const buffer = Buffer.alloc(LABEL_MAX_BYTES);
let bound: Calls | undefined;

/** @throws VirtsladError NATIVE_LIBRARY_MISSING */
export function readLabel(path: string): LabelReading {
  const length = Number(calls().getxattr(path, ATTRIBUTE, buffer, buffer.length));
  if (length >= 0) return { label: buffer.toString('latin1', 0, lengthOfText(length)), problem: null };
  const errno = lastErrno();
  if (errno === ENODATA) return { label: null, problem: null };
  return { label: null, problem: problemOf(errno) };
}

export type SetLabel =
  | { readonly ok: true }
  | { readonly ok: false; readonly code: 'unsupported' | 'missing' | 'denied' | 'failed'; readonly reason: string };

/** @throws VirtsladError NATIVE_LIBRARY_MISSING */
export function writeLabel(path: string, label: string): SetLabel {
  // With the NUL, as setfilecon(3) writes it.
  const value = Buffer.from(`${label}\0`, 'latin1');
  if (calls().setxattr(path, ATTRIBUTE, value, value.length, 0) === 0) return { ok: true };
  const errno = lastErrno();
  const problem = problemOf(errno);
  if (problem !== 'unreadable') return { ok: false, code: problem, reason: `setxattr failed with errno ${errno}` };
  if (errno === EINVAL) return { ok: false, code: 'denied', reason: 'the policy knows no such label' };
  if (errno === EROFS) return { ok: false, code: 'denied', reason: 'the file system is read-only' };
  if (errno === EACCES || errno === EPERM)
    return { ok: false, code: 'denied', reason: 'the kernel does not permit it' };
  const full = errno === ENOSPC || errno === EDQUOT ? ': no space left for it' : '';
  return { ok: false, code: 'failed', reason: `setxattr failed with errno ${errno}${full}` };
}

function problemOf(errno: number): LabelProblem {
  if (errno === ENOENT || errno === ENOTDIR) return 'missing';
  return errno === EOPNOTSUPP ? 'unsupported' : 'unreadable';
}

function lengthOfText(length: number): number {
  let end = length;
  while (end > 0 && buffer[end - 1] === 0) end--;
  return end;
}

function calls(): Calls {
  if (bound === undefined) {
    const libc = requireLibrary('libc.so.6');
    bound = {
      getxattr: libc.bind('getxattr', 'longlong', ['str', 'str', 'void *', 'ulong']) as Calls['getxattr'],
      setxattr: libc.bind('setxattr', 'int', ['str', 'str', 'void *', 'ulong', 'int']) as Calls['setxattr'],
    };
  }
  return bound;
}
