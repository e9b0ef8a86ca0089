/**
 * The accounting of service levels: once a cycle, after the counters are read, each guest of a class with objectives is looked
 * at, the slice since the last look is judged, and what came of it goes into its budgets. A guest that nobody promises anything
 * has none. Nothing here writes to a guest.
 */
import type { Accounts } from '../domains/accounts.js';
import type { Inventory } from '../domains/inventory.js';
import type { Domain } from '../domains/types.js';
import type { Clock } from '../host/clock.js';
import type { LibvirtEvent } from '../host/libvirt/client.js';
import { finishInSlices, inSlices } from '../host/slices.js';
import type { SloStore } from '../host/slo-store/store.js';
import { isExcluded, openMaintenance } from '../policy/maintenance.js';
import type { EffectiveClass, Generation, MaintenanceWindow, Objective } from '../policy/types.js';
import type { CpuTerms } from '../signals/cpu.js';
import { roundHistograms } from '../signals/disk-histogram.js';
import type { ObjectiveState } from '../slo/budget-states.js';
import { Budgets } from '../slo/budgets.js';
import { diskPromise } from '../slo/disk-promise.js';
import { type Look, sliceOf } from '../slo/slice.js';
import { judge } from '../slo/slis.js';
import type { DiskPromise, Result, Slice } from '../slo/types.js';
import type { ServiceLevelsSnapshot } from '../snapshot/service-levels.js';
import type { DomainSnapshot } from '../snapshot/types.js';
import { Defects, type DefectsOptions } from './defects.js';
import { Intentions } from './intentions.js';
import { cpuTerms, guaranteedBytes, isHeldTo } from './terms.js';

export interface ServiceLevelsOptions {
  readonly clock: Clock;
  readonly inventory: Inventory;
  readonly accounts: Pick<Accounts, 'of' | 'cpuSlice'>;
  /** The guest as the last look at its controls left it. */
  picture(uuid: string): DomainSnapshot | null;
  classOf(domain: Domain): EffectiveClass | null;
  generation(): Generation | null;
  /** Null: budgets are not kept. */
  readonly store: SloStore | null;
  /** Where a defect of ours is told and counted. */
  readonly defects: DefectsOptions;
}

interface Known {
  look: Look;
  readonly className: string;
  readonly objectives: readonly Objective[];
  /** The disk promise as text, and since when it is that. */
  promise: string;
  promisedSinceMs: number | null;
}

const FORGET_EVERY_MS = 86_400_000;

export class ServiceLevels {
  readonly #options: ServiceLevelsOptions;
  readonly #budgets = new Budgets();
  readonly #intentions = new Intentions();
  readonly #defects: Defects;
  readonly #known = new Map<string, Known>();
  #forgotAtMs = Number.NEGATIVE_INFINITY;
  #storeFailed = false;

  constructor(options: ServiceLevelsOptions) {
    this.#options = options;
    this.#defects = new Defects(options.defects);
  }

  /** Reads history back, beside what is judged meanwhile. */
  async start(): Promise<void> {
    const { store } = this.#options;
    if (store === null) return;
    await store.open();
    await this.#budgets.restore(store);
  }

  onLibvirt(event: LibvirtEvent): void {
    this.#intentions.note(event);
  }

  cpuTerms(domain: Domain): CpuTerms {
    let terms: CpuTerms = { guaranteedCores: null, limit: null };
    this.#defects.guarded(domain, 'cpu', () => {
      terms = cpuTerms(this.#options.picture(domain.uuid), domain.vcpuGroups.length > 0);
    });
    return terms;
  }

  /** Once a cycle, when all counters have been read. Never rejects: what it cannot judge is unknown. */
  async account(): Promise<void> {
    try {
      await this.#accountAll();
    } catch (error) {
      this.#defects.note(null, 'all', error);
      for (const uuid of this.#known.keys()) this.#miss(uuid);
    }
    await this.#keep().catch((error: Error) => this.#defects.note(null, 'keep', error));
  }

  /** Of the objectives that the guest is held to. */
  stateOf(uuid: string): readonly ObjectiveState[] {
    let states: readonly ObjectiveState[] = [];
    const name = this.#options.picture(uuid)?.name ?? uuid;
    this.#defects.guarded({ uuid, name }, 'state', () => {
      states = this.#budgets.stateOf(uuid, this.#options.clock.nowMs());
    });
    return states;
  }

  snapshot(): ServiceLevelsSnapshot {
    const { clock, store, generation } = this.#options;
    let classes: ServiceLevelsSnapshot['classes'] = [];
    let maintenance: ServiceLevelsSnapshot['maintenance'] = [];
    this.#defects.guarded(null, 'state', () => {
      const [active, nowMs] = [generation(), clock.nowMs()];
      const open = active === null ? [] : openMaintenance(active, nowMs);
      maintenance = (active?.maintenance ?? []).map((window) => ({ name: window.name, open: open.includes(window) }));
      classes = this.#budgets.classStates(nowMs);
    });
    return {
      classes,
      maintenance,
      store: store === null ? null : { bytes: store.bytes, error: storeProblem(store) },
    };
  }

  /** What is not stored yet is. */
  async close(): Promise<void> {
    const { store, clock } = this.#options;
    if (store === null) return;
    await store.append(this.#budgets.advance(clock.nowMs(), true));
    await store.close();
  }

  async #accountAll(): Promise<void> {
    const { clock, inventory, generation } = this.#options;
    const active = generation();
    const open = active === null ? [] : openMaintenance(active, clock.nowMs());
    const domains = inventory.all();
    await inSlices(domains, (domain) => {
      const isDone = this.#defects.guarded(domain, 'guest', () => this.#accountOne(domain, active, open));
      if (!isDone) this.#miss(domain.uuid);
    });
    const present = new Set(domains.map(({ uuid }) => uuid));
    for (const uuid of this.#known.keys()) if (!present.has(uuid)) this.#forget(uuid);
  }

  /** Nothing came of this look: the time since the last is unknown, and there is nothing to compare the next one with. */
  #miss(uuid: string): void {
    const known = this.#known.get(uuid);
    if (known === undefined) return;
    const { clock } = this.#options;
    const [atMonotonicMs, atMs] = [clock.monotonicMs(), clock.nowMs()];
    const seconds = (atMonotonicMs - known.look.atMonotonicMs) / 1000;
    known.look = { ...known.look, atMonotonicMs, atMs, process: null };
    for (const { sli } of known.objectives)
      this.#defects.guarded({ uuid, name: uuid }, 'unknown', () =>
        this.#budgets.add(uuid, known.className, sli, atMs, seconds, 'unknown'),
      );
  }

  #accountOne(domain: Domain, generation: Generation | null, open: readonly MaintenanceWindow[]): void {
    const { clock, accounts, picture, classOf } = this.#options;
    const { uuid, process, state } = domain;
    const seen = picture(uuid);
    const effective = classOf(domain);
    const objectives = (effective && generation?.classes.get(effective.name)?.objectives) ?? [];
    if (seen === null || effective === null || objectives.length === 0 || !isHeldTo(seen)) {
      this.#forget(uuid);
      return;
    }
    const look: Look = {
      atMonotonicMs: clock.monotonicMs(),
      atMs: clock.nowMs(),
      state,
      process,
      cpu: accounts.cpuSlice(uuid),
      signals: accounts.of(uuid),
    };
    const before = this.#known.get(uuid);
    const promise = diskPromise(effective);
    const text = JSON.stringify(promise);
    const promisedSinceMs =
      before === undefined || before.promise === text ? (before?.promisedSinceMs ?? null) : look.atMs;
    const { name: className } = effective;
    const known = { className, objectives, look, promise: text, promisedSinceMs };
    this.#budgets.objectives(uuid, className, objectives);
    const slice =
      before === undefined ? null : this.#slice(before.look, look, { seen, effective, promise, promisedSinceMs });
    // Only now: should any of this fail, the time up to here is still to be accounted for.
    this.#known.set(uuid, known);
    if (slice === null) return;
    const { facts } = domain;
    for (const objective of objectives) {
      const { sli } = objective;
      let result: Result = 'unknown';
      this.#defects.guarded(domain, sli, () => {
        const guest = facts && { className, attributes: facts };
        const excluded = guest !== null && isExcluded(open, guest, sli) !== null;
        result = excluded ? 'excluded' : judge(slice, objective);
      });
      this.#budgets.add(uuid, className, sli, look.atMs, slice.seconds, result);
    }
  }

  #slice(
    before: Look,
    now: Look,
    held: {
      seen: DomainSnapshot;
      effective: EffectiveClass;
      promise: DiskPromise | null;
      promisedSinceMs: number | null;
    },
  ): Slice | null {
    const { seen, effective, promise, promisedSinceMs } = held;
    const guaranteed = guaranteedBytes(seen);
    const slice = sliceOf(before, now, {
      meantToRun: this.#intentions.meantToRun(seen.uuid, now.state),
      labelCompliant: seen.label === null ? null : seen.label.violations.length === 0,
      guaranteedBytes: guaranteed,
      promised: new Map(promise === null ? [] : now.signals.disks.map(({ target }) => [target, promise])),
      promisedSinceMs,
      histograms: roundHistograms(now.signals.disks),
    });
    // A guarantee that this host cannot give is not one that is kept.
    const isPromised = effective.values.has('memory.guarantee');
    return slice !== null && isPromised && guaranteed === null ? { ...slice, memory: null } : slice;
  }

  /** Once when it begins, and once when it is over. */
  #tell(problem: string | null): void {
    if ((problem !== null) === this.#storeFailed) return;
    this.#storeFailed = problem !== null;
    const { log } = this.#options.defects;
    if (problem === null) log.info('slo.store_recovered', {}, 'the history of error budgets is being kept again');
    else
      log.error(
        'slo.store_failed',
        { reason: problem },
        'budgets go on in memory; what waits is written when it can be',
      );
  }

  #forget(uuid: string): void {
    this.#known.delete(uuid);
    this.#budgets.leave(uuid);
  }

  /** The disk is not waited for: one that hangs must not keep the cycle. */
  async #keep(): Promise<void> {
    const { store, clock } = this.#options;
    const closed = await finishInSlices(this.#budgets.advancing(clock.nowMs()));
    if (store === null) return;
    if (closed.length > 0) void store.append(closed);
    else store.retry();
    this.#tell(storeProblem(store));
    if (clock.monotonicMs() - this.#forgotAtMs < FORGET_EVERY_MS) return;
    this.#forgotAtMs = clock.monotonicMs();
    if (store.oldestMs !== null) this.#budgets.forgetBefore(store.oldestMs);
  }
}

function storeProblem({ error, damage }: SloStore): string | null {
  if (error !== null || damage.length === 0) return error;
  const bytes = damage.reduce((sum, one) => sum + one.bytes, 0);
  return `${bytes} bytes in ${damage.map(({ file }) => file).join(', ')} were damaged; that time is unknown`;
}
