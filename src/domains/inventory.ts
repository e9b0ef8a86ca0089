/**
 * Which domains this host has now. libvirt lists them; the kernel says whether they live. A domain that libvirt stops
 * listing while its process still runs is kept: an empty answer after a reconnect must release nothing.
 */
import type { Sight } from '../controls/control.js';
import { Group } from '../host/cgroup/group.js';
import { CONTROLLERS } from '../host/cgroup/layout.js';
import type { LibvirtClient, ListedDomain } from '../host/libvirt/client.js';
import { pidOf, readPidFiles } from '../host/libvirt/pid-files.js';
import { AncestorGroups } from './ancestors.js';
import type { BareGuest, BareGuests } from './bare.js';
import { Entry, type EntryWatch } from './entry.js';
import type { DomainHandles } from './handles.js';
import { type LocateOptions, locateProcess } from './locate.js';
import { BLIND, type DeviceSight, sightOf } from './sight.js';
import type { Address, Domain, DomainState } from './types.js';

export interface InventoryOptions extends LocateOptions, EntryWatch {
  readonly libvirt: LibvirtClient;
  /** QEMU processes that libvirt does not run. */
  readonly bare: Pick<BareGuests, 'scan'>;
  /** What is no cgroup file: QEMU's throttles, taps. */
  readonly devices: DeviceSight;
}

export class Inventory {
  readonly #entries = new Map<string, Entry>();
  readonly #options: InventoryOptions;
  readonly #ancestors: AncestorGroups;
  /** True after the first list that libvirt answered, or at once without libvirt. */
  complete = false;
  /** Why some QEMU processes could not be looked at; null when all could. */
  bareProblem: string | null = null;

  constructor(options: InventoryOptions) {
    this.#options = options;
    this.#ancestors = new AncestorGroups(options.cgroupFiles);
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

  /** False only when there is no such group any more, or another under its path. */
  standsGroup(path: string, inode: bigint): boolean {
    try {
      const group = Group.open(path, this.#options.cgroupFiles);
      group?.close();
      return group?.inode === inode;
    } catch {
      return true;
    }
  }

  /** Canonical text of what stands at an address of the guest, or of a group above it; null when unreadable. */
  read(uuid: string, address: Address): string | null {
    return this.sight(uuid).read(address);
  }

  sight(uuid: string): Sight {
    const entry = this.#entries.get(uuid);
    if (entry === undefined) return BLIND;
    entry.sight ??= sightOf(() => entry, this.#ancestors, this.#options.devices);
    return entry.sight;
  }

  /** Who is there: by libvirt's list, and by /proc for those that libvirt does not run. */
  async resync(): Promise<{ readonly ok: boolean; readonly message: string | null }> {
    const result = await this.#resyncListed();
    await this.#resyncBare();
    // Without libvirt by configuration there is nobody to wait for.
    if (result.ok || this.#options.libvirt.status().uri === null) this.complete = true;
    return result;
  }

  /** Asks libvirt for the list, and for the XML of domains that are new or have another running instance. */
  async #resyncListed(): Promise<{ readonly ok: boolean; readonly message: string | null }> {
    const listed = await this.#options.libvirt.list();
    if (!listed.ok) {
      this.#dropDead();
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
    for (const [uuid, { domain }] of [...this.#entries]) {
      if (domain.source === 'libvirt' && !seen.has(uuid)) this.#dropUnlisted(uuid);
    }
    this.#dropDead();
    return { ok: true, message: null };
  }

  /** Reads one domain's XML again. False when libvirt could not say; what is known stays. */
  async refreshFacts(uuid: string): Promise<boolean> {
    // Libvirt knows nothing of a guest that it does not run.
    if (this.#entries.get(uuid)?.domain.source === 'bare') return false;
    const facts = await this.#options.libvirt.facts(uuid);
    const entry = this.#entries.get(uuid);
    if (!facts.ok || entry === undefined) return false;
    entry.facts = facts.value;
    entry.listed = { ...entry.listed, name: facts.value.name, id: facts.value.id, persistent: facts.value.persistent };
    if (!entry.starting) entry.listed = { ...entry.listed, state: facts.value.state };
    entry.rebuild();
    if (!entry.starting) this.#findMissingGroups(entry);
    return true;
  }

  /** What stands behind its disks, once it has been looked up, and what the audit of labels found. */
  learn(uuid: string, learnt: Partial<Pick<Domain, 'hostDevices' | 'security'>>): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined) return;
    Object.assign(entry, learnt);
    entry.rebuild();
  }

  /** A guest is being started: its groups exist, libvirt has not reported it yet. */
  async noticeStart(uuid: string, pid: number): Promise<boolean> {
    const known = this.#entries.get(uuid);
    if (known?.processAlive === true) return false;
    const facts = await this.#options.libvirt.facts(uuid);
    if (!facts.ok || facts.value.id === null) return false;
    const { name, id, persistent } = facts.value;
    const entry = this.#entries.get(uuid) ?? this.#newEntry({ uuid, name, id, persistent, state: 'starting' });
    if (entry.processAlive) return true;
    entry.close();
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
    entry.rebuild();
  }

  /** libvirt has reported the start (or the guest was found running): the state is what libvirt says from here on. */
  started(uuid: string): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined) return;
    entry.starting = false;
    entry.listed = { ...entry.listed, state: entry.facts?.state ?? 'running' };
    entry.rebuild();
  }

  setState(uuid: string, state: DomainState): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined || entry.starting) return;
    entry.listed = { ...entry.listed, state };
    entry.rebuild();
  }

  /** The running instance ended. The definition, if there is one, stays listed. */
  stopped(uuid: string): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined) return;
    if (entry.processAlive) return;
    entry.close();
    entry.starting = false;
    if (!entry.listed.persistent) {
      this.#entries.delete(uuid);
      return;
    }
    entry.listed = { ...entry.listed, id: null, state: 'shutoff' };
    if (entry.facts !== null) entry.facts = { ...entry.facts, id: null, state: 'shutoff', originalsXml: null };
    entry.rebuild();
  }

  close(): void {
    for (const entry of this.#entries.values()) entry.close();
    this.#entries.clear();
    this.#ancestors.close();
  }

  /** True when the XML has to be read (again). */
  #merge(one: ListedDomain): boolean {
    const entry = this.#entries.get(one.uuid);
    if (entry === undefined || entry.domain.source === 'bare') {
      // Whoever claimed the uuid before libvirt was heard gives way to it.
      entry?.close();
      this.#entries.set(one.uuid, this.#newEntry(one));
      return true;
    }
    const another = entry.listed.id !== one.id;
    // Another instance: the old one's description says nothing of its values, its originals or its class.
    if (another && one.id !== null && entry.facts?.id !== one.id) entry.facts = null;
    if (another && entry.handles !== null && !entry.alive) entry.close();
    // libvirt says `running` only when a start is over: should its event be lost, this ends the starting state.
    if (one.state === 'running') entry.starting = false;
    if (!entry.starting) entry.listed = one;
    entry.rebuild();
    return another || entry.facts === null || entry.listed.name !== one.name;
  }

  #locateAll(): void {
    const pids = readPidFiles(this.#options.runLibvirt);
    for (const entry of this.#entries.values()) {
      if (entry.listed.id === null || entry.starting) continue;
      if (entry.handles !== null && entry.alive) continue;
      entry.close();
      const pid = pidOf(pids, entry.listed.name);
      if (pid === null) entry.setObstacle('libvirt has no pid file for it');
      else this.#locate(entry, pid);
    }
  }

  /** A group may have come last in the start, or have held somebody else's process for a while. */
  #findMissingGroups(entry: Entry): void {
    const { process, groups } = entry.domain;
    const missing = (from: Domain['groups']): number =>
      CONTROLLERS.filter((one) => one !== 'cpu' && this.#options.hierarchies[one] && from[one] === undefined).length;
    if (process === null || missing(groups) === 0) return;
    const located = locateProcess(process.pid, entry.listed.uuid, this.#options);
    if (!located.ok || located.process.startTicks !== process.startTicks) return;
    if (missing(located.groups) < missing(groups)) entry.open(located, this.#entries.values());
  }

  #locate(entry: Entry, pid: number): void {
    const { uuid } = entry.listed;
    entry.open(locateProcess(pid, uuid, this.#options), this.#entries.values());
  }

  #dropUnlisted(uuid: string): void {
    const entry = this.#entries.get(uuid);
    if (entry === undefined || entry.alive) return;
    entry.close();
    this.#entries.delete(uuid);
  }

  /** Running instances whose process is gone, whatever libvirt says or cannot say. */
  #dropDead(): void {
    for (const [uuid, entry] of [...this.#entries]) {
      if (entry.domain.process !== null && !entry.processAlive) this.stopped(uuid);
    }
  }

  async #resyncBare(): Promise<void> {
    const listed = [...this.#entries.values()].filter(({ domain }) => domain.source === 'libvirt');
    const pids = new Map(listed.map(({ domain }) => [domain.uuid, domain.process?.pid ?? null]));
    const { guests, problem } = await this.#options.bare.scan(pids);
    this.bareProblem = problem;
    const found = new Set<string>();
    for (const guest of guests) if (this.#mergeBare(guest)) found.add(guest.uuid);
    for (const [uuid, { domain }] of [...this.#entries]) {
      if (domain.source === 'bare' && !found.has(uuid)) this.#dropUnlisted(uuid);
    }
  }

  /** False for one whose place a guest of libvirt's has taken meanwhile. */
  #mergeBare(guest: BareGuest): boolean {
    const { uuid, name, process, cgroup, groups, obstacle } = guest;
    const known = this.#entries.get(uuid);
    if (known?.domain.source === 'libvirt') return false;
    const listed: ListedDomain = { uuid, name, id: null, persistent: false, state: 'running' };
    const entry = known ?? new Entry(listed, 'bare', this.#options.procRoot, this.#options);
    this.#entries.set(uuid, entry);
    entry.listed = listed;
    entry.facts = guest.facts;
    entry.vcpuThreads = guest.vcpuThreads;
    entry.describe(guest);
    if (cgroup === null || obstacle !== null) {
      entry.setObstacle(obstacle ?? 'it has no CPU cgroup of its own: observed only');
      return true;
    }
    const same = entry.guest === guest && entry.alive;
    entry.guest = guest;
    if (same) entry.rebuild();
    else entry.open({ ok: true, process, cgroup, groups }, this.#entries.values());
    return true;
  }

  #newEntry(listed: ListedDomain): Entry {
    return new Entry(listed, 'libvirt', this.#options.procRoot, this.#options);
  }
}
