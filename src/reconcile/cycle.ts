/**
 * One reconcile cycle, top to bottom: what is wanted, what stands, what to do, the record of it on disk, the doing, the
 * picture. A domain's failure stops no other domain. Domains whose records are on disk already are written in the same
 * breath in which they were read; the others are read again after the journal's fsync, never written from memory.
 */
import type { Domain } from '../domains/types.js';
import { inSlices } from '../host/slices.js';
import type { EffectiveClass } from '../policy/types.js';
import { applyDomain, type WriteOutcome } from './apply.js';
import type { JournalRecord } from './journal-format.js';
import { lastingGroup } from './originals.js';
import type { Parts } from './parts.js';
import { type DomainPlan, planDomain } from './plan.js';
import { changesOf, settle } from './settle.js';
import type { ControlOutcome, PlannedChange } from './types.js';

export interface CycleResult {
  readonly changes: readonly PlannedChange[];
  readonly outcomes: readonly ControlOutcome[];
}

export async function cycle(parts: Parts, uuids: Iterable<string>): Promise<CycleResult> {
  const changes: PlannedChange[] = [];
  const outcomes: ControlOutcome[] = [];
  const waiting: string[] = [];

  const finish = (plan: DomainPlan): void => {
    changes.push(...changesOf(plan));
    outcomes.push(...settle(parts, plan, write(parts, plan)));
  };
  const look = (uuid: string): void => {
    const plan = planOf(parts, uuid);
    if (plan === null) return;
    if (recordsOf(plan).length > 0 && mayRecord(parts, uuid)) waiting.push(uuid);
    else finish(plan);
  };

  await inSlices(uuids, (uuid) => isolated(parts, uuid, outcomes, () => look(uuid)));
  if (waiting.length > 0 || (parts.journal.saveError !== null && parts.gate.stop() === null)) {
    await record(parts, waiting, outcomes);
    await inSlices(waiting, (uuid) =>
      isolated(parts, uuid, outcomes, () => {
        const plan = planOf(parts, uuid);
        if (plan !== null) finish(plan);
      }),
    );
  }
  return { changes, outcomes };
}

/**
 * Each planned anew in the breath in which its records are put: what another cycle has recorded meanwhile must not be put
 * back. The journal makes one save of them.
 */
async function record(parts: Parts, uuids: readonly string[], outcomes: ControlOutcome[]): Promise<void> {
  let problem: string | null = null;
  const save = (records: readonly JournalRecord[]): Promise<void> =>
    parts.journal.put(records).catch((error: Error) => {
      problem ??= error.message;
    });
  const saves: Promise<void>[] = [];
  await inSlices(uuids, (uuid) =>
    isolated(parts, uuid, outcomes, () => {
      const plan = planOf(parts, uuid);
      const records = plan === null ? [] : recordsOf(plan);
      if (records.length > 0) saves.push(save(records));
    }),
  );
  // One that failed before is tried again.
  if (saves.length === 0) saves.push(save([]));
  await Promise.all(saves);
  if (problem === null) return;
  parts.log.error(
    'journal.save',
    { reason: problem },
    'cannot save originals: guests without a record are not written',
  );
}

/** A defect in the plan of one guest must not keep the others from theirs. */
function isolated(parts: Parts, uuid: string, outcomes: ControlOutcome[], work: () => void): void {
  try {
    work();
  } catch (error) {
    const { message } = error as Error;
    const domain = parts.inventory.get(uuid)?.name ?? uuid;
    parts.counters.cycleFailures++;
    parts.log.error('reconcile.domain_failed', { uuid, domain, reason: message }, 'the other guests go on');
    outcomes.push({ uuid, domain, control: '*', outcome: 'failed', message });
  }
}

function recordsOf(plan: DomainPlan): JournalRecord[] {
  return plan.controls.map((control) => control.record).filter((one) => one !== null);
}

function mayRecord(parts: Parts, uuid: string): boolean {
  return parts.gate.stop() === null && parts.handsOff.of(uuid)?.kind !== 'held';
}

/** Null when the domain is gone. */
export function planOf(parts: Parts, uuid: string): DomainPlan | null {
  const domain = parts.inventory.get(uuid);
  if (domain === null) return null;
  parts.hostDevices.want(domain);
  const released = parts.handsOff.of(uuid)?.kind === 'released';
  // Without a policy, or a description from libvirt, nobody knows what the guest is owed: what stands, stands.
  if (!released && (parts.generations.active === null || domain.facts === null)) {
    return { domain, effective: null, controls: [] };
  }
  return planFor(parts, domain, released ? null : parts.classOf(domain), released);
}

/** What a released guest would be held to: for the display, never for writing. */
export function planAsIfManaged(parts: Parts, domain: Domain): DomainPlan {
  return planFor(parts, domain, parts.classOf(domain), false);
}

function planFor(parts: Parts, domain: Domain, effective: EffectiveClass | null, released: boolean): DomainPlan {
  const { uuid } = domain;
  const group = lastingGroup(domain);
  return planDomain({
    domain,
    effective,
    host: parts.host,
    controls: parts.controls,
    sight: parts.inventory.sight(uuid),
    record: (control) => parts.journal.get(uuid, control),
    inherited: (control) => (group === null ? null : parts.journal.inherited(group, control)),
    baselineUnknown: parts.journal.damaged !== null,
    mayAdopt: parts.manages(domain),
    unsettled: (control) => parts.teller.busy(uuid, control),
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
  // Values of one guest go together, in their order. Where the disk fails, those that are on record go alone.
  const saving = plan.controls.some(
    ({ control, record }) => record !== null || !parts.journal.covers(uuid, control.id),
  );
  if (saving && parts.journal.saveError === null) return [];
  const nowMs = parts.clock.monotonicMs();
  return applyDomain(
    plan,
    handles,
    (control, { key, text }) =>
      control.record === null &&
      parts.journal.covers(uuid, control.control.id) &&
      parts.contention.mayWrite(uuid, key, nowMs, text),
  );
}
