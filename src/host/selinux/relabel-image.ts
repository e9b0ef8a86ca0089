/**
 * Gives one image file another security label. Only a regular file with one name or a block device, only from one type
 * that the caller allows to another, and only the very file that was checked: it is opened once without following a
 * symbolic link at its end (O_PATH opens no data and no device), and everything after goes through that descriptor's
 * name in /proc/self/fd. Synchronous: for a thread that may hang. Source: open(2) O_PATH, symlink(7), setxattr(2).
 */
import { closeSync, constants, fstatSync, openSync, type Stats } from 'node:fs';
import { printable } from '../../text/printable.js';
import { isFilePath, readLabel, writeLabel } from './xattr.js';

export interface RelabelRequest {
  readonly path: string;
  /** The whole label, `system_u:object_r:svirt_image_t:s0:c1,c2`, as the kernel would write it. */
  readonly label: string;
  /** Types that both the label it wears and the wanted one must be of. */
  readonly allowedTypes: readonly string[];
  /** When given: refused unless the file still wears this. */
  readonly expected?: string;
}

export type RelabelFailure =
  /** Not done because it would be wrong: a link, a directory, a type that is not allowed, another label than expected. */
  | 'refused'
  | 'missing'
  /** The file system keeps no labels. */
  | 'unsupported'
  /** The kernel does not permit it: policy, mode, read-only file system; or does not take this label. */
  | 'denied'
  /** Set, yet read back it was another: the reason names it. */
  | 'not-kept'
  /** Not answered in time. Whether it was set is not known. */
  | 'timeout'
  | 'failed';

export type RelabelOutcome =
  | { readonly ok: true; readonly from: string; readonly to: string }
  | { readonly ok: false; readonly code: RelabelFailure; readonly reason: string };

/** asm-generic/fcntl.h; the same on every architecture that runs KVM. */
const O_PATH = 0o10000000;

/** `calledOff` is asked at the last moment before the label is set: true when nobody waits for it any more. */
export function relabelImage(request: RelabelRequest, calledOff: () => boolean): RelabelOutcome {
  const { path, label } = request;
  if (!isFilePath(path)) return failure('refused', 'it is not an absolute path');
  const wanted = typeOf(label);
  if (wanted === null) return failure('refused', 'what is wanted is no label');
  if (!request.allowedTypes.includes(wanted)) return failure('refused', `${wanted} is not a type that may be given`);
  let fd: number;
  try {
    fd = openSync(path, O_PATH | constants.O_NOFOLLOW);
  } catch (error) {
    return openFailure(error as NodeJS.ErrnoException);
  }
  try {
    const wrong = whyNotAnImage(fstatSync(fd));
    return wrong === null ? relabelOpened(`/proc/self/fd/${fd}`, request, calledOff) : failure('refused', wrong);
  } finally {
    closeSync(fd);
  }
}

/** `opened` leads to the inode that is open, whatever the path names by now. */
function relabelOpened(opened: string, request: RelabelRequest, calledOff: () => boolean): RelabelOutcome {
  const { label, allowedTypes, expected } = request;
  const { label: from, problem } = readLabel(opened);
  if (problem !== null) return failure(problem === 'unreadable' ? 'failed' : problem, `its label is ${problem}`);
  if (from === null) return failure('refused', 'it wears no label');
  const type = typeOf(from);
  if (type === null || !allowedTypes.includes(type)) return failure('refused', `it wears ${shown(from)}`);
  if (expected !== undefined && from !== expected) return failure('refused', `it wears ${shown(from)} by now`);
  if (from === label) return { ok: true, from, to: from };
  if (calledOff()) return failure('timeout', 'the file system has answered too late');
  const set = writeLabel(opened, label);
  if (!set.ok) return set;
  const { label: to } = readLabel(opened);
  if (to !== label) return failure('not-kept', to === null ? 'its label cannot be read' : `it wears ${shown(to)} now`);
  return { ok: true, from, to };
}

/** Null when labels may be set on it. */
function whyNotAnImage(stats: Stats): string | null {
  if (stats.isSymbolicLink()) return 'it is a symbolic link';
  if (stats.isBlockDevice()) return null;
  if (!stats.isFile()) return 'it is neither a regular file nor a block device';
  // Under another name it may be another guest's.
  return stats.nlink === 1 ? null : `it has ${stats.nlink} names`;
}

function openFailure({ code, message }: NodeJS.ErrnoException): RelabelOutcome {
  if (code === 'ENOENT' || code === 'ENOTDIR') return failure('missing', 'there is no such file');
  if (code === 'EACCES' || code === 'EPERM') return failure('denied', 'the kernel does not permit it');
  return failure('failed', message);
}

/** Null when the text is no label. */
function typeOf(label: string): string | null {
  return /^[\w.-]+:[\w.-]+:([\w.-]+)(?::[\w:.,-]+)?$/.exec(label)?.[1] ?? null;
}

/** A label that somebody else has set, fit for a message. */
function shown(label: string): string {
  return printable(label, 200);
}

function failure(code: RelabelFailure, reason: string): RelabelOutcome {
  return { ok: false, code, reason };
}
