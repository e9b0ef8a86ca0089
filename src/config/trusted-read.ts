/**
 * Reads a configuration file only if nobody but root or the running user could have written it. Takes a path, gives
 * its text; what is wrong is added to a list of problems.
 */
import { closeSync, constants, fstatSync, openSync, readSync, realpathSync, type Stats, statSync } from 'node:fs';
import { dirname } from 'node:path';
import type { Problem } from '../errors.js';

/** Larger files are refused unread; the same bound as for policy files. */
const FILE_BYTES_MAX = 256 * 1024;

const STICKY = 0o1000;

/** Null when the file is missing (a problem unless `mayBeMissing`) or refused (a problem). */
export function readTrusted(path: string, mayBeMissing: boolean, problems: Problem[]): string | null {
  let descriptor: number;
  try {
    // O_NONBLOCK: opening a FIFO without a writer must not hang. Checked and read by one descriptor: no race.
    descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') {
      if (mayBeMissing) return null;
      const fix = 'create it, or name another file with --config';
      problems.push({ code: 'CONFIG_NOT_FOUND', message: 'the configuration file does not exist', where: path, fix });
    } else {
      problems.push(unreadable(path, `the configuration file cannot be opened (${code})`, 'check its permissions'));
    }
    return null;
  }
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) {
      problems.push(unreadable(path, 'the configuration is not a regular file', 'put a regular file there'));
      return null;
    }
    if (stats.size > FILE_BYTES_MAX) {
      problems.push(unreadable(path, 'the configuration file is larger than 256 KiB', 'write a smaller file'));
      return null;
    }
    const found = untrusted(path, stats);
    if (found !== null) {
      problems.push(found);
      return null;
    }
    return readBounded(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Null when the file and every directory above it are safe from others. */
function untrusted(path: string, stats: Stats): Problem | null {
  const real = realpathSync(path);
  const own = check(real, stats, false);
  if (own !== null) return own;
  for (let directory = dirname(real); ; directory = dirname(directory)) {
    const problem = check(directory, statSync(directory), true);
    if (problem !== null) return problem;
    if (directory === dirname(directory)) return null;
  }
}

function check(path: string, stats: Stats, isDirectory: boolean): Problem | null {
  const user = process.geteuid?.() ?? 0;
  if (stats.uid !== 0 && stats.uid !== user) {
    return {
      code: 'CONFIG_OWNER',
      message: `owned by user ${stats.uid}, who could change the configuration`,
      where: path,
      fix: `chown it to ${user === 0 ? 'root' : 'root or the user that runs virtslad'}`,
    };
  }
  const writable = (stats.mode & 0o022) !== 0 && !(isDirectory && (stats.mode & STICKY) !== 0);
  if (!writable) return null;
  return {
    code: 'CONFIG_OWNER',
    message: `writable by ${(stats.mode & 0o002) !== 0 ? 'everyone' : 'its group'}, who could change the configuration`,
    where: path,
    fix: 'run chmod go-w on it',
  };
}

/** At most the bound, even if the file grows meanwhile. */
function readBounded(descriptor: number): string {
  const buffer = Buffer.alloc(FILE_BYTES_MAX);
  let length = 0;
  for (;;) {
    const read = readSync(descriptor, buffer, length, buffer.length - length, null);
    if (read === 0) break;
    length += read;
  }
  return buffer.toString('utf8', 0, length);
}

function unreadable(path: string, message: string, fix: string): Problem {
  return { code: 'CONFIG_UNREADABLE', message, where: path, fix };
}
