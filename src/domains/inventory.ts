/**
 * Which domains this host has now. libvirt lists them; the kernel says whether they live. A domain that libvirt stops
 * listing while its process still runs is kept: an empty answer after a reconnect must release nothing.
 */
import { dirname } from 'node:path';
import type { LibvirtClient, ListedDomain } from '../host/libvirt/client.js';
import { pidOf, readPidFiles } from '../host/libvirt/pid-files.js';
import { AncestorGroups } from './ancestors.js';
import { DomainHandles } from './handles.js';
import { isAlive, type LocateOptions, locateProcess } from './locate.js';
import type { CpuCgroup, Domain, DomainFacts, DomainState } from './types.js';

interface Entry {
  listed: ListedDomain;
  facts: DomainFacts | null;
  domain: Domain;
  handles: DomainHandles | null;
  /** The start is under way: libvirt has not reported Started yet. */
  starting: boolean;
}

export interface InventoryOptions extends LocateOptions {
  readonly libvirt: LibvirtClient;
  /** A domain's groups were opened or are about to be closed: watches follow. */
  onOpened(uuid: string, handles: DomainHandles): void;
  onClosed(uuid: string, handles: DomainHandles): void;
  /** vCPU groups came or went. */
  onVcpus(uuid: string, handles: DomainHandles): void;
}

export class Inventory {
  readonly #entries = new Map<string, Entry>();
  readonly #options: InventoryOptions;
  readonly #ancestors = new AncestorGroups();
  /** True after the first list that libvirt answered, or at once without libvirt. */
  complete = false;

  constructor(options: InventoryOptions) {
    this.#options = options;
  }

  all(): Domain[] {
    return [...this.#entries.values()].map((entry) => entry.domain);
  }

  get(uuid: string): Domain | null {
    return this.#entries.get(uuid)?.domain ?? null;
  }

  handles(uuid: string): DomainHandles | null {
    return this.#entries.get(uuid)?.handles ?? null;
  }

  /** Canonical text of a CPU file of the guest or of a group above it; null when unreadable. */
  read(uuid: string, path: string): string | null {
    const handles = this.#entries.get(uuid)?.handles ?? null;
    if (handles === null) return null;
    return handles.cgroup.ancestors.includes(dirname(path)) ? this.#ancestors.read(path, handles) : handles.read(path);
  }

  /** Asks libvirt for the list, and for the XML of domains that are new or have another running instance. */
  async resync(): Promise<{ readonly ok: boolean; readonly message: string | null }> {
    const listed = await this.#options.libvirt.list();
    if (!listed.ok) {
      this.#dropDead();
      // Without libvirt by configuration there is nobody to wait for.
      if (this.#options.libvirt.status().uri === null) this.complete = true;
      return { ok: false, message: listed.message };
    }
    const seen = new Set<string>();
    const due: string[] = [];
    for (const one of listed.value) {
      seen.add(one.uuid);
      if (this.#merge(one)) due.push(one.uuid);
    }
    // Before the descriptions: one guest that libvirt cannot describe must not keep the others from being found.
    this.#locateAll();
    await Promise.all(due.map((uuid) => this.refreshFacts(uuid)));
    this.#locateAll();
    for (const uuid of [...this.#entries.keys()]) if (!seen.has(uuid)) this.#dropUnlisted(uuid);
    this.#dropDead();
    this.complete = true;
    return { ok: true, message: null };
  }

  /** Reads one domain's XML again. False when libvirt could not say; what is known stays. */
  async refreshFacts(uuid: string): Promise<boolean> {
    const facts = await this.#options.libvirt.facts(uuid);
    const entry = this.#entries.get(uuid);
    if (!facts.ok || entry === undefined) return false;
    entry.facts = facts.value;
    entry.listed = { ...entry.listed, name: facts.value.name, id: facts.value.id, persistent: facts.value.persistent };
    if (!entry.starting) entry.listed = { ...entry.listed, state: facts.value.state };
    this.#rebuild(entry);
    return true;
  }

  /** A guest is being started: its groups exist, libvirt has not reported it yet. */
  async noticeStart(uuid: string, pid: number): Promise<boolean> {
    const known = this.#entries.get(uuid);
    if (known?.domain.process != null && isAlive(known.domain.process, this.#options.procRoot)) return false;
    const facts = await this.#options.libvirt.facts(uuid);
    if (!facts.ok || facts.value.id === null) return false;
    const { name, id, persistent } = facts.value;
    const entry = this.#entries.get(uuid) ?? this.#newEntry({ uuid, name, id, persistent, state: 'starting' });
    if (entry.domain.process !== null && isAlive(entry.domain.process, this.#options.procRoot)) return true;
    this.#close(entry);
    entry.listed = { uuid, name, id, persistent, state: 'starting' };
    entry.facts = facts.value;
    entry.starting = true;
    this.#entries.set(uuid, entry);
    this.#locate(entry, pid);
    return entry.handles !== null;
  }

  /** While a guest starts its threads move from group to group: look where the process is now. */
  relocate(uuid: string): void {
    const entry = this.#entries.get(uuid);
    if (entry?.domain.process == null) return;
    const { pid } = entry.domain.process;
    const located = locateProcess(pid, uuid, this.#options);
    if (located.ok && located.cgroup.domainDir !== entry.domain.cgroup?.domainDir) this.#locate(entry, pid);
    this.#rebuild(entry);
  }

  /** libvirt has reported the start (or the guest was found running): the state is what libvirt says from here on. */
  started(uuid: string): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined) return;
    entry.starting = false;
    entry.listed = { ...entry.listed, state: entry.facts?.state ?? 'running' };
    this.#rebuild(entry);
  }

  setState(uuid: string, state: DomainState): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined || entry.starting) return;
    entry.listed = { ...entry.listed, state };
    this.#rebuild(entry);
  }

  /** The running instance ended. The definition, if there is one, stays listed. */
  stopped(uuid: string): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined) return;
    if (entry.domain.process !== null && isAlive(entry.domain.process, this.#options.procRoot)) return;
    this.#close(entry);
    entry.starting = false;
    if (!entry.listed.persistent) {
      this.#entries.delete(uuid);
      return;
    }
    entry.listed = { ...entry.listed, id: null, state: 'shutoff' };
    if (entry.facts !== null) entry.facts = { ...entry.facts, id: null, state: 'shutoff', originalsXml: null };
    this.#rebuild(entry);
  }

  close(): void {
    for (const entry of this.#entries.values()) this.#close(entry);
    this.#entries.clear();
    this.#ancestors.close();
  }

  /** True when the XML has to be read (again). */
  #merge(one: ListedDomain): boolean {
    const entry = this.#entries.get(one.uuid);
    if (entry === undefined) {
      this.#entries.set(one.uuid, this.#newEntry(one));
      return true;
    }
    const another = entry.listed.id !== one.id;
    // Another instance: the old one's description says nothing of its values, its originals or its class.
    if (another && one.id !== null && entry.facts?.id !== one.id) entry.facts = null;
    if (another && entry.handles !== null && !this.#alive(entry)) this.#close(entry);
    // libvirt says `running` only when a start is over: should its event be lost, this ends the starting state.
    if (one.state === 'running') entry.starting = false;
    if (!entry.starting) entry.listed = one;
    this.#rebuild(entry);
    return another || entry.facts === null || entry.listed.name !== one.name;
  }

  #locateAll(): void {
    const pids = readPidFiles(this.#options.runLibvirt);
    for (const entry of this.#entries.values()) {
      if (entry.listed.id === null || entry.starting) continue;
      if (entry.handles !== null && this.#alive(entry)) continue;
      this.#close(entry);
      const pid = pidOf(pids, entry.listed.name);
      if (pid === null) this.#setObstacle(entry, 'libvirt has no pid file for it');
      else this.#locate(entry, pid);
    }
  }

  #locate(entry: Entry, pid: number): void {
    const { uuid } = entry.listed;
    const located = locateProcess(pid, uuid, this.#options);
    if (!located.ok) {
      this.#setObstacle(entry, located.obstacle);
      return;
    }
    const { handles, obstacle } = this.#open(entry, located.cgroup);
    if (handles === null) {
      this.#setObstacle(entry, obstacle);
      return;
    }
    this.#close(entry);
    entry.handles = handles;
    entry.domain = { ...entry.domain, process: located.process, cgroup: located.cgroup, obstacle: null };
    this.#rebuild(entry);
    this.#options.onOpened(uuid, handles);
  }

  /** The group's handles, or why it must not be acted on. */
  #open(
    entry: Entry,
    cgroup: CpuCgroup,
  ): { handles: DomainHandles; obstacle: null } | { handles: null; obstacle: string } {
    for (const other of this.#entries.values()) {
      if (other === entry || other.handles === null || other.domain.cgroup?.inode !== cgroup.inode) continue;
      return { handles: null, obstacle: `its cgroup is that of guest ${other.domain.name}: left alone` };
    }
    try {
      const handles = DomainHandles.open(cgroup);
      return handles === null
        ? { handles, obstacle: `its cgroup ${cgroup.domainDir} is gone` }
        : { handles, obstacle: null };
    } catch (error) {
      return { handles: null, obstacle: `its cgroup cannot be opened: ${(error as Error).message}` };
    }
  }

  #setObstacle(entry: Entry, obstacle: string): void {
    this.#close(entry);
    entry.domain = { ...entry.domain, obstacle };
    this.#rebuild(entry);
  }

  #alive(entry: Entry): boolean {
    const { process } = entry.domain;
    return process !== null && isAlive(process, this.#options.procRoot) && (entry.handles?.exists() ?? false);
  }

  #dropUnlisted(uuid: string): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined || this.#alive(entry)) return;
    this.#close(entry);
    this.#entries.delete(uuid);
  }

  /** Running instances whose process is gone, whatever libvirt says or cannot say. */
  #dropDead(): void {
    for (const [uuid, entry] of [...this.#entries]) {
      if (entry.domain.process !== null && !isAlive(entry.domain.process, this.#options.procRoot)) this.stopped(uuid);
    }
  }

  #newEntry(listed: ListedDomain): Entry {
    const { uuid, name, state } = listed;
    const domain: Domain = {
      uuid,
      name,
      state,
      facts: null,
      process: null,
      cgroup: null,
      vcpuGroups: [],
      obstacle: null,
    };
    return { listed, facts: null, domain, handles: null, starting: false };
  }

  #rebuild(entry: Entry): void {
    const before = entry.domain.vcpuGroups.join();
    entry.domain = {
      ...entry.domain,
      name: entry.listed.name,
      state: entry.starting ? 'starting' : entry.listed.state,
      facts: entry.facts,
      vcpuGroups: entry.handles?.vcpuGroups() ?? [],
    };
    const { uuid, vcpuGroups } = entry.domain;
    if (entry.handles !== null && vcpuGroups.join() !== before) this.#options.onVcpus(uuid, entry.handles);
  }

  #close(entry: Entry): void {
    if (entry.handles !== null) {
      this.#options.onClosed(entry.listed.uuid, entry.handles);
      entry.handles.close();
      entry.handles = null;
    }
    entry.domain = { ...entry.domain, process: null, cgroup: null, vcpuGroups: [] };
  }
}
