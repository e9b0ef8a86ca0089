/**
 * libvirt in memory, for tests of whatever uses a LibvirtClient: a few domains, what virsh would do to them, and faults
 * on demand. Held to the same contract suite as the real client (test/libvirt/client-contract.ts).
 *
 *     const libvirt = new FakeLibvirt();
 *     const db = libvirt.define({ name: 'db-1', vcpus: 2 });
 *     libvirt.startDomain(db);               // emits resumed, started
 *     libvirt.hang(db);                      // its next call: timeout, then quarantined until recover(db)
 *     libvirt.disconnect('killed'); libvirt.reconnect({ emptyLists: 1 });
 *     libvirt.faultOn(db, 'managedSave', { kind: 'hang' });
 */
import { createHash } from 'node:crypto';
import type {
  BlkioTune,
  CpuTune,
  DiskDevice,
  DiskThrottle,
  DomainFacts,
  DomainSeclabel,
  DomainState,
  Hardware,
  InterfaceDevice,
  MemoryTune,
  Tuning,
} from '../../src/domains/types.js';
import type {
  DiskCounters,
  DiskReading,
  DisksOptions,
  LibvirtClient,
  LibvirtEvent,
  LibvirtOutcome,
  LibvirtStatus,
  LifecycleEvent,
  ListedDomain,
  SchedulerParameters,
  TuneCall,
} from '../../src/host/libvirt/client.js';
import type { SaveCall } from '../../src/host/libvirt/protocol.js';
import type { SavedImage, SaveOptions, StartOptions } from '../../src/host/libvirt/saving.js';
import type { XmlElement } from '../../src/policy/types.js';
import { canonicalThrottle } from '../../src/text/disk-throttle.js';
import { applySeclabel, liveSeclabels } from './fake-seclabel.js';
import {
  applyTune,
  defaultHardware,
  defaultTuning,
  fakeDisk,
  fakeInterface,
  supportsBandwidth,
} from './fake-tuning.js';

export interface FakeDomainOptions {
  readonly name: string;
  /** Default: derived from the name. */
  readonly uuid?: string;
  readonly vcpus?: number;
  readonly vcpusMax?: number;
  readonly persistent?: boolean;
  readonly cputune?: Partial<CpuTune>;
  readonly memtune?: MemoryTune;
  readonly blkiotune?: Partial<BlkioTune>;
  readonly disks?: readonly Parameters<typeof fakeDisk>[0][];
  /** An interface without a `device` gets a tap of its own when the guest starts, where its type has one. */
  readonly interfaces?: readonly Parameters<typeof fakeInterface>[0][];
  /** vCPU number → CPU list. */
  readonly pins?: Readonly<Record<number, string>>;
  readonly hardware?: Partial<Hardware>;
  readonly title?: string;
  readonly description?: string;
  readonly metadata?: readonly XmlElement[];
  readonly originalsXml?: string;
  /** `<seclabel>` elements of its definition; default: none. */
  readonly seclabels?: readonly DomainSeclabel[];
}

export interface FakeLibvirtOptions {
  readonly uri?: string | null;
  /** The host has SELinux: every guest that starts gets a label. Default: it has no such thing. */
  readonly selinux?: boolean;
  /** After which a call about a hanging domain is answered `timeout`; default 20 ms. */
  readonly deadlineMs?: number;
  /** What libvirt does to the kernel when a running guest is tuned, by us or by anyone; only calls that succeeded. */
  readonly onTune?: (uuid: string, calls: readonly TuneCall[]) => void;
}

/** One call made of the client, in order. */
export interface FakeCall {
  readonly op: 'list' | 'facts' | 'tune' | 'disks' | 'setOriginals' | SaveCall['op'];
  readonly uuid: string | null;
  readonly calls?: readonly TuneCall[];
  readonly xml?: string | null;
  readonly text?: string;
}

/** What goes wrong with one call of saving.ts about one guest, every time until it is taken off. */
export type SaveFault =
  /** libvirt answers with this error; nothing has changed. */
  | { readonly kind: 'refuse'; readonly message: string }
  /**
   * It does not come back. A save is aborted when it overruns, unless it `ignoresAbort`; else it is `timeout`, then
   * quarantined until `recover`, and `takesEffect` then, or not.
   */
  | { readonly kind: 'hang'; readonly ignoresAbort?: boolean; readonly takesEffect?: boolean }
  /** libvirtd dies, before it has done it or after. It comes back with `reconnect`. */
  | { readonly kind: 'die'; readonly when: 'before' | 'after' };

interface FakeDomain {
  readonly uuid: string;
  readonly name: string;
  readonly persistent: boolean;
  readonly definition: Tuning;
  readonly definedOriginals: string | null;
  readonly definedVcpus: number;
  definitionSeclabels: readonly DomainSeclabel[];
  facts: Omit<DomainFacts, 'uuid' | 'name' | 'persistent' | 'definition' | 'definitionSeclabels' | 'managedSave'>;
  /** The guest as it was saved, with the labels that its image has. */
  saved: { readonly facts: FakeDomain['facts']; readonly seclabels: readonly DomainSeclabel[] } | null;
  /** A save was cut short by the death of libvirtd, and nothing has taken away what it left. */
  half: boolean;
  /** Target → what QEMU counts. */
  counters: Map<string, DiskCounters>;
  /** Target → what QEMU was told by others than libvirt. */
  readonly behindLibvirt: Map<string, DiskThrottle>;
  /** Target → boundaries of its histograms. */
  readonly histograms: Map<string, readonly number[]>;
  /** Its monitor was asked by hand since it started. */
  tainted: boolean;
}

const NO_COUNTERS: DiskCounters = {
  readRequests: 0n,
  readBytes: 0n,
  readNs: 0n,
  writeRequests: 0n,
  writeBytes: 0n,
  writeNs: 0n,
  flushRequests: 0n,
  flushNs: 0n,
};

type Failed = Extract<LibvirtOutcome<never>, { ok: false }>;

export class FakeLibvirt implements LibvirtClient {
  /** Every call that reached libvirt (not those refused for want of a connection or in quarantine). */
  readonly calls: FakeCall[] = [];
  readonly #options: FakeLibvirtOptions;
  readonly #domains = new Map<string, FakeDomain>();
  readonly #listeners: ((event: LibvirtEvent) => void)[] = [];
  readonly #hanging = new Set<string>();
  readonly #quarantined = new Set<string>();
  readonly #refusals = new Map<string, string>();
  readonly #occupied = new Set<string>();
  /** `UUID OP` */
  readonly #saveFaults = new Map<string, SaveFault>();
  /** uuid → a call of saving.ts that hangs: to be aborted, or to come back late. */
  readonly #hangingSaves = new Map<string, { abort: (() => void) | null; late: () => void; overran: boolean }>();
  readonly #refusedLabels = new Map<string, string>();
  /** Guests that are being restored, not booted. */
  readonly #restoring = new Set<string>();
  #nextCategory = 0;
  #latencyMs = 0;
  #emptyLists = 0;
  #nextId = 1;
  #nextTap = 0;
  #reachable = true;
  #connected = false;
  #connections = 0;
  #lastError: string | null = 'not connected yet';

  constructor(options: FakeLibvirtOptions = {}) {
    this.#options = options;
  }

  // What virsh would do.

  /** @returns the uuid */
  define(options: FakeDomainOptions): string {
    const uuid = options.uuid ?? uuidOfName(options.name);
    const definition = defaultTuning({
      cpu: { realtimeVcpus: false, ...options.cputune },
      memory: options.memtune ?? {},
      blkio: { devices: [], ...options.blkiotune },
      disks: (options.disks ?? []).map(fakeDisk),
      interfaces: (options.interfaces ?? []).map(fakeInterface),
      pins: options.pins ?? {},
    });
    const vcpus = options.vcpus ?? 1;
    this.#domains.set(uuid, {
      uuid,
      name: options.name,
      persistent: options.persistent ?? true,
      definition,
      definedOriginals: options.originalsXml ?? null,
      definedVcpus: vcpus,
      definitionSeclabels: options.seclabels ?? [],
      saved: null,
      half: false,
      facts: {
        id: null,
        state: 'shutoff',
        title: options.title ?? '',
        description: options.description ?? '',
        metadata: options.metadata ?? [],
        vcpusOnline: vcpus,
        vcpusMax: options.vcpusMax ?? vcpus,
        hardware: defaultHardware(options.hardware),
        tuning: definition,
        originalsXml: options.originalsXml ?? null,
        seclabels: [],
      },
      counters: new Map(),
      behindLibvirt: new Map(),
      histograms: new Map(),
      tainted: false,
    });
    this.#lifecycle(uuid, 'defined');
    return uuid;
  }

  /** @returns the id of the running instance */
  startDomain(uuid: string): number {
    const id = this.beginStart(uuid);
    this.finishStart(uuid);
    return id;
  }

  /** The process and its cgroups are being made; no event yet. @returns the id of the instance */
  beginStart(uuid: string): number {
    const id = this.#nextId++;
    const domain = this.#domain(uuid);
    domain.half = false;
    const { tuning } = domain.saved?.facts ?? domain.facts;
    const interfaces = tuning.interfaces.map((device) => this.#withTap(device));
    const seclabels = this.#labelsOf(domain.saved?.seclabels ?? domain.definitionSeclabels);
    this.#change(uuid, { ...domain.saved?.facts, id, state: 'starting', tuning: { ...tuning, interfaces }, seclabels });
    if (domain.saved === null) this.#restoring.delete(uuid);
    else this.#restoring.add(uuid);
    domain.saved = null;
    return id;
  }

  /** The guest runs. libvirt says resumed, then started, and of one that it has restored the other way round. */
  finishStart(uuid: string): void {
    this.#change(uuid, { state: 'running' });
    if (this.#restoring.has(uuid)) {
      this.#lifecycle(uuid, 'started', 2);
      this.#lifecycle(uuid, 'resumed', 2);
    } else {
      this.#lifecycle(uuid, 'resumed');
      this.#lifecycle(uuid, 'started');
    }
  }

  /** Live values end with the instance; a transient domain is gone. */
  stopDomain(uuid: string, event: 'stopped' | 'crashed' = 'stopped'): void {
    const domain = this.#domain(uuid);
    this.#change(uuid, {
      id: null,
      state: event === 'crashed' ? 'crashed' : 'shutoff',
      tuning: domain.definition,
      originalsXml: domain.definedOriginals,
      vcpusOnline: domain.definedVcpus,
      seclabels: [],
    });
    domain.counters.clear();
    domain.behindLibvirt.clear();
    domain.histograms.clear();
    domain.tainted = false;
    if (event === 'stopped') this.#lifecycle(uuid, 'shutdown');
    this.#lifecycle(uuid, event);
    if (!domain.persistent) this.#domains.delete(uuid);
  }

  undefine(uuid: string): void {
    this.#lifecycle(uuid, 'undefined');
    this.#domains.delete(uuid);
  }

  setState(uuid: string, state: DomainState): void {
    this.#change(uuid, { state });
    if (state === 'paused') this.#lifecycle(uuid, 'suspended');
    if (state === 'running') this.#lifecycle(uuid, 'resumed');
  }

  /** vCPU hotplug. libvirt sends no event of its own for it. */
  setVcpus(uuid: string, vcpusOnline: number): void {
    this.#change(uuid, { vcpusOnline });
  }

  /** `virsh managedsave`: the guest is off, and its next start restores it. */
  saveGuest(uuid: string, paused = false): void {
    const domain = this.#domain(uuid);
    const { facts } = domain;
    domain.half = false;
    // In an image stands what was asked for, not what libvirt made of it.
    const seclabels = facts.seclabels?.map((each) => ({
      ...each,
      label: each.type === 'static' ? each.label : null,
      imagelabel: null,
    }));
    if (facts.state === 'running') this.setState(uuid, 'paused');
    domain.saved = {
      facts: { ...facts, state: paused ? 'paused' : facts.state },
      seclabels: (seclabels ?? []).filter(({ type, baselabel }) => type !== 'dynamic' || baselabel !== null),
    };
    this.#change(uuid, {
      id: null,
      state: 'shutoff',
      tuning: domain.definition,
      seclabels: [],
    });
    domain.counters.clear();
    domain.behindLibvirt.clear();
    domain.histograms.clear();
    domain.tainted = false;
    this.#lifecycle(uuid, 'stopped', 4);
  }

  /** `virsh managedsave-remove`: what was saved is lost. */
  forgetSaved(uuid: string): void {
    this.#domain(uuid).saved = null;
  }

  /** As when libvirtd died in the middle of a save: the guest goes on, or not. */
  leaveHalfAnImage(uuid: string): void {
    this.#domain(uuid).half = true;
  }

  /** What the saved image says; null when there is none. */
  savedSeclabels(uuid: string): readonly DomainSeclabel[] | null {
    return this.#domain(uuid).saved?.seclabels ?? null;
  }

  /** Somebody else edits the definition. */
  defineSeclabels(uuid: string, seclabels: readonly DomainSeclabel[]): void {
    const domain = this.#domain(uuid);
    domain.definitionSeclabels = seclabels;
    this.#lifecycle(uuid, 'defined', 1);
  }

  definitionSeclabels(uuid: string): readonly DomainSeclabel[] {
    return this.#domain(uuid).definitionSeclabels;
  }

  /** Of the running instance: what libvirt says that its process and its images wear. */
  seclabels(uuid: string): readonly DomainSeclabel[] {
    return this.#domain(uuid).facts.seclabels ?? [];
  }

  setMetadata(uuid: string, metadata: readonly XmlElement[]): void {
    this.#change(uuid, { metadata });
    this.emit({ kind: 'metadata', uuid });
  }

  /** `virsh schedinfo --live`: someone else sets parameters through libvirt. */
  schedinfo(uuid: string, parameters: SchedulerParameters): void {
    this.virsh(uuid, [{ call: 'scheduler', parameters }]);
  }

  /** Someone else tunes the running guest through libvirt. */
  virsh(uuid: string, calls: readonly TuneCall[]): void {
    const failure = this.#tune(uuid, calls);
    if (failure !== null) throw new Error(failure.message);
  }

  /** Hot plug. */
  attachDisk(uuid: string, disk: Parameters<typeof fakeDisk>[0]): void {
    this.#changeTuning(uuid, ({ disks }) => ({ disks: [...disks, fakeDisk(disk)] }));
    this.emit({ kind: 'device', uuid });
  }

  detachDisk(uuid: string, target: string): void {
    this.#changeTuning(uuid, ({ disks }) => ({ disks: disks.filter((disk) => disk.target !== target) }));
    this.#domain(uuid).counters.delete(target);
    this.#domain(uuid).behindLibvirt.delete(target);
    this.#domain(uuid).histograms.delete(target);
    this.emit({ kind: 'device', uuid });
  }

  /** A medium goes into a drive, or with null out of it. libvirt announces nothing that we listen to. */
  changeMedium(uuid: string, target: string, path: string | null): void {
    const change = (disk: DiskDevice) => (disk.target === target ? { ...disk, path, empty: path === null } : disk);
    this.#changeTuning(uuid, ({ disks }) => ({ disks: disks.map(change) }));
  }

  /** Hot plug. @returns its device on the host, null when its type has none */
  attachInterface(uuid: string, options: Parameters<typeof fakeInterface>[0]): string | null {
    const plugged = this.#withTap(fakeInterface(options));
    this.#changeTuning(uuid, ({ interfaces }) => ({ interfaces: [...interfaces, plugged] }));
    this.emit({ kind: 'device', uuid });
    return plugged.device;
  }

  detachInterface(uuid: string, mac: string): void {
    this.#changeTuning(uuid, ({ interfaces }) => ({ interfaces: interfaces.filter((device) => device.mac !== mac) }));
    this.emit({ kind: 'device', uuid });
  }

  /** As after hot plug of memory or a change of the balloon. */
  setHardware(uuid: string, changes: Partial<Hardware>): void {
    this.#change(uuid, { hardware: { ...this.#domain(uuid).facts.hardware, ...changes } });
  }

  /** What QEMU counts for a disk from now on; what is not given stays. */
  isTainted(uuid: string): boolean {
    return this.#domain(uuid).tainted;
  }

  setCounters(uuid: string, target: string, counters: Partial<DiskCounters>): void {
    const { counters: all } = this.#domain(uuid);
    all.set(target, { ...(all.get(target) ?? NO_COUNTERS), ...counters });
  }

  /** Someone tells QEMU itself, by its monitor: libvirt's XML keeps what it has. */
  throttleBehindLibvirt(uuid: string, target: string, throttle: DiskThrottle): void {
    this.#domain(uuid).behindLibvirt.set(target, throttle);
  }

  id(uuid: string): number | null {
    return this.#domain(uuid).facts.id;
  }

  /** Of the live XML. */
  tuning(uuid: string): Tuning {
    return this.#domain(uuid).facts.tuning;
  }

  cputune(uuid: string): CpuTune {
    return this.tuning(uuid).cpu;
  }

  originalsXml(uuid: string): string | null {
    return this.#domain(uuid).facts.originalsXml;
  }

  emit(event: LibvirtEvent): void {
    if (!this.#connected) return;
    for (const listener of this.#listeners) listener(event);
  }

  // Faults.

  /** Every call takes this long. */
  setLatency(ms: number): void {
    this.#latencyMs = ms;
  }

  /** The guest's calls do not come back: `timeout` after the deadline, then `quarantined`, until `recover`. */
  hang(uuid: string): void {
    this.#hanging.add(uuid);
  }

  recover(uuid: string): void {
    this.#hanging.delete(uuid);
    const late = this.#hangingSaves.get(uuid)?.late;
    this.#hangingSaves.delete(uuid);
    late?.();
    if (this.#quarantined.delete(uuid) || late) this.emit({ kind: 'recovered', uuid });
  }

  /** Every such call about this guest goes wrong, until null. */
  faultOn(uuid: string, op: SaveCall['op'], fault: SaveFault | null): void {
    if (fault === null) this.#saveFaults.delete(`${uuid} ${op}`);
    else this.#saveFaults.set(`${uuid} ${op}`, fault);
  }

  /** No guest starts under this label, whoever starts it; null: it does again. */
  refuseLabel(label: string, message: string | null): void {
    if (message === null) this.#refusedLabels.delete(label);
    else this.#refusedLabels.set(label, message);
  }

  /** libvirt is busy with someone else's call about the guest, or not: its disks are not asked for. */
  occupy(uuid: string, occupied: boolean): void {
    if (occupied) this.#occupied.add(uuid);
    else this.#occupied.delete(uuid);
  }

  /** libvirt answers every call about the guest with this error; null: no more. */
  refuse(uuid: string, message: string | null): void {
    if (message === null) this.#refusals.delete(uuid);
    else this.#refusals.set(uuid, message);
  }

  /** libvirtd goes away. Before `start`: it is not there yet. */
  disconnect(reason = 'libvirtd closed the connection'): void {
    this.#reachable = false;
    this.#lastError = reason;
    if (!this.#connected) return;
    this.emit({ kind: 'disconnected', reason });
    this.#connected = false;
  }

  /** libvirtd is back. `emptyLists`: so many lists show no domain at all, as a daemon still loading might. */
  reconnect(options: { readonly emptyLists?: number } = {}): void {
    this.#reachable = true;
    this.#emptyLists = options.emptyLists ?? 0;
    this.#connect();
  }

  // The client.

  async start(_signal: AbortSignal): Promise<void> {
    if (this.#reachable && this.#options.uri !== null) this.#connect();
  }

  async stop(): Promise<void> {
    this.#connected = false;
    this.#lastError = 'stopped';
  }

  status(): LibvirtStatus {
    const version = this.#connections > 0 ? '9.0.0' : null;
    return {
      uri: this.#options.uri === undefined ? 'fake:///' : this.#options.uri,
      connected: this.#connected,
      libraryVersion: version,
      daemonVersion: version,
      lastError: this.#connected ? null : this.#lastError,
      quarantined: [
        ...new Set([
          ...this.#quarantined,
          ...[...this.#hangingSaves].flatMap(([uuid, { overran }]) => (overran ? [uuid] : [])),
        ]),
      ],
      abandonedWorkers: this.#quarantined.size,
      reconnects: Math.max(0, this.#connections - 1),
    };
  }

  onEvent(listener: (event: LibvirtEvent) => void): void {
    this.#listeners.push(listener);
  }

  async list(): Promise<LibvirtOutcome<readonly ListedDomain[]>> {
    const failure = await this.#reach({ op: 'list', uuid: null });
    if (failure !== null) return failure;
    if (this.#emptyLists > 0) {
      this.#emptyLists--;
      return { ok: true, value: [] };
    }
    const value = [...this.#domains.values()].map(({ uuid, name, persistent, facts }) => {
      return { uuid, name, id: facts.id, state: facts.state, persistent };
    });
    return { ok: true, value };
  }

  async facts(uuid: string): Promise<LibvirtOutcome<DomainFacts>> {
    const failure = await this.#reach({ op: 'facts', uuid });
    if (failure !== null) return failure;
    const domain = this.#domains.get(uuid);
    if (domain === undefined) return vanished('no such domain');
    const { name, persistent } = domain;
    const definition = persistent ? domain.definition : null;
    const definitionSeclabels = persistent ? domain.definitionSeclabels : null;
    const managedSave = domain.facts.id === null && (domain.saved !== null || domain.half);
    const facts = { ...domain.facts, uuid, name, persistent, definition, definitionSeclabels, managedSave };
    return { ok: true, value: structuredClone(facts) };
  }

  async tune(uuid: string, id: number | null, calls: readonly TuneCall[]): Promise<LibvirtOutcome<null>> {
    if (calls.length === 0) return { ok: true, value: null };
    const failure = await this.#reach({ op: 'tune', uuid, calls });
    if (failure !== null) return failure;
    if (!this.#domains.has(uuid)) return vanished('no such domain');
    const other = this.#otherInstance(uuid, id ?? Number.NaN);
    const made = calls.filter(({ call }) => other === null || call === 'seclabel');
    return this.#tune(uuid, made) ?? (made.length < calls.length ? other : null) ?? { ok: true, value: null };
  }

  async disks(uuid: string, id: number, options?: DisksOptions): Promise<LibvirtOutcome<readonly DiskReading[]>> {
    const failure = (await this.#reach({ op: 'disks', uuid })) ?? this.#otherInstance(uuid, id);
    if (failure !== null) return failure;
    const domain = this.#domain(uuid);
    if (this.#occupied.has(uuid)) {
      return { ok: false, failure: 'refused', message: 'libvirt is busy with another call about this guest' };
    }
    const readings = domain.facts.tuning.disks.map((disk) => reading(domain, disk));
    const value = options?.histograms === true ? readings.map((one) => withHistograms(domain, one)) : readings;
    return { ok: true, value: structuredClone(value) };
  }

  async setOriginals(uuid: string, id: number, xml: string | null): Promise<LibvirtOutcome<null>> {
    const failure = (await this.#reach({ op: 'setOriginals', uuid, xml })) ?? this.#otherInstance(uuid, id);
    if (failure !== null) return failure;
    this.#change(uuid, { originalsXml: xml });
    this.emit({ kind: 'metadata', uuid });
    return { ok: true, value: null };
  }

  managedSave(uuid: string, id: number, options: SaveOptions): Promise<LibvirtOutcome<null>> {
    return this.#saving({ op: 'managedSave', uuid }, options, () => {
      const other = this.#otherInstance(uuid, id);
      if (other === null) this.saveGuest(uuid, options.paused);
      return other ?? { ok: true, value: null };
    });
  }

  async abortJob(uuid: string): Promise<LibvirtOutcome<null>> {
    const abort = this.#hangingSaves.get(uuid)?.abort;
    return this.#saving({ op: 'abortJob', uuid }, {}, () => {
      abort?.();
      const message = 'Requested operation is not valid: no job is active on the domain';
      return abort ? { ok: true, value: null } : { ok: false, failure: 'refused', message };
    });
  }

  hasManagedSave(uuid: string): Promise<LibvirtOutcome<boolean>> {
    const has = () => this.#domain(uuid).saved !== null || this.#domain(uuid).half;
    return this.#saving({ op: 'hasManagedSave', uuid }, {}, () => ({ ok: true, value: has() }));
  }

  managedSaveXml(uuid: string): Promise<LibvirtOutcome<SavedImage>> {
    return this.#saving({ op: 'managedSaveXml', uuid }, {}, () => {
      const { saved, half } = this.#domain(uuid);
      return saved === null ? noImage(half) : { ok: true, value: { seclabels: structuredClone(saved.seclabels) } };
    });
  }

  managedSaveDefine(uuid: string, text: string): Promise<LibvirtOutcome<null>> {
    return this.#saving({ op: 'managedSaveDefine', uuid, text }, {}, () => {
      const domain = this.#domain(uuid);
      if (domain.saved === null) return noImage(domain.half);
      const edited = applySeclabel(domain.saved.seclabels, text);
      if (!edited.ok) return { ok: false, failure: 'refused', message: edited.message };
      domain.saved = { ...domain.saved, seclabels: edited.seclabels };
      return { ok: true, value: null };
    });
  }

  startGuest(uuid: string, options: StartOptions): Promise<LibvirtOutcome<number>> {
    return this.#saving({ op: 'startGuest', uuid }, options, () => {
      const domain = this.#domain(uuid);
      if (domain.facts.id !== null) {
        const message = 'Requested operation is not valid: domain is already running';
        return { ok: false, failure: 'refused', message };
      }
      if (options.restoreOnly === true && domain.saved === null) return noImage(domain.half);
      const problem = this.#labelProblem(domain.saved?.seclabels ?? domain.definitionSeclabels);
      if (problem !== null) return { ok: false, failure: 'refused', message: problem };
      const wasPaused = domain.saved?.facts.state === 'paused';
      const id = this.beginStart(uuid);
      if (options.paused || wasPaused) {
        this.#lifecycle(uuid, 'started', this.#restoring.has(uuid) ? 2 : 0);
        this.setState(uuid, 'paused');
      } else {
        this.finishStart(uuid);
      }
      return { ok: true, value: id };
    });
  }

  suspend(uuid: string, id: number): Promise<LibvirtOutcome<null>> {
    return this.#setRunning('suspend', uuid, id);
  }

  resume(uuid: string, id: number): Promise<LibvirtOutcome<null>> {
    return this.#setRunning('resume', uuid, id);
  }

  #setRunning(op: 'suspend' | 'resume', uuid: string, id: number): Promise<LibvirtOutcome<null>> {
    return this.#saving({ op, uuid }, {}, () => {
      const other = this.#otherInstance(uuid, id);
      if (other !== null) return other;
      const state = op === 'suspend' ? 'paused' : 'running';
      if (this.#domain(uuid).facts.state !== state) this.setState(uuid, state);
      return { ok: true, value: null };
    });
  }

  /** A call of saving.ts, with the fault that was ordered for it. */
  async #saving<T>(
    call: FakeCall & { readonly op: SaveCall['op']; readonly uuid: string },
    options: Partial<SaveOptions & StartOptions>,
    make: () => LibvirtOutcome<T>,
  ): Promise<LibvirtOutcome<T>> {
    const { op, uuid } = call;
    if (this.#hangingSaves.has(uuid) && op !== 'abortJob') {
      return { ok: false, failure: 'quarantined', message: 'an earlier call about this domain has not come back yet' };
    }
    if (options.signal?.aborted) return { ok: false, failure: 'withdrawn', message: 'not begun: it was called off' };
    const failure = await this.#reach(call);
    if (failure !== null) return failure;
    if (!this.#domains.has(uuid)) return vanished('no such domain');
    const fault = this.#saveFaults.get(`${uuid} ${op}`);
    switch (fault?.kind) {
      case 'refuse':
        return { ok: false, failure: 'refused', message: fault.message };
      case 'die': {
        if (fault.when === 'after') make();
        else if (op === 'managedSave') this.#domain(uuid).half = true;
        this.disconnect('libvirtd died');
        return this.#disconnected();
      }
      case 'hang':
        return this.#hangSave(uuid, op, fault, options, make);
      default:
        return make();
    }
  }

  async #hangSave<T>(
    uuid: string,
    op: SaveCall['op'],
    fault: Extract<SaveFault, { kind: 'hang' }>,
    { abortAfterMs, deadlineMs, signal }: Partial<SaveOptions & StartOptions>,
    make: () => LibvirtOutcome<T>,
  ): Promise<LibvirtOutcome<T>> {
    const wasRunning = this.#domain(uuid).facts.state === 'running';
    if (op === 'managedSave' && wasRunning) this.setState(uuid, 'paused');
    const goOn = () => {
      if (op === 'managedSave' && wasRunning) this.setState(uuid, 'running');
    };
    const late = () => {
      goOn();
      if (fault.takesEffect === true) make();
    };
    const overrun = new Promise<'overrun'>((resolve) => {
      setTimeout(() => resolve('overrun'), abortAfterMs ?? deadlineMs ?? this.#options.deadlineMs ?? 20);
      signal?.addEventListener('abort', () => resolve('overrun'));
    });
    const aborted = new Promise<'aborted'>((resolve) => {
      const abort = op === 'managedSave' && fault.ignoresAbort !== true ? () => resolve('aborted') : null;
      this.#hangingSaves.set(uuid, { abort, late, overran: false });
    });
    const how = await Promise.race([overrun, aborted]);
    if (how === 'aborted' || (op === 'managedSave' && fault.ignoresAbort !== true)) {
      this.#hangingSaves.delete(uuid);
      goOn();
      const message = 'operation aborted: domain save job: canceled by client';
      return { ok: false, failure: how === 'aborted' ? 'refused' : 'timeout', message };
    }
    const hanging = this.#hangingSaves.get(uuid);
    if (hanging !== undefined) hanging.overran = true;
    return { ok: false, failure: 'timeout', message: `${op} has not come back, and may still take effect` };
  }

  #labelsOf(asked: readonly DomainSeclabel[]): readonly DomainSeclabel[] {
    if (this.#options.selinux !== true) return asked;
    return liveSeclabels(asked, () => {
      const first = this.#nextCategory;
      this.#nextCategory += 2;
      return `c${first},c${first + 1}`;
    });
  }

  /** Why no guest can start with these; null when one can. */
  #labelProblem(asked: readonly DomainSeclabel[]): string | null {
    const ours = asked.find(({ model }) => model === 'selinux');
    if (ours !== undefined && this.#options.selinux !== true) {
      return "unsupported configuration: Security driver model 'selinux' is not available";
    }
    return this.#refusedLabels.get(ours?.label ?? '') ?? null;
  }

  #connect(): void {
    if (this.#connected) return;
    this.#connected = true;
    this.#connections++;
    this.emit({ kind: 'connected' });
  }

  /** Takes the time a call takes, and fails as told. */
  async #reach(call: FakeCall): Promise<Failed | null> {
    const { uuid } = call;
    if (!this.#connected) return this.#disconnected();
    if (uuid !== null && this.#quarantined.has(uuid)) {
      return { ok: false, failure: 'quarantined', message: 'an earlier call about this domain has not come back yet' };
    }
    this.calls.push(call);
    if (uuid !== null && this.#hanging.has(uuid)) {
      await elapse(this.#options.deadlineMs ?? 20);
      if (this.#hanging.has(uuid)) this.#quarantined.add(uuid);
      return { ok: false, failure: 'timeout', message: 'libvirt has not answered in time' };
    }
    // Never in the same turn, as with a real libvirt.
    await elapse(this.#latencyMs);
    if (!this.#connected) return this.#disconnected();
    const refusal = uuid === null ? undefined : this.#refusals.get(uuid);
    return refusal === undefined ? null : { ok: false, failure: 'refused', message: refusal };
  }

  #disconnected(): Failed {
    return { ok: false, failure: 'disconnected', message: `no connection to libvirt: ${this.#lastError}` };
  }

  #otherInstance(uuid: string, id: number): Failed | null {
    const now = this.#domains.get(uuid)?.facts.id;
    return now === id ? null : vanished(`the domain does not run as ${id}`);
  }

  /** As libvirt does it: every call, whatever becomes of the others; the first failure. */
  #tune(uuid: string, calls: readonly TuneCall[]): Failed | null {
    let first: Failed | null = null;
    const made: TuneCall[] = [];
    const announcements: Readonly<Record<string, string>>[] = [];
    for (const call of calls) {
      const domain = this.#domain(uuid);
      if (call.call === 'seclabel') {
        const problem = this.#tuneSeclabel(domain, call.text);
        if (problem === null) made.push(call);
        else first ??= { ok: false, failure: 'refused', message: `label: ${problem}` };
        continue;
      }
      if (call.call === 'histogram') {
        domain.tainted = true;
        if (call.boundariesNs === null) domain.histograms.delete(call.disk);
        else domain.histograms.set(call.disk, call.boundariesNs);
      }
      const tuned = applyTune(domain.facts.tuning, domain.facts.vcpusOnline, call);
      if (!tuned.ok) {
        first ??= { ok: false, failure: 'refused', message: tuned.message };
        continue;
      }
      this.#change(uuid, { tuning: tuned.tuning });
      if (call.call === 'throttle') domain.behindLibvirt.delete(call.disk);
      made.push(call);
      if (tuned.announced !== null) announcements.push(tuned.announced);
    }
    if (made.length > 0) this.#options.onTune?.(uuid, made);
    for (const parameters of announcements) this.emit({ kind: 'tunable', uuid, parameters });
    return first;
  }

  #tuneSeclabel(domain: FakeDomain, text: string): string | null {
    if (!domain.persistent) return 'a transient domain has no definition that could say it';
    const edited = applySeclabel(domain.definitionSeclabels, text);
    if (!edited.ok) return edited.message;
    if (edited.seclabels !== domain.definitionSeclabels) this.defineSeclabels(domain.uuid, edited.seclabels);
    return null;
  }

  #withTap(device: InterfaceDevice): InterfaceDevice {
    const wants = device.device === null && supportsBandwidth(device.type);
    return wants ? { ...device, device: `vnet${this.#nextTap++}` } : device;
  }

  #changeTuning(uuid: string, change: (tuning: Tuning) => Partial<Tuning>): void {
    const { tuning } = this.#domain(uuid).facts;
    this.#change(uuid, { tuning: { ...tuning, ...change(tuning) } });
  }

  #change(uuid: string, change: Partial<FakeDomain['facts']>): void {
    const domain = this.#domain(uuid);
    domain.facts = { ...domain.facts, ...change };
  }

  #lifecycle(uuid: string, event: LifecycleEvent, detail = 0): void {
    this.emit({ kind: 'lifecycle', uuid, name: this.#domain(uuid).name, event, detail });
  }

  #domain(uuid: string): FakeDomain {
    const domain = this.#domains.get(uuid);
    if (domain === undefined) throw new Error(`the fake has no domain ${uuid}`);
    return domain;
  }
}

/** What QEMU says of a disk, as disk-readings.ts gives it. */
function reading(domain: FakeDomain, disk: DiskDevice): DiskReading {
  const { target, empty, sourceType, throttle } = disk;
  if (sourceType === 'vhostuser') {
    return { target, throttle: null, throttleProblem: 'block I/O throttling is not supported', counters: null };
  }
  const counters = domain.counters.get(target) ?? NO_COUNTERS;
  if (empty) {
    return { target, throttle: null, throttleProblem: 'internal error: block_io_throttle', counters };
  }
  const now = canonicalThrottle(domain.behindLibvirt.get(target) ?? throttle);
  return { target, throttle: now, throttleProblem: null, counters };
}

function withHistograms({ histograms }: FakeDomain, one: DiskReading): DiskReading {
  const boundariesNs = histograms.get(one.target);
  const empty = boundariesNs && { boundariesNs, bins: [...boundariesNs.map(() => 0), 0], totalNs: 0 };
  const kind = empty ?? null;
  return { ...one, histograms: { reads: kind, writes: kind, flushes: kind }, histogramProblem: null };
}

export function uuidOfName(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}

function vanished(message: string): Failed {
  return { ok: false, failure: 'vanished', message };
}

function noImage(half: boolean): Failed {
  const message = half
    ? 'operation failed: save image is incomplete'
    : 'Requested operation is not valid: domain does not have managed save image';
  return { ok: false, failure: 'refused', message };
}

function elapse(ms: number): Promise<void> {
  return new Promise((resolve) => (ms > 0 ? setTimeout(resolve, ms) : setImmediate(resolve)));
}
