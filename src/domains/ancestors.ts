/** The groups above guests (`machine`, `machine.slice`, custom partitions), open once for all guests that live in them. */
import { basename, dirname } from 'node:path';
import { readCpuFile } from '../host/cgroup/cpu-files.js';
import { Group } from '../host/cgroup/group.js';
import type { DomainHandles } from './handles.js';

export class AncestorGroups {
  readonly #groups = new Map<string, Group>();

  /** Canonical text of a CPU file of a group above the guest; null when unreadable. */
  read(path: string, { cgroup }: DomainHandles): string | null {
    const directory = dirname(path);
    const text = this.#readIn(directory, basename(path), cgroup.version);
    if (text !== null) return text;
    // Removed and made again since the last guest left it.
    this.#groups.get(directory)?.close();
    this.#groups.delete(directory);
    return this.#readIn(directory, basename(path), cgroup.version);
  }

  close(): void {
    for (const group of this.#groups.values()) group.close();
    this.#groups.clear();
  }

  #readIn(directory: string, file: string, version: 1 | 2): string | null {
    try {
      const group = this.#groups.get(directory) ?? Group.open(directory);
      if (group === null) return null;
      this.#groups.set(directory, group);
      return readCpuFile(group, file, version);
    } catch {
      return null;
    }
  }
}
