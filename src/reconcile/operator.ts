/** What an operator may ask of the one writer: apply, release, hold, resume, reload. The socket and lone verbs call this. */
import { inSlices } from '../host/slices.js';
import { findDomain } from '../snapshot/find-domain.js';
import type { DomainSnapshot, Snapshot } from '../snapshot/types.js';
import type { CycleResult } from './cycle.js';
import { cycle, planOf } from './cycle.js';
import { settleIoCost } from './host-controls/settle-io-cost.js';
import { settleSlices } from './host-controls/settle-slices.js';
import type { Parts } from './parts.js';
import type { DomainPlan } from './plan.js';
import type { Reconciler } from './reconciler.js';
import type { ApplyReport, Commands, ControlOutcome, Target } from './types.js';

/** libvirt is told in the background; a command waits this long for it, then says what it knows. */
const TELL_WAIT_MS = 10_000;

export class Operator implements Commands {
  readonly #parts: Parts;
  readonly #reconciler: Reconciler;
  readonly #snapshot: () => Snapshot;

  constructor(parts: Parts, reconciler: Reconciler, snapshot: () => Snapshot) {
    this.#parts = parts;
    this.#reconciler = reconciler;
    this.#snapshot = snapshot;
  }

  snapshot(): Snapshot {
    return this.#snapshot();
  }

  domain(nameOrUuid: string): DomainSnapshot {
    return findDomain(this.#snapshot().domains, nameOrUuid);
  }

  async apply({ acknowledge }: { readonly acknowledge: string | null }): Promise<ApplyReport> {
    const { generations } = this.#parts;
    // Not by way of `reload`, whose cycle would do what this one is to report.
    if (!(await generations.reload())) {
      return this.#report({ changes: [], outcomes: [] }, `the policies have errors: ${generations.problems[0]}`);
    }
    if (acknowledge !== null) {
      await this.#known();
      await this.#reconciler.judge();
      await generations.acknowledge(acknowledge);
    }
    await this.#known();
    await this.#reconciler.judge();
    await lookAhead(
      this.#parts,
      this.#parts.inventory.all().map(({ uuid }) => uuid),
    );
    this.#parts.slices.retry();
    this.#parts.ioCost.retry();
    const result = this.#withHost(await this.#withTold(await this.#reconciler.full()));
    const { pending } = generations;
    if (pending === null) return this.#report(result, this.#parts.gate.stop());
    const stopped =
      `blast radius: ${pending.affected} of ${pending.total} guests would change, ${pending.allowed} are allowed; ` +
      `run \`virtslad apply --once --acknowledge ${pending.generation.id}\` to let it through`;
    return this.#report(result, stopped);
  }

  async release(target: Target): Promise<ApplyReport> {
    const { contention, gate, handsOff, log, teller } = this.#parts;
    const stopped = gate.stop();
    if (stopped !== null) return this.#report({ changes: [], outcomes: [] }, stopped);
    const targets = await this.#targets(target);
    if ('all' in target) await handsOff.setAll(targets);
    else for (const { uuid, name } of targets) await handsOff.set(uuid, { kind: 'released', name, untilMs: null });
    // Done now, not when a contest or a retry is due.
    for (const { uuid } of targets) {
      contention.forget(uuid);
      teller.forget(uuid);
    }
    log.info('operator.release', { domains: targets.map(({ name }) => name) });
    const away = this.#parts.inventory.complete ? null : 'libvirt has not said which guests there are';
    return this.#report(await this.#lookAt(targets), away);
  }

  async hold(target: { readonly domain: string }, forSeconds: number | null): Promise<DomainSnapshot> {
    const { clock, handsOff, log } = this.#parts;
    await this.#known();
    const { uuid, name } = findDomain(this.#parts.inventory.all(), target.domain);
    const untilMs = forSeconds === null ? null : clock.nowMs() + forSeconds * 1000;
    await handsOff.set(uuid, { kind: 'held', name, untilMs });
    log.info('operator.hold', { domain: name, uuid, untilMs });
    await cycle(this.#parts, [uuid]);
    return this.domain(uuid);
  }

  async resume(target: Target): Promise<ApplyReport> {
    const { contention, handsOff, log, memory } = this.#parts;
    const targets = await this.#targets(target);
    if ('all' in target) await handsOff.clearAll();
    else for (const { uuid } of targets) await handsOff.clear(uuid);
    for (const { uuid } of targets) {
      contention.forget(uuid);
      // What stood there meanwhile was nobody's business: no drift.
      memory.forget(uuid);
    }
    // A lone command has read the policies and not judged them yet.
    await this.#reconciler.judge();
    log.info('operator.resume', { domains: targets.map(({ name }) => name) });
    return this.#report(await this.#lookAt(targets), this.#parts.gate.stop());
  }

  async reload(): Promise<{ ok: boolean; generation: string | null; problems: readonly string[] }> {
    const { generations } = this.#parts;
    const ok = await generations.reload();
    if (ok) await this.#reconciler.full();
    return { ok, generation: generations.active?.id ?? null, problems: generations.problems };
  }

  /** Writes, waits for libvirt, and looks again, so that finished records go. */
  async #lookAt(targets: readonly { readonly uuid: string }[]): Promise<CycleResult> {
    const uuids = targets.map(({ uuid }) => uuid);
    await lookAhead(this.#parts, uuids);
    this.#parts.ioCost.retry();
    await settleIoCost(this.#parts);
    const first = await cycle(this.#parts, uuids);
    await this.#settleTold();
    // A call that was under way about the same value, a repair say, has kept the new one from being told.
    await cycle(this.#parts, uuids);
    const result = await this.#withTold(first);
    await cycle(this.#parts, uuids);
    await this.#settleTold();
    this.#parts.slices.retry();
    await settleSlices(this.#parts);
    return this.#withHost(result);
  }

  #withHost({ changes, outcomes }: CycleResult): CycleResult {
    const { ioCost, slices } = this.#parts;
    return {
      changes: [...changes, ...ioCost.changes(), ...slices.changes()],
      outcomes: [...outcomes, ...ioCost.outcomes(), ...slices.outcomes()],
    };
  }

  /** What went through libvirt, or could not be begun, is known only now: what is still due has failed. */
  async #withTold(first: CycleResult): Promise<CycleResult> {
    const { gate, handsOff, inventory, journal, tellFailures } = this.#parts;
    await this.#settleTold();
    const planned = new Set(first.changes.map(({ uuid, control }) => `${uuid} ${control}`));
    const due = await dueOf(this.#parts, new Set(first.changes.map(({ uuid }) => uuid)));
    const outcomes = first.outcomes.map((one): ControlOutcome => {
      const { uuid, control } = one;
      if (one.outcome !== 'unchanged' || !planned.has(`${uuid} ${control}`)) return one;
      if (gate.stop() !== null || handsOff.of(uuid)?.kind === 'held') return one;
      if (inventory.get(uuid) === null) return { ...one, outcome: 'vanished' };
      if (!due.has(`${uuid} ${control}`)) return { ...one, outcome: 'applied' };
      const message =
        tellFailures.get(`${uuid} ${control}`) ??
        (journal.covers(uuid, control)
          ? 'put off after failures or a contest'
          : `its original is not on disk: ${journal.saveError}`);
      return { ...one, outcome: 'failed', message };
    });
    return { changes: first.changes, outcomes };
  }

  async #settleTold(): Promise<void> {
    await inTime(this.#parts.teller.idle(), TELL_WAIT_MS);
  }

  #report({ changes, outcomes }: CycleResult, stopped: string | null): ApplyReport {
    return { generation: this.#parts.generations.active?.id ?? null, changes, outcomes, stopped };
  }

  /** A daemon that has just started may not have asked libvirt yet. */
  async #known(): Promise<void> {
    if (!this.#parts.inventory.complete) await this.#parts.inventory.resync();
  }

  async #targets(target: Target): Promise<readonly { readonly uuid: string; readonly name: string }[]> {
    await this.#known();
    return 'all' in target ? this.#parts.inventory.all() : [findDomain(this.#parts.inventory.all(), target.domain)];
  }
}

/**
 * Planning shows what has to be asked of others first (QEMU's throttles, the devices under disks): asked once without
 * acting, so that one look is enough afterwards.
 */
export async function lookAhead(parts: Parts, uuids: readonly string[]): Promise<void> {
  await inSlices(uuids, (uuid) => planned(parts, uuid));
  await inTime(parts.looked(), TELL_WAIT_MS);
}

/** `UUID CONTROL` of what is still to be written. */
async function dueOf(parts: Parts, uuids: ReadonlySet<string>): Promise<ReadonlySet<string>> {
  const due = new Set<string>();
  await inSlices(uuids, (uuid) => {
    for (const { control, writes } of planned(parts, uuid)?.controls ?? []) {
      if (writes.length > 0) due.add(`${uuid} ${control.id}`);
    }
  });
  return due;
}

/** Null also for a guest whose plan fails: the cycle says so, and goes on with the others. */
function planned(parts: Parts, uuid: string): DomainPlan | null {
  try {
    return planOf(parts, uuid);
  } catch {
    return null;
  }
}

async function inTime(work: Promise<void>, waitMs: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, waitMs);
  });
  await Promise.race([work, late]);
  clearTimeout(timer);
}
