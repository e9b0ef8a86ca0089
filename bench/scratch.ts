/** What a measurement leaves behind and must not: directories in memory, groups, processes. Gone at its end and on a signal. */
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cleanup, stopOnSignals } from '../test/support/cleanup.js';
import { withReserve } from './descriptors.js';

export const cleanup = new Cleanup();
/** In memory where that can be, so that no disk is measured. */
export const MEMORY_DIRECTORY = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

let directory: string | null = null;

/** A directory of this process's own. */
export function scratch(): string {
  if (directory === null) {
    const made = mkdtempSync(join(MEMORY_DIRECTORY, 'virtslad-bench-'));
    cleanup.defer('remove the scratch directory', () =>
      withReserve(() => rmSync(made, { recursive: true, force: true })),
    );
    directory = made;
  }
  return directory;
}

export function cleanUpOnSignals(): void {
  stopOnSignals(async () => {
    for (const failure of await cleanup.run()) console.error(failure.message);
  });
}
