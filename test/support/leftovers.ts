/**
 * What a killed test run or demo left behind: its directory in /tmp, named after its kind, holds the pid of its owner;
 * its processes name that directory on their command lines; its guests' names end in the directory's suffix.
 */
import { lstatSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitUntil } from './wait.js';

/** Not os.tmpdir(): QEMU's user must be able to get in, and socket paths must stay short. */
export const PARENT = '/tmp';
const OWNER_FILE = 'owner.pid';

/** Marks a directory as this process's. */
export function own(directory: string): void {
  writeFileSync(join(directory, OWNER_FILE), String(process.pid));
}

/** Ends and removes what belongs to directories of that kind whose owner is gone. `suffixOf` gives the guests' suffix. */
export async function removeLeftovers(
  prefix: string,
  suffixOf: (name: string) => string | null,
  parent = PARENT,
): Promise<void> {
  for (const name of readdirSync(parent)) {
    const directory = join(parent, name);
    if (!name.startsWith(prefix) || !isOwnDirectory(directory)) continue;
    const owner = readOrEmpty(join(directory, OWNER_FILE));
    if (owner === '' || readOrEmpty(`/proc/${owner}/cmdline`) !== '') continue;
    await endProcesses(directory);
    const suffix = suffixOf(name);
    if (suffix !== null) await removeGroups(suffix);
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Anybody may make a directory in /tmp; only one of this user's is believed. */
function isOwnDirectory(path: string): boolean {
  const stats = lstatSync(path, { throwIfNoEntry: false });
  return stats?.isDirectory() === true && stats.uid === process.getuid?.();
}

/** Kills every process whose command line names the directory: its libvirtd, guests and daemons, and nobody else's. */
export async function endProcesses(directory: string): Promise<void> {
  const left = (): number[] =>
    readdirSync('/proc')
      .map(Number)
      .filter((pid) => Number.isInteger(pid) && pid !== process.pid)
      .filter((pid) => readOrEmpty(`/proc/${pid}/cmdline`).includes(`${directory}/`));
  for (const pid of left()) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It went by itself.
    }
  }
  await waitUntil(`the processes of ${directory} to end`, () => left().length === 0, { seconds: 10 });
}

/**
 * Groups of guests that died together with their libvirtd. The kernel lets go of one some moments after its last process; one
 * that keeps processes stays.
 */
export async function removeGroups(suffix: string): Promise<void> {
  const root = '/sys/fs/cgroup';
  const parents = [root, ...listDirectories(root)].map((path) => join(path, 'machine'));
  const left = (): string[] =>
    parents.flatMap(listDirectories).filter((path) => path.endsWith(`-${suffix}.libvirt-qemu`));
  const areGone = (): boolean => {
    for (const path of left()) {
      for (const directory of [...listDirectories(path), path]) {
        try {
          rmdirSync(directory);
        } catch {
          // Still in use, or gone.
        }
      }
    }
    return left().length === 0;
  };
  await waitUntil('the groups to be free', areGone, { seconds: 3, everyMs: 50 }).catch(() => undefined);
}

function listDirectories(path: string): string[] {
  try {
    return readdirSync(path, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => join(path, entry.name));
  } catch {
    return [];
  }
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
