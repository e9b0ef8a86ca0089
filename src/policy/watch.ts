/**
 * Tells when the policy directory has changed. The truth is a fingerprint of its policy files (names, inodes, sizes,
 * times, modes, where links lead), taken every second; inotify only says when to look sooner, since it does not see
 * behind symbolic links, dies with the directory and may be used up. Every way in which editors and tools save is a
 * change of the fingerprint: in place, rename, link swap, delete and create. Touches the file system, never blocking.
 */
import { type FSWatcher, watch } from 'node:fs';
import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';

export interface WatchOptions {
  /** Between two looks without a nudge. */
  readonly pollMs?: number;
  /** A change is told when nothing has moved for so long: a tool that writes five files makes one change. */
  readonly debounceMs?: number;
}

const POLL_MS = 1_000;
const DEBOUNCE_MS = 150;
/** A directory that never comes to rest is told of all the same. */
const RESTLESS_MS = 1_000;

/**
 * Calls `onChange` after each change until the signal aborts. Resolves when the directory, there or not, has been seen
 * for the first time: what changes from then on is told, so load the policy after that.
 */
export async function watchPolicyDirectory(
  directory: string,
  onChange: () => void,
  signal: AbortSignal,
  options: WatchOptions = {},
): Promise<void> {
  const pollMs = options.pollMs ?? POLL_MS;
  const debounceMs = options.debounceMs ?? DEBOUNCE_MS;
  let told = await look(directory);
  let watcher: FSWatcher | null = null;
  let watched: string | null = null;
  let candidate: { readonly content: string; readonly sinceMs: number } | null = null;
  let timer: NodeJS.Timeout | undefined;
  let looking = false;
  let nudged = false;

  const lookIn = (ms: number): void => {
    clearTimeout(timer);
    if (!signal.aborted) timer = setTimeout(() => void check(), ms);
  };
  const nudge = (): void => {
    // While a change settles, the next look is due soon anyway; a stream of nudges must not put it off.
    if (looking) nudged = true;
    else if (candidate === null) lookIn(0);
  };
  const rewatch = (identity: string | null): void => {
    if (identity === watched && watcher !== null) return;
    watcher?.close();
    watcher = null;
    watched = identity;
    if (identity === null || signal.aborted) return;
    try {
      watcher = watch(directory, { persistent: false }, nudge);
      watcher.on('error', () => rewatch(null));
    } catch {
      // Out of watches, or just gone: the poll sees it.
    }
  };
  const check = async (): Promise<void> => {
    looking = true;
    nudged = false;
    const seen = await look(directory);
    looking = false;
    if (signal.aborted) return;
    rewatch(seen.identity);
    const nowMs = performance.now();
    if (seen.content === told.content) {
      candidate = null;
      lookIn(nudged ? 0 : pollMs);
    } else if (candidate === null || (candidate.content !== seen.content && nowMs - candidate.sinceMs < RESTLESS_MS)) {
      candidate = { content: seen.content, sinceMs: candidate?.sinceMs ?? nowMs };
      lookIn(debounceMs);
    } else {
      told = seen;
      candidate = null;
      lookIn(pollMs);
      onChange();
    }
  };

  signal.addEventListener(
    'abort',
    () => {
      clearTimeout(timer);
      watcher?.close();
    },
    { once: true },
  );
  rewatch(told.identity);
  lookIn(pollMs);
}

interface Look {
  /** What the watch is on; null while the directory is not there. */
  readonly identity: string | null;
  readonly content: string;
}

async function look(directory: string): Promise<Look> {
  try {
    const path = await realpath(directory);
    const { dev, ino, mode, uid } = await stat(path);
    const identity = `${path} ${dev} ${ino}`;
    const lines = [`${identity} ${mode} ${uid}`];
    // Temporary files of editors come and go under other names; what is not read does not count.
    const names = (await readdir(path)).filter((name) => !name.startsWith('.') && /\.ya?ml$/i.test(name)).sort();
    for (const name of names) lines.push(`${name} ${await fileLine(join(path, name))}`);
    return { identity, content: lines.join('\n') };
  } catch (error) {
    return { identity: null, content: `not there: ${(error as NodeJS.ErrnoException).code}` };
  }
}

async function fileLine(path: string): Promise<string> {
  try {
    const target = await realpath(path);
    const { dev, ino, size, mtimeNs, mode, uid } = await stat(target, { bigint: true });
    return `${target} ${dev} ${ino} ${size} ${mtimeNs} ${mode} ${uid}`;
  } catch (error) {
    return String((error as NodeJS.ErrnoException).code);
  }
}
