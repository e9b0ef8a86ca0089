/**
 * The open directories of one running domain. Opened once for an instance of the guest and closed with it: whatever is
 * read or written goes to this instance's groups or nowhere.
 */
import { basename, dirname, join } from 'node:path';
import { readCpuFile } from '../host/cgroup/cpu-files.js';
import { Group } from '../host/cgroup/group.js';
import type { CpuCgroup } from './types.js';

export class DomainHandles {
  readonly cgroup: CpuCgroup;
  readonly #groups = new Map<string, Group>();

  private constructor(cgroup: CpuCgroup) {
    this.cgroup = cgroup;
  }

  /** Null when the domain's directory is gone or is another one by now. @throws when it cannot be opened for another reason */
  static open(cgroup: CpuCgroup): DomainHandles | null {
    const handles = new DomainHandles(cgroup);
    const domain = Group.open(cgroup.domainDir);
    if (domain !== null) handles.#groups.set(cgroup.domainDir, domain);
    if (domain?.inode === cgroup.inode) return handles;
    handles.close();
    return null;
  }

  /** The group at a path at or below the domain's (or its scope); null when it is gone. */
  group(path: string): Group | null {
    const open = this.#groups.get(path);
    if (open !== undefined) return open;
    if (!this.#belongs(path)) return null;
    const group = openIfPossible(path);
    if (group !== null) this.#groups.set(path, group);
    return group;
  }

  /** Canonical text of a CPU file given its full path; null when unreadable. */
  read(path: string): string | null {
    const directory = dirname(path);
    const text = this.#readIn(directory, basename(path));
    // A vCPU that was unplugged and plugged again has a new directory under the old name.
    if (text !== null || directory === this.cgroup.domainDir) return text;
    this.forget(directory);
    return this.#readIn(directory, basename(path));
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

  exists(): boolean {
    return this.group(this.cgroup.domainDir)?.exists() ?? false;
  }

  forget(path: string): void {
    this.#groups.get(path)?.close();
    this.#groups.delete(path);
  }

  close(): void {
    for (const path of [...this.#groups.keys()]) this.forget(path);
  }

  #readIn(directory: string, file: string): string | null {
    const group = this.group(directory);
    return group === null ? null : readCpuFile(group, file, this.cgroup.version);
  }

  #belongs(path: string): boolean {
    const { domainDir, weightDir } = this.cgroup;
    return path === domainDir || path === weightDir || dirname(path) === domainDir;
  }
}

/** What cannot be opened now (too many open files) is unreadable for this look; the next one tries again. */
function openIfPossible(path: string): Group | null {
  try {
    return Group.open(path);
  } catch {
    return null;
  }
}
