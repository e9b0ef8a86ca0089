/**
 * Writes down which files a stretch of code asks the host for, by standing in front of node:fs for that long: what was
 * read through a descriptor that stays open, what was opened for it, which directories were listed, and every write. The
 * C references read the list. Nothing is in the way afterwards, so what is timed is the code alone.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/**
 * `kept`: pread(2) of a descriptor that was open before. `opened`: open, read, close. `listed`: a directory's entries.
 * `status`: stat(2) of a path, to see whether it is there, or is still the same.
 */
export type Access = 'kept' | 'opened' | 'listed' | 'status' | 'write';

export interface Recorded {
  readonly access: Access;
  /** With links in /proc/self/fd resolved. */
  readonly path: string;
}

type Functions = Record<string, (...args: unknown[]) => unknown>;

const NAMES = ['openSync', 'readSync', 'readdirSync', 'readFileSync', 'existsSync', 'statSync', 'writeSync', 'write'];

/** Runs `work` and gives what it asked for, in order. Failed calls count as `status`: the kernel was asked. */
export async function record(work: () => Promise<unknown>): Promise<readonly Recorded[]> {
  const recorded: Recorded[] = [];
  const functions = fs as unknown as Functions;
  const original = Object.fromEntries(NAMES.map((name) => [name, functions[name]])) as Functions;
  const opened = new Map<number, string>();
  // Within a call that is noted itself: readFileSync opens and reads through the functions beside it, for some encodings.
  let inside = false;
  const note = (access: Access, path: string): void => {
    if (!inside) recorded.push({ access, path });
  };
  const pathOf = (fd: unknown): string => resolved(`/proc/self/fd/${fd}`);
  const by =
    (access: Access, name: string) =>
    (...args: unknown[]) => {
      const path = resolved(String(args[0]));
      const outer = inside;
      inside = true;
      try {
        const result = original[name]?.(...args);
        inside = outer;
        note(access, path);
        return result;
      } catch (error) {
        inside = outer;
        note('status', path);
        throw error;
      }
    };
  Object.assign(functions, {
    openSync(...args: unknown[]) {
      const path = resolved(String(args[0]));
      try {
        const fd = original.openSync?.(...args) as number;
        opened.set(fd, path);
        return fd;
      } catch (error) {
        note('status', path);
        throw error;
      }
    },
    readSync(...args: unknown[]) {
      const fd = args[0] as number;
      const path = pathOf(fd);
      const fresh = opened.get(fd) === path;
      opened.delete(fd);
      note(fresh ? 'opened' : 'kept', path);
      return original.readSync?.(...args);
    },
    readdirSync: by('listed', 'readdirSync'),
    readFileSync: by('opened', 'readFileSync'),
    existsSync: by('status', 'existsSync'),
    statSync: by('status', 'statSync'),
    writeSync(...args: unknown[]) {
      note('write', pathOf(args[0]));
      return original.writeSync?.(...args);
    },
    write(...args: unknown[]) {
      note('write', pathOf(args[0]));
      return original.write?.(...args);
    },
  });
  syncBuiltinESMExports();
  try {
    await work();
  } finally {
    Object.assign(functions, original);
    syncBuiltinESMExports();
  }
  return recorded;

  function resolved(path: string): string {
    const [, fd, rest = ''] = /^\/proc\/self\/fd\/(\d+)(\/.*)?$/.exec(path) ?? [];
    if (fd === undefined) return path;
    try {
      return fs.readlinkSync(`/proc/self/fd/${fd}`) + rest;
    } catch {
      return path;
    }
  }
}
