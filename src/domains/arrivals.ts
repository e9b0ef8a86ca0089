/**
 * Sees a guest before libvirt reports it: its cgroup directory appears some 50 ms after the start was asked for and its
 * vCPU groups 300–500 ms later, a few milliseconds before the guest runs. A new directory under a partition is looked at
 * until the process in it says which guest it is.
 */
import { dirname, join } from 'node:path';
import { Group } from '../host/cgroup/group.js';
import type { CpuHierarchy } from '../host/cgroup/layout.js';
import type { GroupChange, GroupWatcher } from '../host/cgroup/watch.js';
import { readUuidArgument } from '../host/proc/process.js';

/** libvirt's default partitions (docs/cgroups.rst) and the names under which custom ones are made. */
const DEFAULT_PARTITIONS = new Set(['machine', 'machine.slice']);
const isPartitionName = (name: string): boolean => name.endsWith('.partition') || name.endsWith('.slice');

const LOOK_EVERY_MS = 10;
const LOOK_FOR_MS = 5_000;

export interface ArrivalsOptions {
  readonly hierarchy: CpuHierarchy;
  readonly procRoot: string;
  readonly watcher: GroupWatcher;
  /** A process of this guest was found in a new group. */
  onArrival(uuid: string, pid: number): void;
}

export class Arrivals {
  readonly #options: ArrivalsOptions;
  readonly #partitions = new Set<string>();
  readonly #looking = new Set<string>();
  #stopped = false;

  constructor(options: ArrivalsOptions) {
    this.#options = options;
  }

  start(): void {
    const { root } = this.#options.hierarchy;
    this.#addPartition(root);
  }

  /** A guest lives in this partition: others may come there. */
  addParentOf(weightDir: string): void {
    const parent = dirname(weightDir);
    if (parent.startsWith(this.#options.hierarchy.root)) this.#addPartition(parent);
  }

  /** True when the change was about a partition and has been dealt with. */
  handle(change: GroupChange): boolean {
    if (!this.#partitions.has(change.directory)) return false;
    if (change.kind !== 'created') return true;
    const path = join(change.directory, change.name);
    if (this.#isPartition(change.directory, change.name)) {
      // Removed, or made anew under the same name.
      this.#partitions.delete(path);
      this.#addPartition(path);
    } else if (change.directory !== this.#options.hierarchy.root) void this.#look(path);
    return true;
  }

  stop(): void {
    this.#stopped = true;
  }

  #isPartition(parent: string, name: string): boolean {
    return parent === this.#options.hierarchy.root ? DEFAULT_PARTITIONS.has(name) : isPartitionName(name);
  }

  #addPartition(path: string): void {
    if (this.#partitions.has(path)) return;
    let group: Group | null;
    try {
      group = Group.open(path);
    } catch {
      // Too many open files: guests there are seen when libvirt reports them.
      return;
    }
    if (group === null) return;
    const children = group.children();
    group.close();
    if (!this.#options.watcher.add(path)) return;
    this.#partitions.add(path);
    for (const name of children) if (this.#isPartition(path, name)) this.#addPartition(join(path, name));
  }

  async #look(path: string): Promise<void> {
    if (this.#looking.has(path)) return;
    this.#looking.add(path);
    try {
      for (let waited = 0; waited < LOOK_FOR_MS && !this.#stopped; waited += LOOK_EVERY_MS) {
        const group = Group.open(path);
        if (group === null) return;
        try {
          const arrived = this.#guestIn(group);
          if (arrived !== null) {
            this.#options.onArrival(arrived.uuid, arrived.pid);
            return;
          }
        } finally {
          group.close();
        }
        await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
      }
    } catch {
      // Too many open files, say: the start is seen when libvirt reports it.
    } finally {
      this.#looking.delete(path);
    }
  }

  /**
   * The process in the group, or in a level that libvirt makes in it, that says which guest it is. Between fork and exec
   * it still has libvirtd's command line; a TPM's or a virtiofsd's process beside it never says. Null while there is none.
   */
  #guestIn(group: Group): { readonly uuid: string; readonly pid: number } | null {
    const levels = ['', 'emulator/', 'libvirt/', 'libvirt/emulator/'];
    const pids = new Set(levels.flatMap((level) => (group.readOnce(`${level}cgroup.procs`) ?? '').split('\n')));
    for (const pid of [...pids].filter(Boolean).map(Number)) {
      const uuid = readUuidArgument(this.#options.procRoot, pid);
      if (uuid !== null) return { uuid, pid };
    }
    return null;
  }
}
