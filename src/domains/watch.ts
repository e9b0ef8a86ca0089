/**
 * inotify on the groups of guests: a written limit, a new vCPU group, a removed domain. It only ever says "look
 * again" with what changed; truth is read from the kernel afterwards. One watch a directory.
 */
import { type FSWatcher, watch } from 'node:fs';

export interface GroupChange {
  /** `created` covers removal and renaming too; `written` is a write to a file. */
  readonly kind: 'created' | 'written';
  readonly directory: string;
  readonly name: string;
}

export class GroupWatcher {
  readonly #watches = new Map<string, FSWatcher>();
  readonly #onChange: (change: GroupChange) => void;

  constructor(onChange: (change: GroupChange) => void) {
    this.#onChange = onChange;
  }

  /** False when the directory is gone or the kernel has no watch left for us; the cycle is the backstop then. */
  add(directory: string): boolean {
    if (this.#watches.has(directory)) return true;
    try {
      const watcher = watch(directory, (event, name) => {
        if (name === null) return;
        this.#onChange({ kind: event === 'rename' ? 'created' : 'written', directory, name });
      });
      watcher.on('error', () => this.remove(directory));
      this.#watches.set(directory, watcher);
      return true;
    } catch {
      return false;
    }
  }

  remove(directory: string): void {
    this.#watches.get(directory)?.close();
    this.#watches.delete(directory);
  }

  get size(): number {
    return this.#watches.size;
  }

  close(): void {
    for (const directory of [...this.#watches.keys()]) this.remove(directory);
  }
}
