/**
 * inotify on the groups of guests: a written limit, a new vCPU group, a removed domain. It only ever says "look
 * again" with what changed; truth is read from the kernel afterwards. One watch a directory.
 */

import { type FSWatcher, statSync, watch } from 'node:fs';
import { basename } from 'node:path';

export interface GroupChange {
  /** `created` covers removal and renaming too; `written` is a write to a file. */
  readonly kind: 'created' | 'written';
  readonly directory: string;
  readonly name: string;
}

/**
 * v2's counters of events: the kernel announces every change, up to a hundred a second each for a guest that lives at its
 * memory limit (CGROUP_FILE_NOTIFY_MIN_INTV). Nobody writes them.
 */
const ANNOUNCED_BY_KERNEL = /\.events(?:\.local)?$/;

export class GroupWatcher {
  readonly #watches = new Map<string, { readonly watcher: FSWatcher; readonly inode: bigint }>();
  readonly #onChange: (change: GroupChange) => void;

  constructor(onChange: (change: GroupChange) => void) {
    this.#onChange = onChange;
  }

  /** Watches this very directory; one made anew under the same name is watched anew. False when it is gone or the kernel has no watch left for us; the cycle is the backstop then. */
  add(directory: string): boolean {
    try {
      const inode = statSync(directory, { bigint: true }).ino;
      if (this.#watches.get(directory)?.inode === inode) return true;
      this.remove(directory);
      const watcher = watch(directory, (event, name) => {
        if (name === null || (event === 'change' && ANNOUNCED_BY_KERNEL.test(name))) return;
        // The kernel names the directory itself when it is removed: the watch went with it.
        if (event === 'rename' && name === basename(directory)) this.remove(directory);
        this.#onChange({ kind: event === 'rename' ? 'created' : 'written', directory, name });
      });
      watcher.on('error', () => this.remove(directory));
      this.#watches.set(directory, { watcher, inode });
      return true;
    } catch {
      return false;
    }
  }

  remove(directory: string): void {
    this.#watches.get(directory)?.watcher.close();
    this.#watches.delete(directory);
  }

  close(): void {
    for (const directory of [...this.#watches.keys()]) this.remove(directory);
  }
}
