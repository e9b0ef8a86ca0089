/**
 * The open directories of one running guest, in the trees of all controllers. Opened once for an instance of the guest
 * and closed with it: whatever is read or written goes to this instance's groups or nowhere.
 */
import { basename, dirname, join } from 'node:path';
import type { GroupFile } from '../host/cgroup/codec.js';
import { offersValue, readValue } from '../host/cgroup/files.js';
import { Group } from '../host/cgroup/group.js';
import { type CgroupFiles, KERNEL_FILES } from '../host/cgroup/kernel-files.js';
import { isThreadGroup } from '../host/cgroup/layout.js';
import type { Address, ControllerGroup, Domain } from './types.js';

/** What {@link DomainHandles} opens: a located guest, say. */
export interface GuestGroups {
  readonly cgroup: ControllerGroup;
  readonly groups: Domain['groups'];
}

interface OpenGroup {
  readonly group: Group;
  readonly version: 1 | 2;
}

export class DomainHandles {
  /** Its CPU groups. */
  readonly cgroup: ControllerGroup;
  readonly groups: Domain['groups'];
  readonly #system: CgroupFiles;
  /** By path; on v2 the controllers share them. */
  readonly #open = new Map<string, OpenGroup>();
  /** Paths of values that were seen to be offered. */
  readonly #offered = new Set<string>();
  #closed = false;

  private constructor({ cgroup, groups }: GuestGroups, system: CgroupFiles) {
    this.cgroup = cgroup;
    this.groups = groups;
    this.#system = system;
  }

  /** Null when the guest's CPU group is gone or is another one by now. @throws when it cannot be opened for another reason */
  static open(guest: GuestGroups, system: CgroupFiles = KERNEL_FILES): DomainHandles | null {
    const handles = new DomainHandles(guest, system);
    const { domainDir, inode, version } = guest.cgroup;
    const group = Group.open(domainDir, system);
    if (group?.inode === inode) {
      handles.#open.set(domainDir, { group, version });
      return handles;
    }
    group?.close();
    return null;
  }

  /** The group at a path: one of the guest's own, or a thread group right below; null when it is gone or is another's. */
  group(path: string): Group | null {
    return this.#opened(path)?.group ?? null;
  }

  /** Where a cgroup value is, to be read or written; null when its group is gone or not the guest's. */
  at({ path, device }: Address): GroupFile | null {
    const opened = this.#opened(dirname(path));
    if (opened === null) return null;
    // Not by a spread, which alone costs more than the read.
    return { group: opened.group, version: opened.version, file: basename(path), device };
  }

  /** Canonical text of a value; null when unreadable. */
  read(address: Address): string | null {
    const at = this.at(address);
    const text = at === null ? null : readValue(at);
    if (text !== null || at === null || at.group.exists()) return text;
    // A vCPU that was unplugged and plugged again has a new directory under the old name.
    this.forget(at.group.path);
    const again = this.at(address);
    return again === null ? null : readValue(again);
  }

  /**
   * Of an address: false only when its group is there and the kernel offers no such value in it. Without one: false once
   * the guest's CPU group was removed.
   */
  exists(address?: Address): boolean {
    if (address === undefined) return this.group(this.cgroup.domainDir)?.exists() ?? false;
    if (this.#offered.has(address.path)) return true;
    const at = this.at(address);
    if (at === null) return true;
    const offered = offersValue(at);
    if (offered) this.#offered.add(address.path);
    return offered;
  }

  /** Numbers of the vCPU groups that exist, ascending. */
  vcpuGroups(): number[] {
    const names = this.group(this.cgroup.domainDir)?.children() ?? [];
    return names
      .map((name) => /^vcpu(\d+)$/.exec(name)?.[1])
      .filter((digits) => digits !== undefined)
      .map(Number)
      .sort((a, b) => a - b);
  }

  vcpuDirectory(vcpu: number): string {
    return join(this.cgroup.domainDir, `vcpu${vcpu}`);
  }

  /** Where the vCPU's `cpuset.cpus` is; null when the guest has no cpuset group of its own. */
  cpusetDirectory(vcpu: number): string | null {
    const { cpuset } = this.groups;
    return cpuset === undefined ? null : join(cpuset.domainDir, `vcpu${vcpu}`);
  }

  /** The version of a tree in which this group is above the guest's; null when it is not above it. */
  versionAbove(directory: string): 1 | 2 | null {
    return this.#trees().find(({ ancestors }) => ancestors.includes(directory))?.version ?? null;
  }

  /** Closed; opened anew when it is next asked for. The CPU group stays: it is this instance's and no other can be. */
  forget(path: string): void {
    if (path === this.cgroup.domainDir) return;
    this.#open.get(path)?.group.close();
    this.#open.delete(path);
  }

  close(): void {
    this.#closed = true;
    for (const { group } of this.#open.values()) group.close();
    this.#open.clear();
  }

  #opened(path: string): OpenGroup | null {
    const open = this.#open.get(path);
    if (open !== undefined || this.#closed) return open ?? null;
    // What cannot be opened now (too many open files) is unreadable for this look; the next one tries again.
    try {
      const opened = this.#openNow(path);
      if (opened !== null) this.#open.set(path, opened);
      return opened;
    } catch {
      return null;
    }
  }

  #openNow(path: string): OpenGroup | null {
    for (const tree of this.#trees()) {
      const { version, domainDir, weightDir } = tree;
      if (path === domainDir) return this.#openDomainDir(tree);
      if (dirname(path) === domainDir && isThreadGroup(basename(path))) {
        const group = this.#opened(domainDir)?.group.openChild(basename(path)) ?? null;
        return group === null ? null : { group, version };
      }
      if (path !== weightDir) continue;
      const group = Group.open(path, this.#system);
      // As long as the guest's group stands, the one above it of that name is the right one.
      if (group !== null && this.#opened(domainDir)?.group.exists() === true) return { group, version };
      group?.close();
      return null;
    }
    return null;
  }

  #openDomainDir({ domainDir, inode, version }: ControllerGroup): OpenGroup | null {
    const group = Group.open(domainDir, this.#system);
    if (group?.inode === inode) return { group, version };
    group?.close();
    return null;
  }

  #trees(): readonly ControllerGroup[] {
    return [this.cgroup, ...Object.values(this.groups)];
  }
}
