/**
 * Reads a configuration file only if nobody but root or the running user could have written it, by the same rules as a
 * policy file. Takes a path, gives its text; what is wrong is added to a list of problems.
 */
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import type { Problem } from '../errors.js';
import { resolveTrusted, untrusted } from '../policy/loader-trust.js';

/** Larger files are refused; the same bound as for policy files. */
const FILE_BYTES_MAX = 256 * 1024;

/** Null when the file is missing (a problem unless `mayBeMissing`) or refused (a problem). `path` is absolute. */
export function readTrusted(path: string, mayBeMissing: boolean, problems: Problem[]): string | null {
  const uid = process.geteuid?.() ?? 0;
  const resolved = resolveTrusted(path, uid);
  if (!resolved.ok) {
    if (!resolved.missing) problems.push(ofConfiguration(resolved.problem));
    else if (!mayBeMissing) problems.push(notFound(path));
    return null;
  }
  let descriptor: number;
  try {
    // O_NONBLOCK: opening a FIFO without a writer must not hang. O_NOFOLLOW: the links have all been followed.
    descriptor = openSync(resolved.path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    problems.push(unreadable(path, `the configuration file cannot be opened (${code})`, 'check its permissions'));
    return null;
  }
  try {
    // Checked and read through one descriptor: nobody can change the file between the two.
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) {
      problems.push(unreadable(path, 'the configuration is not a regular file', 'put a regular file there'));
      return null;
    }
    const open = untrusted(resolved.path, stats, uid, false);
    if (open !== null) {
      problems.push(ofConfiguration(open));
      return null;
    }
    const text = readBounded(descriptor);
    if (text === null) {
      problems.push(unreadable(path, 'the configuration file is larger than 256 KiB', 'write a smaller file'));
    }
    return text;
  } finally {
    closeSync(descriptor);
  }
}

/** The findings about who may write a path are worded for policies. */
function ofConfiguration(problem: Problem): Problem {
  const aboutOwner = problem.code === 'POLICY_OWNER' || problem.code === 'POLICY_PERMISSIONS';
  return {
    ...problem,
    code: aboutOwner ? 'CONFIG_OWNER' : 'CONFIG_UNREADABLE',
    message: problem.message.replace('could set policy', 'could change the configuration').replace('the policy', 'it'),
  };
}

/** Null when there is more than the bound. */
function readBounded(descriptor: number): string | null {
  const buffer = Buffer.alloc(FILE_BYTES_MAX + 1);
  let length = 0;
  while (length < buffer.length) {
    const count = readSync(descriptor, buffer, length, buffer.length - length, null);
    if (count === 0) break;
    length += count;
  }
  return length > FILE_BYTES_MAX ? null : buffer.toString('utf8', 0, length);
}

function notFound(path: string): Problem {
  const fix = 'create it, or name another file with --config';
  return { code: 'CONFIG_NOT_FOUND', message: 'the configuration file does not exist', where: path, fix };
}

function unreadable(path: string, message: string, fix: string): Problem {
  return { code: 'CONFIG_UNREADABLE', message, where: path, fix };
}
