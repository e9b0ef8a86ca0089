/** The groups above guests (`machine`, `machine.slice`, custom partitions), open once for all guests that live in them. */
import { basename, dirname } from 'node:path';
import type { GroupFile } from '../host/cgroup/codec.js';
import { offersValue, readValue } from '../host/cgroup/files.js';
import { Group } from '../host/cgroup/group.js';
import { type CgroupFiles, KERNEL_FILES } from '../host/cgroup/kernel-files.js';
import type { DomainHandles } from './handles.js';
import type { Address } from './types.js';

export class AncestorGroups {
  readonly #groups = new Map<string, Group>();
  readonly #system: CgroupFiles;

  constructor(system: CgroupFiles = KERNEL_FILES) {
    this.#system = system;
  }

  /** Where a value of a group above the guest is; null when that group is gone or is not above it. */
  at({ path, device }: Address, handles: DomainHandles): GroupFile | null {
    const directory = dirname(path);
    const version = handles.versionAbove(directory);
    const group = version === null ? null : this.#open(directory);
    return version === null || group === null ? null : { group, version, file: basename(path), device };
  }

  /** Canonical text of a value of a group above the guest; null when unreadable. */
  read(address: Address, handles: DomainHandles): string | null {
    const at = this.at(address, handles);
    const text = at === null ? null : readValue(at);
    if (text !== null || at === null || at.group.exists()) return text;
    // Removed and made again since the last guest left it.
    at.group.close();
    this.#groups.delete(at.group.path);
    const again = this.at(address, handles);
    return again === null ? null : readValue(again);
  }

  /** False only when the group is there and the kernel offers no such value in it. */
  exists(address: Address, handles: DomainHandles): boolean {
    const at = this.at(address, handles);
    return at === null || offersValue(at);
  }

  close(): void {
    for (const group of this.#groups.values()) group.close();
    this.#groups.clear();
  }

  #open(directory: string): Group | null {
    try {
      const group = this.#groups.get(directory) ?? Group.open(directory, this.#system);
      if (group !== null) this.#groups.set(directory, group);
      return group;
    } catch {
      return null;
    }
  }
}
