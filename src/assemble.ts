/**
 * Wires the parts of the core: inventory, policies, journal, reconciler. The daemon runs it; a lone command opens it for
 * one look or one action. Nothing starts here.
 */
import { cpus, totalmem } from 'node:os';
import type { Config } from './config/types.js';
import { CONTROLS } from './controls/registry.js';
import { Arrivals } from './domains/arrivals.js';
import { CpuAccounts } from './domains/cpu-accounts.js';
import { deviceSight } from './domains/device-sight.js';
import { DiskReadings } from './domains/disk-readings.js';
import type { DomainHandles } from './domains/handles.js';
import { Inventory } from './domains/inventory.js';
import type { Domain } from './domains/types.js';
import { type CpuHierarchy, findCpuHierarchy } from './host/cgroup/layout.js';
import { type GroupChange, GroupWatcher } from './host/cgroup/watch.js';
import { type Clock, systemClock } from './host/clock.js';
import type { LibvirtClient } from './host/libvirt/client.js';
import { connectLibvirt } from './host/libvirt/connect.js';
import { type SystemdProperties, systemdProperties } from './host/systemd/properties.js';
import type { Log } from './log.js';
import { type LoadResult, loadPolicyDirectory } from './policy/loader.js';
import { Attribution } from './reconcile/attribution.js';
import { Contention } from './reconcile/contested.js';
import { Counters } from './reconcile/counters.js';
import { planAsIfManaged } from './reconcile/cycle.js';
import { Gate } from './reconcile/gate.js';
import { Generations } from './reconcile/generations.js';
import { GuestEvents } from './reconcile/guest-events.js';
import { HandsOffRegister } from './reconcile/hands-off.js';
import { History } from './reconcile/history.js';
import { Journal } from './reconcile/journal.js';
import { Memory } from './reconcile/memory.js';
import { Operator } from './reconcile/operator.js';
import type { Parts } from './reconcile/parts.js';
import { Picture } from './reconcile/picture.js';
import { classUnder } from './reconcile/reach.js';
import { Reconciler } from './reconcile/reconciler.js';
import { Teller } from './reconcile/tell.js';
import { setUnit } from './reconcile/unit-properties.js';
import { SnapshotBuilder } from './snapshot/build.js';

export interface Core {
  readonly parts: Parts;
  readonly libvirt: LibvirtClient;
  readonly watcher: GroupWatcher;
  readonly arrivals: Arrivals | null;
  readonly events: GuestEvents;
  readonly reconciler: Reconciler;
  readonly operator: Operator;
  readonly snapshots: SnapshotBuilder;
}

export interface AssembleOptions {
  readonly config: Config;
  readonly log: Log;
  readonly version: string;
  /** False: nothing is written anywhere, not even our own state; for `plan` and `explain`. */
  readonly write: boolean;
  /** Watch groups with inotify: the daemon does, a lone command does not. */
  readonly watch: boolean;
  onCycle(seconds: number): void;
  /** What a test puts in the place of the real part. */
  readonly instead?: {
    readonly clock?: Clock;
    readonly libvirt?: LibvirtClient;
    readonly systemd?: SystemdProperties;
    readonly hierarchy?: CpuHierarchy;
    readonly loadPolicies?: () => Promise<LoadResult>;
    readonly sample?: () => Promise<void>;
  };
}

export function assemble(options: AssembleOptions): Core {
  const { config, log } = options;
  const { instead = {} } = options;
  const clock = instead.clock ?? systemClock;
  const hierarchy = instead.hierarchy ?? findCpuHierarchy(config.paths.cgroup);
  const libvirt = instead.libvirt ?? connectLibvirt({ uri: config.libvirtUri, log });
  const host = {
    cores: cpus().length,
    cpuVersion: hierarchy?.version ?? 2,
    memoryBytes: totalmem(),
    pageBytes: PAGE_BYTES,
    weightless: new Map<string, string | null>(),
  } as const;
  const accounts = new CpuAccounts(config.paths.proc);

  const ownerOf = new Map<string, string>();
  const watcher = new GroupWatcher((change: GroupChange) => {
    if (arrivals?.handle(change) === true) return;
    const uuid = ownerOf.get(change.directory);
    if (uuid === undefined) return;
    core.events.onGroup(uuid, change);
    const handles = inventory.handles(uuid);
    // A vCPU that is plugged in again has a new directory under the old name.
    if (change.kind === 'created' && handles !== null) watchVcpus(uuid, handles);
  });
  const arrivals =
    hierarchy === null || !options.watch
      ? null
      : new Arrivals({
          hierarchy,
          procRoot: config.paths.proc,
          watcher,
          onArrival: (uuid, pid) => void core.events.onArrival(uuid, pid),
        });

  const watchGroups = (uuid: string, directories: readonly string[]): void => {
    if (!options.watch) return;
    for (const directory of directories) if (watcher.add(directory)) ownerOf.set(directory, uuid);
  };
  const watchVcpus = (uuid: string, handles: DomainHandles): void =>
    watchGroups(
      uuid,
      handles.vcpuGroups().map((vcpu) => handles.vcpuDirectory(vcpu)),
    );
  const disks: DiskReadings = new DiskReadings({
    libvirt,
    monotonicMs: clock.monotonicMs,
    onLearnt: (uuid) => core.reconciler.request(uuid),
  });
  const systemd = instead.systemd ?? systemdProperties({ log });
  const inventory = new Inventory({
    devices: deviceSight(disks, () => null),
    hierarchy,
    procRoot: config.paths.proc,
    runLibvirt: config.paths.runLibvirt,
    libvirt,
    onOpened: (uuid, handles) => {
      const { domainDir, weightDir } = handles.cgroup;
      watchGroups(uuid, [domainDir, weightDir]);
      watchVcpus(uuid, handles);
      arrivals?.addParentOf(weightDir);
    },
    onClosed: (uuid) => {
      accounts.forget(uuid);
      for (const [directory, owner] of [...ownerOf]) {
        if (owner !== uuid) continue;
        ownerOf.delete(directory);
        watcher.remove(directory);
      }
    },
    onVcpus: watchVcpus,
  });

  const generations = new Generations({
    stateDir: config.stateDir,
    load: instead.loadPolicies ?? (() => loadPolicyDirectory(config.policyDir)),
    clock,
    blastRadius: config.blastRadius,
    persist: options.write && config.mode === 'enforce',
  });
  const journal = new Journal(config.stateDir, clock);
  const handsOff = new HandsOffRegister(config.stateDir, clock);
  const gate = new Gate(options.write ? config : { ...config, mode: 'observe' });
  const contention = new Contention();
  const memory = new Memory();
  const tellFailures = new Map<string, string>();
  const teller = new Teller({
    libvirt,
    setUnit: (unit) => setUnit(systemd, unit),
    monotonicMs: clock.monotonicMs,
    onDone: (errand, outcome) => core.events.onTold(errand, outcome),
    mayTell: ({ uuid }) => gate.stop() === null && handsOff.of(uuid)?.kind !== 'held',
    onIdle: (uuid) => core.reconciler.request(uuid),
    onDefect: ({ uuid, subject }, error) =>
      log.error('libvirt.tell_failed', { uuid, control: subject, reason: error.message }),
  });

  const manages = ({ uuid, name }: Domain): boolean => {
    const { uuids, names } = config.manage;
    if (uuids === null && names === null) return true;
    return (uuids?.includes(uuid) ?? false) || (names?.includes(name) ?? false);
  };
  const classOf = (domain: Domain) =>
    generations.active === null || !manages(domain) ? null : classUnder(generations.active, domain, clock.nowMs());

  const picture = new Picture({
    handsOff: (uuid) => handsOff.of(uuid),
    record: (uuid, control) => journal.get(uuid, control),
    classOf,
    asIfManaged: (domain) => planAsIfManaged(parts, domain),
    sight: (uuid) => inventory.sight(uuid),
    stopped: () => gate.stop(),
    tellFailure: (uuid, control) => tellFailures.get(`${uuid} ${control}`) ?? null,
    contention,
    monotonicMs: clock.monotonicMs,
    cpu: (uuid) => accounts.of(uuid),
  });

  const parts: Parts = {
    clock,
    log,
    host,
    controls: CONTROLS,
    inventory,
    disks,
    generations,
    journal,
    handsOff,
    gate,
    contention,
    memory,
    teller,
    picture,
    looked: () => disks.idle(),
    manages,
    classOf,
    tellFailures,
    attribution: new Attribution(),
    counters: new Counters(CONTROLS.filter(({ built }) => built).map(({ id }) => id)),
    history: new History(config.stateDir),
  };
  const reconciler = new Reconciler({
    parts,
    cycleMs: config.cycleSeconds * 1000,
    sample: instead.sample ?? (() => accounts.sample(inventory, clock.monotonicMs)),
    onCycle: options.onCycle,
  });
  const snapshots = new SnapshotBuilder({ parts, reconciler, libvirt, config, version: options.version, hierarchy });
  const core: Core = {
    parts,
    libvirt,
    watcher,
    arrivals,
    reconciler,
    snapshots,
    events: new GuestEvents(parts, reconciler),
    operator: new Operator(parts, reconciler, () => snapshots.build()),
  };
  return core;
}
