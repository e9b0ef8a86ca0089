/**
 * Follows a path from the root and refuses it when anyone but root and the running user could change what it leads to:
 * every directory and every symbolic link on the way is looked at, targets of links included. Touches the file system,
 * synchronously: it runs in the loader's worker.
 */
import { lstatSync, readlinkSync, type Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Problem } from '../errors.js';

const STICKY = 0o1000;
const OTHERS_WRITE = 0o022;
/** As the kernel's own bound (MAXSYMLINKS). */
const LINKS_MAX = 40;

export type Resolved =
  | { readonly ok: true; readonly path: string; readonly stats: Stats }
  | { readonly ok: false; readonly missing: boolean; readonly problem: Problem };

/**
 * The path without links. Sticky directories on the way (/tmp) are allowed: there only its owner may replace an entry,
 * and the entry's owner is looked at too.
 */
export function resolveTrusted(path: string, uid: number): Resolved {
  const pending = split(path.startsWith('/') ? path : `${process.cwd()}/${path}`);
  let at = '/';
  let stats = lstatSync(at);
  let links = 0;
  try {
    for (let name = pending.shift(); name !== undefined; name = pending.shift()) {
      const problem = stats.isDirectory() ? untrusted(at, stats, uid, true) : null;
      if (problem !== null) return { ok: false, missing: false, problem };
      if (name === '..') {
        at = dirname(at);
        stats = lstatSync(at);
        continue;
      }
      const next = join(at, name);
      const found = lstatSync(next);
      if (!found.isSymbolicLink()) {
        at = next;
        stats = found;
        continue;
      }
      if (++links > LINKS_MAX) return { ok: false, missing: false, problem: unreadable(path, 'ELOOP') };
      const owner = wrongOwner(next, found, uid, 'link');
      if (owner !== null) return { ok: false, missing: false, problem: owner };
      const target = readlinkSync(next);
      pending.unshift(...split(target));
      if (target.startsWith('/')) at = '/';
      stats = lstatSync(at);
    }
    return { ok: true, path: at, stats };
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'unknown error';
    return { ok: false, missing: code === 'ENOENT' || code === 'ENOTDIR', problem: unreadable(path, code) };
  }
}

/** The problem with who may write the file or directory; null when there is none. */
export function untrusted(path: string, stats: Stats, uid: number, stickyAllowed: boolean): Problem | null {
  const what = stats.isDirectory() ? 'directory' : 'file';
  const owner = wrongOwner(path, stats, uid, what);
  if (owner !== null) return owner;
  if ((stats.mode & OTHERS_WRITE) === 0) return null;
  if (stickyAllowed && stats.isDirectory() && (stats.mode & STICKY) !== 0) return null;
  const who = (stats.mode & 0o002) !== 0 ? 'everyone' : 'its group';
  const mode = (stats.mode & 0o7777).toString(8).padStart(4, '0');
  return {
    code: 'POLICY_PERMISSIONS',
    message: `the ${what} can be written by ${who} (mode ${mode}), who could set policy`,
    where: path,
    fix: `run: chmod go-w ${path}`,
  };
}

function wrongOwner(path: string, stats: Stats, uid: number, what: string): Problem | null {
  if (stats.uid === 0 || stats.uid === uid) return null;
  const allowed = uid === 0 ? 'root' : `root or user ${uid}`;
  return {
    code: 'POLICY_OWNER',
    message: `the ${what} belongs to user ${stats.uid}, who could set policy; ${allowed} may`,
    where: path,
    fix: `run: chown ${what === 'link' ? '-h ' : ''}${uid === 0 ? 'root' : uid} ${path}`,
  };
}

export function unreadable(path: string, code: string): Problem {
  const reasons: Readonly<Record<string, readonly [reason: string, fix: string]>> = {
    ENOENT: ['does not exist', 'correct the path, or create the file'],
    ENOTDIR: ['does not exist', 'correct the path, or create the file'],
    EACCES: ['may not be read by the running user', 'give the user read permission, or run as root'],
    ELOOP: ['is behind a loop of symbolic links', 'correct the links'],
  };
  const [reason, fix] = reasons[code] ?? [`cannot be read (${code})`, 'check the file and its file system'];
  return { code: 'POLICY_FILE_UNREADABLE', message: `the policy ${reason}`, where: path, fix };
}

function split(path: string): string[] {
  return path.split('/').filter((name) => name !== '' && name !== '.');
}
