/**
 * The program that a word means: an absolute path, or a name looked up in PATH as execvp(3) does, without a shell. It
 * must be one that nobody but root could have changed, links and directories on the way included.
 */
import { accessSync, constants } from 'node:fs';
import { isAbsolute, join } from 'node:path';
import type { Problem } from '../../errors.js';
import { resolveTrusted, untrusted } from '../../policy/loader-trust.js';

/** POSIX's default, confstr(_CS_PATH). */
const DEFAULT_PATH = '/usr/bin:/bin:/usr/sbin:/sbin';

export type FoundProgram =
  | { readonly ok: true; readonly path: string }
  /** `missing`: there is no such program; else it is not to be run. */
  | { readonly ok: false; readonly missing: boolean; readonly problem: Problem };

/** `pathVariable`: of the environment; null when it has none. The path given back holds no symbolic links. */
export function findProgram(word: string, pathVariable: string | null): FoundProgram {
  if (isAbsolute(word)) return judged(word);
  if (word === '' || word.includes('/')) {
    const fix = 'write an absolute path, or the name of a program in PATH';
    return refused('QEMU is named by a path that depends on the working directory', word, fix);
  }
  for (const directory of (pathVariable ?? DEFAULT_PATH).split(':')) {
    if (!isAbsolute(directory)) continue;
    const path = join(directory, word);
    if (isExecutable(path)) return judged(path);
  }
  const fix = 'install QEMU, or write its absolute path';
  return { ...refused('there is no such program in PATH', word, fix), missing: true };
}

function judged(path: string): FoundProgram {
  const found = resolveTrusted(path, 0);
  if (!found.ok) {
    if (found.missing) {
      return { ...refused('there is no such program', path, 'correct the path'), missing: true };
    }
    return refused(inOtherWords(found.problem.message), found.problem.where as string, found.problem.fix);
  }
  const { stats } = found;
  if (!stats.isFile()) return refused('the program is not a regular file', found.path, 'name a QEMU program');
  const loose = untrusted(found.path, stats, 0, false);
  if (loose !== null) return refused(inOtherWords(loose.message), found.path, loose.fix);
  if (!isExecutable(found.path))
    return refused('the program may not be run', found.path, `run: chmod a+x ${found.path}`);
  return { ok: true, path: found.path };
}

/** The rules are those for policy files, and so is what they say of the harm. */
function inOtherWords(message: string): string {
  return message
    .replace('who could set policy', 'who could put another program in its place')
    .replace('the policy ', 'the program ');
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function refused(message: string, where: string, fix: string): FoundProgram & { readonly ok: false } {
  return { ok: false, missing: false, problem: { code: 'LAUNCH_PROGRAM', message, where, fix } };
}
