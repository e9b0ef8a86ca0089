/** Wires what is concerned with labels: the audit, the pairs of static labels, and what a class asks to be done. */
import type { Config } from './config/types.js';
import type { HostFacts } from './controls/control.js';
import { svirtLabel } from './controls/svirt-label.js';
import type { Inventory } from './domains/inventory.js';
import { isAlive } from './domains/locate.js';
import type { Domain } from './domains/types.js';
import type { Clock } from './host/clock.js';
import type { LibvirtClient } from './host/libvirt/client.js';
import { type FreeSpace, readSaveSpace } from './host/libvirt/save-space.js';
import { FileLabels } from './host/selinux/file-labels.js';
import type { FileLabelReader, ImageRelabeler, ProcessLabelReader, SecurityReader } from './host/selinux/ports.js';
import { readProcessLabel } from './host/selinux/process-label.js';
import { SecurityStatusReader } from './host/selinux/status.js';
import type { Log } from './log.js';
import type { EffectiveClass } from './policy/types.js';
import type { Counters } from './reconcile/counters.js';
import type { Gate } from './reconcile/gate.js';
import type { Generations } from './reconcile/generations.js';
import type { HandsOffRegister } from './reconcile/hands-off.js';
import type { Journal } from './reconcile/journal.js';
import { LabelActions } from './reconcile/labels/actions.js';
import { LabelAudit } from './reconcile/labels/audit.js';
import type { Labels } from './reconcile/labels/labels.js';
import { LabelPairs } from './reconcile/labels/pairs.js';
import { LabelRegister } from './reconcile/labels/register.js';
import { SaveRestore } from './reconcile/labels/save-restore.js';
import { type Candidate, candidateOf } from './reconcile/labels/save-restore-checks.js';
import { LabelState } from './reconcile/labels/state.js';

/** What a test puts in the place of the host's. */
export interface SecurityInstead {
  readonly status: SecurityReader;
  readonly processLabel: ProcessLabelReader;
  readonly images: FileLabelReader & ImageRelabeler;
  readonly saveSpace: () => Promise<FreeSpace>;
}

export interface LabelsOptions {
  readonly config: Config;
  readonly clock: Clock;
  readonly log: Log;
  readonly libvirt: LibvirtClient;
  readonly inventory: Inventory;
  readonly journal: Journal;
  readonly gate: Gate;
  readonly handsOff: HandsOffRegister;
  readonly generations: Generations;
  readonly counters: Counters;
  readonly host: HostFacts;
  readonly instead: Partial<SecurityInstead>;
  /** What is charged to the guest; null when that is not known. */
  usedBytes(uuid: string): number | null;
  classOf(domain: Domain): EffectiveClass | null;
  /** False for a lone look. */
  readonly write: boolean;
  onLearnt(uuid: string): void;
}

export function assembleLabels(options: LabelsOptions): Labels {
  const { classOf, clock, config, counters, gate, generations, handsOff, instead, inventory, libvirt, log } = options;
  const procRoot = config.paths.proc;
  const images = instead.images ?? new FileLabels();
  const processLabel = instead.processLabel ?? ((pid: number) => readProcessLabel(procRoot, pid));
  const register = LabelRegister.open({ stateDir: config.stateDir, procRoot, nowMs: () => clock.nowMs() });
  const state = new LabelState(config.stateDir, clock);
  const pairs = new LabelPairs({
    inventory,
    register,
    journal: options.journal,
    log,
    mayAssign: () => options.write && gate.stop() === null,
    classOf,
    isHandsOff: (uuid) => handsOff.of(uuid) !== null,
    hasPolicy: () => generations.active !== null,
  });
  const audit = new LabelAudit({
    inventory,
    status: instead.status ?? new SecurityStatusReader({ procRoot }),
    processLabel,
    fileLabels: images,
    pairs,
    log,
    classOf,
    isAlive: ({ process }) => process !== null && isAlive(process, procRoot),
  });
  const mayBegin = ({ uuid }: Domain): boolean => gate.stop() === null && handsOff.of(uuid) === null;
  const acting = { inventory, libvirt, processLabel, state, counters, log, classOf, nowMs: () => clock.nowMs() };
  const space = new SaveSpace(instead.saveSpace ?? (() => readSaveSpace(config.paths.libvirtSave, NEVER_MS)));
  const saveRestore: SaveRestore = new SaveRestore({
    ...acting,
    monotonicMs: () => clock.monotonicMs(),
    mayBegin,
    isKnown: (uuid) => inventory.complete && generations.active !== null && inventory.get(uuid)?.facts !== null,
    candidates: async () => {
      if (!inventory.all().some(isRestorable)) return [];
      const free = await space.read();
      return inventory.all().flatMap((domain) => candidate(domain, free));
    },
  });
  const actions = new LabelActions({
    ...acting,
    images,
    isComplete: () => inventory.complete,
    mayAct: (domain) => mayBegin(domain) && !saveRestore.isUnderWay(domain.uuid),
  });
  const isRestorable = (domain: Domain): boolean =>
    domain.process !== null && classOf(domain)?.values.get('svirt.apply')?.value === 'save-restore';
  const candidate = (domain: Domain, free: FreeSpace): Candidate[] => {
    const effective = classOf(domain);
    if (effective === null || !isRestorable(domain)) return [];
    const sight = inventory.sight(domain.uuid);
    const found = candidateOf({
      domain,
      effective,
      desired: svirtLabel.desired(effective, domain, options.host, sight),
      defined: sight.read({ path: 'definition:seclabel' }),
      usedBytes: options.usedBytes(domain.uuid),
      space: free,
      bytesPerSecond: state.current.bytesPerSecond,
    });
    return found === null ? [] : [found];
  };
  // The next audit would say so too; a guest need not wait for it.
  pairs.onChange = (uuid) => {
    const security = inventory.get(uuid)?.security ?? null;
    if (security === null) return;
    const [pair, pairProblem] = [pairs.pairOf(uuid), pairs.problemOf(uuid)];
    inventory.learn(uuid, { security: { ...security, pair, pairProblem } });
    options.onLearnt(uuid);
  };
  return {
    audit,
    pairs,
    actions,
    saveRestore,
    state,
    register,
    async look() {
      await audit.look();
      await pairs.idle();
    },
    act() {
      actions.act();
      saveRestore.act();
    },
    async close() {
      await saveRestore.stop();
      await audit.close();
    },
  };
}

const SPACE_DEADLINE_MS = 2_000;
/** The longest that a timer of Node's can be. */
const NEVER_MS = 2 ** 31 - 1;
const SILENT: FreeSpace = { ok: false, reason: 'its file system does not answer' };

/** One question at a time: each that is not answered keeps one of the few threads that Node has for files. */
class SaveSpace {
  readonly #ask: () => Promise<FreeSpace>;
  #asking: Promise<FreeSpace> | null = null;

  constructor(ask: () => Promise<FreeSpace>) {
    this.#ask = ask;
  }

  async read(): Promise<FreeSpace> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = null;
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<FreeSpace>((resolve) => {
      timer = setTimeout(() => resolve(SILENT), SPACE_DEADLINE_MS).unref();
    });
    return Promise.race([this.#asking, late]).finally(() => clearTimeout(timer));
  }
}
