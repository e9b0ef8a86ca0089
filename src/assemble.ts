/**
 * Wires the parts of the core: inventory, policies, journal, reconciler. The daemon runs it; a lone command opens it for
 * one look or one action. Nothing starts here.
 */
import { cpus, totalmem } from 'node:os';
import { join } from 'node:path';
import { ServiceLevels } from './accounting/service-levels.js';
import { assembleGuests, type Guests, type GuestsInstead } from './assemble-guests.js';
import { assembleLabels, type SecurityInstead } from './assemble-labels.js';
import type { Config } from './config/types.js';
import type { HostFacts } from './controls/control.js';
import { CONTROLS } from './controls/registry.js';
import type { Domain } from './domains/types.js';
import { Group } from './host/cgroup/group.js';
import { findHierarchies, type Hierarchies } from './host/cgroup/layout.js';
import { pageBytes } from './host/cgroup/page-bytes.js';
import { type Clock, systemClock } from './host/clock.js';
import { onlineCpus } from './host/cpus.js';
import type { LibvirtClient } from './host/libvirt/client.js';
import { connectLibvirt } from './host/libvirt/connect.js';
import { readBootId } from './host/proc/qemu-processes.js';
import { SloStore } from './host/slo-store/store.js';
import { type SystemdProperties, systemdProperties } from './host/systemd/properties.js';
import type { Log } from './log.js';
import { type LoadResult, loadPolicyDirectory } from './policy/loader.js';
import { writeGroupFile, writeGroupFileLater } from './reconcile/apply.js';
import { Attribution } from './reconcile/attribution.js';
import { Contention } from './reconcile/contested.js';
import { Counters } from './reconcile/counters.js';
import { planAsIfManaged } from './reconcile/cycle.js';
import { Gate } from './reconcile/gate.js';
import { Generations } from './reconcile/generations.js';
import { GuestEvents } from './reconcile/guest-events.js';
import { HandsOffRegister } from './reconcile/hands-off.js';
import { History } from './reconcile/history.js';
import { IoCost } from './reconcile/host-controls/io-cost.js';
import { IO_COST_CONTROL } from './reconcile/host-controls/plan-io-cost.js';
import { SliceGuarantees } from './reconcile/host-controls/slice-guarantees.js';
import { SLICE_CONTROL } from './reconcile/host-controls/slice-plan.js';
import { Journal } from './reconcile/journal.js';
import { launchedClass } from './reconcile/labels/launched.js';
import { Memory } from './reconcile/memory.js';
import { Operator } from './reconcile/operator.js';
import type { Parts } from './reconcile/parts.js';
import { Picture } from './reconcile/picture.js';
import { classUnder } from './reconcile/reach.js';
import { Reconciler } from './reconcile/reconciler.js';
import { Teller } from './reconcile/tell.js';
import { settledUnit, setUnit } from './reconcile/unit-properties.js';
import { SnapshotBuilder } from './snapshot/build.js';

export interface Core {
  readonly parts: Parts;
  readonly libvirt: LibvirtClient;
  readonly guests: Guests;
  readonly systemd: SystemdProperties;
  readonly events: GuestEvents;
  readonly reconciler: Reconciler;
  readonly operator: Operator;
  readonly snapshots: SnapshotBuilder;
  readonly serviceLevels: ServiceLevels;
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
  readonly instead?: GuestsInstead & {
    readonly clock?: Clock;
    readonly libvirt?: LibvirtClient;
    readonly systemd?: SystemdProperties;
    readonly hierarchies?: Hierarchies;
    readonly host?: Omit<HostFacts, 'cpuVersion'>;
    readonly loadPolicies?: () => Promise<LoadResult>;
    readonly sample?: () => Promise<void>;
    readonly security?: Partial<SecurityInstead>;
  };
}

export function assemble(options: AssembleOptions): Core {
  const { config, log } = options;
  const { instead = {} } = options;
  const clock = instead.clock ?? systemClock;
  const hierarchies = instead.hierarchies ?? findHierarchies(config.paths.cgroup, instead.cgroupFiles);
  const hierarchy = hierarchies.cpu ?? null;
  const libvirt = instead.libvirt ?? connectLibvirt({ uri: config.libvirtUri, log });
  const systemd = instead.systemd ?? systemdProperties({ log });
  const host = {
    cores: cpus().length,
    cpus: onlineCpus(),
    cpuVersion: hierarchy?.version ?? 2,
    memoryBytes: totalmem(),
    pageBytes: pageBytes(),
    ...instead.host,
  } as const;
  const guests = assembleGuests({
    config,
    clock,
    libvirt,
    hierarchies,
    instead,
    watch: options.watch,
    onGroup: (uuid, change) => core.events.onGroup(uuid, change),
    onArrival: (uuid, pid) => void core.events.onArrival(uuid, pid),
    onLearnt: (uuid) => core.reconciler.request(uuid),
    cpuTerms: (domain) => core.serviceLevels.cpuTerms(domain),
  });
  const { inventory, disks, hostDevices, accounts } = guests;

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
    setUnit: (unit, mayBegin) => setUnit(systemd, unit, mayBegin),
    settledUnit: (unit) => settledUnit(systemd, unit),
    monotonicMs: clock.monotonicMs,
    onDone: (errand, outcome) => core.events.onTold(errand, outcome),
    // A guest that is being saved answers no call; one that waits for it would put the guest into quarantine.
    mayTell: ({ uuid }) =>
      gate.stop() === null && handsOff.of(uuid)?.kind !== 'held' && !labels.saveRestore.isUnderWay(uuid),
    onIdle: (uuid) => core.reconciler.request(uuid),
    onDefect: ({ uuid, subject }, error) =>
      log.error('libvirt.tell_failed', { uuid, control: subject, reason: error.message }),
  });

  const manages = ({ uuid, name }: Domain): boolean => {
    const { uuids, names } = config.manage;
    if (uuids === null && names === null) return true;
    return (uuids?.includes(uuid) ?? false) || (names?.includes(name) ?? false);
  };
  const classOf = (domain: Domain) => {
    const { active } = generations;
    if (active === null || !manages(domain)) return null;
    const nowMs = clock.nowMs();
    return launchedClass(labels.register, active, domain, nowMs) ?? classUnder(active, domain, nowMs);
  };

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
    signals: (uuid) => accounts.of(uuid),
    objectives: (uuid) => core.serviceLevels.stateOf(uuid),
    isSuspended: (domain) => labels.actions.suspended(domain),
    saveRestore: (uuid) => labels.saveRestore.of(uuid),
  });

  const counters = new Counters([
    ...CONTROLS.filter(({ built }) => built).map(({ id }) => id),
    IO_COST_CONTROL,
    SLICE_CONTROL,
  ]);
  const history = new History(config.stateDir);
  const onHost = {
    ...{ clock, contention, counters, gate, history, journal, log },
    bootId: readBootId(config.paths.proc),
    openGroup: (directory: string) => Group.open(directory, instead.cgroupFiles),
  };
  const slices = new SliceGuarantees({
    ...onHost,
    handsOff,
    systemd,
    hostMemoryBytes: host.memoryBytes,
    write: writeGroupFile,
  });
  const ioCost = new IoCost({
    ...onHost,
    root: hierarchies.io?.version === 2 ? hierarchies.io.root : null,
    write: writeGroupFileLater,
    diskQueue: (device) => hostDevices.queueOf(device),
    switched: (device) => hostDevices.learnKeeper(device),
  });

  const labels = assembleLabels({
    config,
    clock,
    log,
    libvirt,
    inventory,
    journal,
    gate,
    handsOff,
    generations,
    counters,
    host,
    instead: instead.security ?? {},
    usedBytes: (uuid) => accounts.of(uuid).memory?.usedBytes ?? null,
    classOf,
    write: options.write,
    onLearnt: (uuid) => core.reconciler.request(uuid),
  });

  const parts: Parts = {
    clock,
    log,
    host,
    controls: CONTROLS,
    inventory,
    disks,
    hostDevices,
    generations,
    journal,
    handsOff,
    gate,
    contention,
    memory,
    teller,
    picture,
    looked: async () => {
      await hostDevices.idle();
      await disks.idle();
      await labels.look();
    },
    manages,
    classOf,
    tellFailures,
    attribution: new Attribution(),
    counters,
    history,
    slices,
    labels,
    ioCost,
  };
  const reconciler = new Reconciler({
    parts,
    cycleMs: config.cycleSeconds * 1000,
    sample:
      instead.sample ??
      (async () => {
        // Beside a daemon, which has rounds of its own, a lone command asks only what it shows.
        const askable = inventory.all().filter(({ uuid }) => !labels.saveRestore.isUnderWay(uuid));
        if (options.write) disks.nextRound(askable, config.cycleSeconds * 1000);
        await accounts.sample(inventory);
        await core.serviceLevels.account();
      }),
    onCycle: options.onCycle,
  });
  const serviceLevels = new ServiceLevels({
    clock,
    inventory,
    accounts,
    picture: (uuid) => picture.get(uuid),
    classOf,
    generation: () => generations.active,
    defects: { log, count: () => counters.cycleFailures++ },
    store: options.write && options.watch ? new SloStore(join(config.stateDir, 'slo')) : null,
  });
  const snapshots = new SnapshotBuilder({
    parts,
    reconciler,
    libvirt,
    config,
    version: options.version,
    hierarchy,
    hostPressure: () => accounts.hostPressure,
    serviceLevels,
  });
  const core: Core = {
    parts,
    libvirt,
    guests,
    systemd,
    reconciler,
    snapshots,
    serviceLevels,
    events: new GuestEvents(parts, reconciler),
    operator: new Operator(parts, reconciler, () => snapshots.build()),
  };
  return core;
}
