/**
 * One reconcile cycle, top to bottom: what is wanted, what stands, what to do, the record of it on disk, the doing, the
 * picture. A domain's failure stops no other domain. Domains whose records are on disk already are written in the same
 * breath in which they were read; the others are read again after the journal's fsync, never written from memory.
 */
import type { Domain } from '../domains/types.js';
import type { EffectiveClass } from '../policy/types.js';
import { applyDomain, type WriteOutcome } from './apply.js';
import type { Parts } from './parts.js';
import { type DomainPlan, planDomain } from './plan.js';
import { changesOf, settle } from './settle.js';
import { inSlices } from './slices.js';
import type { ControlOutcome, PlannedChange } from './types.js';

export interface CycleResult {
  readonly changes: readonly PlannedChange[];
  readonly outcomes: readonly ControlOutcome[];
}

export async function cycle(parts: Parts, uuids: Iterable<string>): Promise<CycleResult> {
  const changes: PlannedChange[] = [];
  const outcomes: ControlOutcome[] = [];
  const waiting: DomainPlan[] = [];

  const finish = (plan: DomainPlan): void => {
    changes.push(...changesOf(plan));
    outcomes.push(...settle(parts, plan, write(parts, plan)));
  };

  await inSlices(uuids, (uuid) => {
    const plan = planOf(parts, uuid);
    if (plan === null) return;
    const recording = plan.controls.some((control) => control.record !== null);
    if (recording && parts.gate.stop() === null && parts.handsOff.of(uuid)?.kind !== 'held') waiting.push(plan);
    else finish(plan);
  });

  if (waiting.length > 0) {
    const records = waiting
      .flatMap((plan) => plan.controls.map((control) => control.record))
      .filter((one) => one !== null);
    await parts.journal.put(records).catch((error: Error) => {
      parts.log.error(
        'journal.save',
        { reason: error.message },
        'cannot save originals: guests without a record are not written',
      );
    });
    await inSlices(waiting, ({ domain }) => {
      const plan = planOf(parts, domain.uuid);
      if (plan !== null) finish(plan);
    });
  }
  return { changes, outcomes };
}

/** Null when the domain is gone. */
export function planOf(parts: Parts, uuid: string): DomainPlan | null {
  const domain = parts.inventory.get(uuid);
  if (domain === null) return null;
  const released = parts.handsOff.of(uuid)?.kind === 'released';
  return planFor(parts, domain, released ? null : parts.classOf(domain), released);
}

/** What a released guest would be held to: for the display, never for writing. */
export function planAsIfManaged(parts: Parts, domain: Domain): DomainPlan {
  return planFor(parts, domain, parts.classOf(domain), false);
}

function planFor(parts: Parts, domain: Domain, effective: EffectiveClass | null, released: boolean): DomainPlan {
  const { uuid } = domain;
  const handles = parts.inventory.handles(uuid);
  return planDomain({
    domain,
    effective,
    host: parts.host,
    controls: parts.controls,
    read: (path) => handles?.read(path) ?? null,
    record: (control) => parts.journal.get(uuid, control),
    baselineUnknown: parts.journal.damaged !== null,
    mayAdopt: parts.manages(domain),
    // While libvirt is being told, a call of ours may put an older value there: no drift.
    held: (control, key, text) => !parts.teller.busy(uuid, control) && parts.memory.held(domain, key, text),
    occasion: released ? 'release' : parts.memory.occasion(domain, effective),
  });
}

/** Writes what may be written now; the reasons why not are the settler's to tell. */
function write(parts: Parts, plan: DomainPlan): WriteOutcome[] {
  const { uuid } = plan.domain;
  const handles = parts.inventory.handles(uuid);
  if (handles === null || parts.handsOff.of(uuid)?.kind === 'held' || parts.gate.stop() !== null) return [];
  const nowMs = parts.clock.monotonicMs();
  return applyDomain(
    plan,
    handles,
    (control, { key }) =>
      control.record === null &&
      parts.journal.covers(uuid, control.control.id) &&
      parts.contention.mayWrite(uuid, key, nowMs),
  );
}
