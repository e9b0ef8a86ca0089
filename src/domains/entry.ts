/**
 * One guest in the inventory: what is known of it, and the open groups of its running instance. Keeps the immutable
 * {@link Domain} in step with both.
 */
import type { Sight } from '../controls/control.js';
import type { CgroupFiles } from '../host/cgroup/kernel-files.js';
import type { ListedDomain } from '../host/libvirt/client.js';
import type { BareGuest } from './bare.js';
import { DomainHandles } from './handles.js';
import { isAlive, type Located } from './locate.js';
import type { Domain, DomainFacts, DomainSecurity, HostDevice } from './types.js';

export interface EntryWatch {
  /** A domain's groups were opened or are about to be closed: watches follow. */
  onOpened(uuid: string, handles: DomainHandles): void;
  onClosed(uuid: string, handles: DomainHandles): void;
  /** vCPU groups came or went. */
  onVcpus(uuid: string, handles: DomainHandles): void;
  /** What stands in for the kernel's cgroup files. */
  readonly cgroupFiles?: CgroupFiles;
}

export class Entry {
  listed: ListedDomain;
  facts: DomainFacts | null = null;
  domain: Domain;
  handles: DomainHandles | null = null;
  /** The start is under way: libvirt has not reported Started yet. */
  starting = false;
  hostDevices: ReadonlyMap<string, HostDevice> = new Map();
  security: DomainSecurity | null = null;
  vcpuThreads: ReadonlyMap<number, number> = new Map();
  sight: Sight | null = null;
  /** Of a guest without libvirt: what it was last found as; the same object means that nothing has changed. */
  guest: BareGuest | null = null;
  readonly #watch: EntryWatch;
  readonly #procRoot: string;

  constructor(listed: ListedDomain, source: Domain['source'], procRoot: string, watch: EntryWatch) {
    this.listed = listed;
    this.#procRoot = procRoot;
    this.#watch = watch;
    this.domain = {
      uuid: listed.uuid,
      name: listed.name,
      source,
      state: listed.state,
      facts: null,
      process: null,
      cgroup: null,
      groups: {},
      reasons: {},
      gaps: [],
      vcpuGroups: [],
      vcpuThreads: this.vcpuThreads,
      hostDevices: this.hostDevices,
      security: null,
      obstacle: null,
    };
  }

  get alive(): boolean {
    return this.processAlive && (this.handles?.exists() ?? false);
  }

  get processAlive(): boolean {
    const { process } = this.domain;
    return process !== null && isAlive(process, this.#procRoot);
  }

  /** Takes the groups of a located process over, or says why it must not be acted on. */
  open(located: Located, others: Iterable<Entry>): void {
    if (!located.ok) {
      this.setObstacle(located.obstacle);
      return;
    }
    const opened = this.#openGroups(located, others);
    if (typeof opened === 'string') {
      this.setObstacle(opened);
      return;
    }
    this.close();
    this.handles = opened;
    const { process, cgroup, groups } = located;
    this.domain = { ...this.domain, process, cgroup, groups, obstacle: null };
    this.rebuild();
    this.#watch.onOpened(this.domain.uuid, opened);
  }

  /** What only a look at its command line and groups tells. */
  describe({ gaps, reasons }: Pick<Domain, 'gaps' | 'reasons'>): void {
    this.domain = { ...this.domain, gaps, reasons };
  }

  setObstacle(obstacle: string): void {
    this.close();
    this.domain = { ...this.domain, obstacle };
    this.rebuild();
  }

  rebuild(): void {
    const before = this.domain.vcpuGroups.join();
    this.domain = {
      ...this.domain,
      name: this.listed.name,
      state: this.starting ? 'starting' : this.listed.state,
      id: this.listed.id,
      facts: this.facts,
      vcpuGroups: this.handles?.vcpuGroups() ?? [],
      vcpuThreads: this.vcpuThreads,
      hostDevices: this.hostDevices,
      security: this.security,
    };
    const { uuid, vcpuGroups } = this.domain;
    if (this.handles !== null && vcpuGroups.join() !== before) this.#watch.onVcpus(uuid, this.handles);
  }

  close(): void {
    if (this.handles !== null) {
      this.#watch.onClosed(this.listed.uuid, this.handles);
      this.handles.close();
      this.handles = null;
    }
    // What the ended process wore is not what the next one wears.
    if (this.security !== null) this.security = { ...this.security, process: null, violations: [] };
    const { security } = this;
    this.domain = { ...this.domain, process: null, cgroup: null, groups: {}, vcpuGroups: [], security };
  }

  #openGroups(located: Located & { ok: true }, others: Iterable<Entry>): DomainHandles | string {
    const { cgroup, groups } = located;
    for (const other of others) {
      if (other === this || other.handles === null || other.domain.cgroup?.inode !== cgroup.inode) continue;
      return `its cgroup is that of guest ${other.domain.name}: left alone`;
    }
    try {
      return (
        DomainHandles.open({ cgroup, groups }, this.#watch.cgroupFiles) ?? `its cgroup ${cgroup.domainDir} is gone`
      );
    } catch (error) {
      return `its cgroup cannot be opened: ${(error as Error).message}`;
    }
  }
}
