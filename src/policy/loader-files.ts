/**
 * Reads policy files from disk for the loader: which files count, who may have written them, and their bytes, checked
 * and read through one descriptor. Synchronous: it runs in the loader's worker, where a slow disk stops nobody.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync, type Stats } from 'node:fs';
import { join } from 'node:path';
import type { Problem } from '../errors.js';
import { quoted } from './ast.js';
import type { PolicyFile } from './compile.js';
import { resolveTrusted, unreadable, untrusted } from './loader-trust.js';
import { decodePolicy } from './parse.js';
import { POLICY_BYTES_MAX } from './scan.js';

/** More are a mistake: a set is read whole on every change. */
const FILES_MAX = 500;
/** How often a set that changes while it is read is read anew, so that it is never a mix of two. */
const ATTEMPTS_MAX = 4;

export interface ReadFiles {
  readonly files: readonly PolicyFile[];
  readonly problems: readonly Problem[];
}

/** What was read, with what to recognise a change by. */
interface Reading extends ReadFiles {
  readonly identity: string;
}

/** All policy files of a directory, `*.yaml` in lexical order, dotfiles not. */
export function readPolicyDirectory(directory: string, uid: number): ReadFiles {
  return stable(() => readDirectory(directory, uid));
}

/** Files and directories as they are named on a command line. */
export function readPolicyPaths(paths: readonly string[], uid: number): ReadFiles {
  return stable(() => {
    const readings = paths.map((path) => {
      const resolved = resolveTrusted(path, uid);
      return resolved.ok && resolved.stats.isDirectory() ? readDirectory(path, uid) : readFile(path, uid);
    });
    return merge(readings);
  });
}

/** Reads again until two readings in a row see the same files. */
function stable(read: () => Reading): ReadFiles {
  let reading = read();
  for (let attempt = 1; attempt < ATTEMPTS_MAX; attempt++) {
    const again = read();
    if (again.identity === reading.identity) return again;
    reading = again;
  }
  return reading;
}

function readDirectory(directory: string, uid: number): Reading {
  const resolved = resolveTrusted(directory, uid);
  if (!resolved.ok) {
    return failed(resolved.missing ? missing(directory, 'does not exist') : resolved.problem);
  }
  if (!resolved.stats.isDirectory()) return failed(missing(directory, 'is not a directory'));
  const open = untrusted(resolved.path, resolved.stats, uid, false);
  if (open !== null) return failed(open);
  let names: readonly string[];
  try {
    names = readdirSync(resolved.path)
      .filter((name) => !name.startsWith('.'))
      .sort();
  } catch (error) {
    return failed(unreadable(directory, (error as NodeJS.ErrnoException).code ?? 'unknown error'));
  }
  const policies = names.filter((name) => name.endsWith('.yaml'));
  const misnamed = names.filter((name) => !name.endsWith('.yaml') && /\.ya?ml$/i.test(name));
  const problems = misnamed.map((name) => misnamedFile(directory, name));
  if (policies.length > FILES_MAX) return failed(tooMany(directory, policies.length), ...problems);
  if (policies.length === 0) return failed(...problems, empty(directory));
  const readings = policies.map((name) => readFile(join(directory, name), uid, join(resolved.path, name)));
  return merge([...readings, { files: [], problems, identity: resolved.path }]);
}

/** `shown` is the path for messages, `path` the one to open. */
function readFile(shown: string, uid: number, path: string = shown): Reading {
  const resolved = resolveTrusted(path, uid);
  if (!resolved.ok) return failed({ ...resolved.problem, ...(resolved.missing ? { where: shown } : {}) });
  let descriptor: number;
  try {
    // O_NONBLOCK: opening a FIFO that nobody writes must not hang. O_NOFOLLOW: the links have all been followed.
    const flags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW | constants.O_NOCTTY;
    descriptor = openSync(resolved.path, flags);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // A socket cannot be opened at all.
    return failed(code === 'ENXIO' ? notRegular(shown) : unreadable(shown, code ?? 'unknown error'));
  }
  try {
    const stats = fstatSync(descriptor);
    if (!stats.isFile()) return failed(notRegular(shown));
    const open = untrusted(resolved.path, stats, uid, false);
    if (open !== null) return failed(open);
    const decoded = decodePolicy(shown, readBounded(descriptor));
    if ('problem' in decoded) return failed(decoded.problem);
    return { files: [{ path: shown, text: decoded.text }], problems: [], identity: identityOf(resolved.path, stats) };
  } catch (error) {
    return failed(unreadable(shown, (error as NodeJS.ErrnoException).code ?? 'unknown error'));
  } finally {
    closeSync(descriptor);
  }
}

/** One byte more than allowed is enough to see that it is too many. */
function readBounded(descriptor: number): Uint8Array {
  const buffer = new Uint8Array(POLICY_BYTES_MAX + 1);
  let length = 0;
  while (length < buffer.length) {
    const count = readSync(descriptor, buffer, length, buffer.length - length, null);
    if (count === 0) break;
    length += count;
  }
  return buffer.subarray(0, length);
}

function identityOf(path: string, { dev, ino, size, mtimeMs, ctimeMs }: Stats): string {
  return `${path} ${dev} ${ino} ${size} ${mtimeMs} ${ctimeMs}`;
}

function merge(readings: readonly Reading[]): Reading {
  const problems = new Map<string, Problem>();
  for (const problem of readings.flatMap((reading) => reading.problems)) {
    // A directory that is open to others is one problem, not one for each file in it.
    problems.set(`${problem.code} ${JSON.stringify(problem.where)} ${problem.message}`, problem);
  }
  return {
    files: readings.flatMap((reading) => reading.files),
    problems: [...problems.values()],
    identity: readings.map((reading) => reading.identity).join('\n'),
  };
}

function failed(...problems: readonly Problem[]): Reading {
  return { files: [], problems, identity: problems.map((problem) => problem.message).join('\n') };
}

function missing(directory: string, reason: string): Problem {
  const fix = 'create it and put policy files (*.yaml) into it, or name another one with --policy-dir';
  return { code: 'POLICY_DIRECTORY_MISSING', message: `the policy directory ${reason}`, where: directory, fix };
}

function empty(directory: string): Problem {
  const fix = 'put policy files (*.yaml) into it; to hand guests back, run virtslad release --all';
  return {
    code: 'POLICY_DIRECTORY_EMPTY',
    message: 'the policy directory holds no *.yaml file',
    where: directory,
    fix,
  };
}

function tooMany(directory: string, count: number): Problem {
  const message = `the policy directory holds ${count} files, more than ${FILES_MAX}`;
  return { code: 'POLICY_FILE_COUNT', message, where: directory, fix: 'put several classes into one file' };
}

function misnamedFile(directory: string, name: string): Problem {
  const message = `${quoted(name)} would not be read: policy files are named *.yaml`;
  const fix = `rename it to ${quoted(name.replace(/\.ya?ml$/i, '.yaml'))}, or put a dot before it to leave it out`;
  return { code: 'POLICY_FILE_NAME', message, where: join(directory, name), fix };
}

function notRegular(path: string): Problem {
  const fix = 'put a regular file there, or a symbolic link to one';
  return { code: 'POLICY_FILE_TYPE', message: 'the policy is not a regular file', where: path, fix };
}
