/**
 * libvirt in memory, for tests of whatever uses a LibvirtClient: a few domains, what virsh would do to them, and faults
 * on demand. Held to the same contract suite as the real client (test/libvirt/client-contract.ts).
 *
 *     const libvirt = new FakeLibvirt();
 *     const db = libvirt.define({ name: 'db-1', vcpus: 2 });
 *     libvirt.startDomain(db);               // emits resumed, started
 *     libvirt.hang(db);                      // its next call: timeout, then quarantined until recover(db)
 *     libvirt.disconnect('killed'); libvirt.reconnect({ emptyLists: 1 });
 */
import { createHash } from 'node:crypto';
import type { CpuTune, DomainFacts, DomainState } from '../../src/domains/types.js';
import type {
  LibvirtClient,
  LibvirtEvent,
  LibvirtOutcome,
  LibvirtStatus,
  LifecycleEvent,
  ListedDomain,
  SchedulerParameters,
} from '../../src/host/libvirt/client.js';
import type { XmlElement } from '../../src/policy/types.js';

export interface FakeDomainOptions {
  readonly name: string;
  /** Default: derived from the name. */
  readonly uuid?: string;
  readonly vcpus?: number;
  readonly vcpusMax?: number;
  readonly persistent?: boolean;
  readonly cputune?: Partial<CpuTune>;
  readonly title?: string;
  readonly description?: string;
  readonly metadata?: readonly XmlElement[];
  readonly originalsXml?: string;
}

export interface FakeLibvirtOptions {
  readonly uri?: string | null;
  /** After which a call about a hanging domain is answered `timeout`; default 20 ms. */
  readonly deadlineMs?: number;
  /** What libvirt does to the kernel when scheduler parameters are set, by us or by anyone. */
  readonly onScheduler?: (uuid: string, parameters: SchedulerParameters) => void;
}

/** One call made of the client, in order. */
export interface FakeCall {
  readonly op: 'list' | 'facts' | 'setScheduler' | 'setOriginals';
  readonly uuid: string | null;
  readonly parameters?: SchedulerParameters;
  readonly xml?: string | null;
}

interface FakeDomain {
  readonly uuid: string;
  readonly name: string;
  readonly persistent: boolean;
  readonly persistentCputune: CpuTune;
  readonly definedOriginals: string | null;
  readonly definedVcpus: number;
  facts: Omit<DomainFacts, 'uuid' | 'name' | 'persistent' | 'persistentCputune'>;
}

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
  #latencyMs = 0;
  #emptyLists = 0;
  #nextId = 1;
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
    const cputune: CpuTune = { realtimeVcpus: false, ...options.cputune };
    const vcpus = options.vcpus ?? 1;
    this.#domains.set(uuid, {
      uuid,
      name: options.name,
      persistent: options.persistent ?? true,
      persistentCputune: cputune,
      definedOriginals: options.originalsXml ?? null,
      definedVcpus: vcpus,
      facts: {
        id: null,
        state: 'shutoff',
        title: options.title ?? '',
        description: options.description ?? '',
        metadata: options.metadata ?? [],
        vcpusOnline: vcpus,
        vcpusMax: options.vcpusMax ?? vcpus,
        cputune,
        originalsXml: options.originalsXml ?? null,
      },
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
    this.#change(uuid, { id, state: 'starting' });
    return id;
  }

  /** The guest runs. libvirt says resumed, then started. */
  finishStart(uuid: string): void {
    this.#change(uuid, { state: 'running' });
    this.#lifecycle(uuid, 'resumed');
    this.#lifecycle(uuid, 'started');
  }

  /** Live values end with the instance; a transient domain is gone. */
  stopDomain(uuid: string, event: 'stopped' | 'crashed' = 'stopped'): void {
    const domain = this.#domain(uuid);
    this.#change(uuid, {
      id: null,
      state: event === 'crashed' ? 'crashed' : 'shutoff',
      cputune: domain.persistentCputune,
      originalsXml: domain.definedOriginals,
      vcpusOnline: domain.definedVcpus,
    });
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

  setMetadata(uuid: string, metadata: readonly XmlElement[]): void {
    this.#change(uuid, { metadata });
    this.emit({ kind: 'metadata', uuid });
  }

  /** `virsh schedinfo --live`: someone else sets parameters through libvirt. */
  schedinfo(uuid: string, parameters: SchedulerParameters): void {
    this.#setScheduler(uuid, parameters);
  }

  id(uuid: string): number | null {
    return this.#domain(uuid).facts.id;
  }

  cputune(uuid: string): CpuTune {
    return this.#domain(uuid).facts.cputune;
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
    if (this.#quarantined.delete(uuid)) this.emit({ kind: 'recovered', uuid });
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
      quarantined: [...this.#quarantined],
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
    const persistentCputune = persistent ? domain.persistentCputune : null;
    return { ok: true, value: structuredClone({ ...domain.facts, uuid, name, persistent, persistentCputune }) };
  }

  async setScheduler(uuid: string, id: number, parameters: SchedulerParameters): Promise<LibvirtOutcome<null>> {
    const failure = (await this.#reach({ op: 'setScheduler', uuid, parameters })) ?? this.#otherInstance(uuid, id);
    if (failure !== null) return failure;
    this.#setScheduler(uuid, parameters);
    return { ok: true, value: null };
  }

  async setOriginals(uuid: string, id: number, xml: string | null): Promise<LibvirtOutcome<null>> {
    const failure = (await this.#reach({ op: 'setOriginals', uuid, xml })) ?? this.#otherInstance(uuid, id);
    if (failure !== null) return failure;
    this.#change(uuid, { originalsXml: xml });
    this.emit({ kind: 'metadata', uuid });
    return { ok: true, value: null };
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

  #setScheduler(uuid: string, parameters: SchedulerParameters): void {
    const { cpu_shares, vcpu_period, vcpu_quota } = parameters;
    this.#change(uuid, {
      cputune: {
        ...this.#domain(uuid).facts.cputune,
        ...(cpu_shares !== undefined && { shares: Number(cpu_shares) }),
        ...(vcpu_period !== undefined && { vcpuPeriodUsec: Number(vcpu_period) }),
        ...(vcpu_quota !== undefined && { vcpuQuotaUsec: Number(vcpu_quota) }),
      },
    });
    this.#options.onScheduler?.(uuid, parameters);
    const named = Object.entries(parameters).map(([name, value]) => [`cputune.${name}`, String(value)] as const);
    this.emit({ kind: 'tunable', uuid, parameters: Object.fromEntries(named) });
  }

  #change(uuid: string, change: Partial<FakeDomain['facts']>): void {
    const domain = this.#domain(uuid);
    domain.facts = { ...domain.facts, ...change };
  }

  #lifecycle(uuid: string, event: LifecycleEvent): void {
    this.emit({ kind: 'lifecycle', uuid, name: this.#domain(uuid).name, event, detail: 0 });
  }

  #domain(uuid: string): FakeDomain {
    const domain = this.#domains.get(uuid);
    if (domain === undefined) throw new Error(`the fake has no domain ${uuid}`);
    return domain;
  }
}

export function uuidOfName(name: string): string {
  const hex = createHash('sha256').update(name).digest('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20, 32)].join('-');
}

function vanished(message: string): Failed {
  return { ok: false, failure: 'vanished', message };
}

function elapse(ms: number): Promise<void> {
  return new Promise((resolve) => (ms > 0 ? setTimeout(resolve, ms) : setImmediate(resolve)));
}
