/**
 * What follows from one domain's writes: the log line and the history entry of each, counters, contention, what is
 * remembered, what libvirt is told, records that go, and the domain's place in the picture.
 */

import type { Tell } from '../controls/control.js';
import type { Domain, DomainFacts } from '../domains/types.js';
import { formatPosition } from '../errors.js';
import type { LibvirtOutcome } from '../host/libvirt/client.js';
import type { WriteOutcome } from './apply.js';
import type { JournalRecord } from './journal-format.js';
import { lastingGroup } from './originals.js';
import { formatOriginalsXml, parseOriginalsXml } from './originals-xml.js';
import type { Parts } from './parts.js';
import type { ControlPlan, DomainPlan, PlannedWrite } from './plan.js';
import { telling } from './plan-restore.js';
import { isAway } from './tell.js';
import type { ControlOutcome, PlannedChange } from './types.js';

/** libvirt's announcement of a change may come after the change itself was seen. */
const ATTRIBUTION_DELAY_MS = 300;

export function changesOf(plan: DomainPlan): PlannedChange[] {
  return plan.controls.flatMap((control) => control.writes.map((write) => changeOf(plan, control, write)));
}

export function settle(parts: Parts, plan: DomainPlan, outcomes: readonly WriteOutcome[]): ControlOutcome[] {
  for (const outcome of outcomes) note(parts, plan, outcome);
  const applied = new Map(
    outcomes.filter((one) => one.outcome === 'applied').map((one) => [one.write.key, one.write.text]),
  );
  remember(parts, plan, applied);
  if (mayAct(parts, plan)) {
    const runs = plan.domain.process !== null;
    for (const control of plan.controls) {
      const tells = control.control.tellFor !== undefined;
      if (tells && (runs || control.control.lasting === true)) tell(parts, plan, control, applied);
    }
    const forgot = forgetRestored(parts, plan, outcomes);
    // What travelled with the guest counts from the next look on, where there was an older record of our own until now.
    if (runs && !forgot) tellOriginals(parts, plan);
  }
  parts.picture.note(plan, outcomes);
  return plan.controls.map((control) => controlOutcome(plan, control, outcomes));
}

function mayAct({ gate, handsOff, labels }: Parts, { domain: { state, uuid } }: DomainPlan): boolean {
  // A call about a guest that is being saved would wait for the end of that.
  if (state === 'starting' || labels.saveRestore.isUnderWay(uuid)) return false;
  return gate.stop() === null && handsOff.of(uuid)?.kind !== 'held';
}

function note(parts: Parts, plan: DomainPlan, { control, write, outcome, message }: WriteOutcome): void {
  const { domain } = plan;
  const { key, path, from, text: to, why } = write;
  const source = write.source === null ? null : formatPosition(write.source);
  const fields = { domain: domain.name, uuid: domain.uuid, control, key, path, from, to, why, source };
  const nowMs = parts.clock.monotonicMs();
  if (outcome === 'vanished') {
    parts.log.debug('control.vanished', fields);
    return;
  }
  const className = plan.effective?.name ?? null;
  const generation = parts.generations.active?.id ?? null;
  const atMs = parts.clock.nowMs();
  parts.history.add([{ atMs, ...fields, className, generation, outcome, message }]);
  if (outcome !== 'applied') {
    parts.counters.failed(control);
    parts.contention.failed(domain.uuid, key, nowMs, { text: to, message: message ?? outcome });
    parts.log.error('control.write_failed', { ...fields, reason: message });
    return;
  }
  parts.counters.written(control);
  parts.contention.applied(domain.uuid, key);
  if (why === 'drift') noteDrift(parts, plan, write, fields);
  else parts.log.info('control.write', fields);
}

function noteDrift(parts: Parts, { domain }: DomainPlan, write: PlannedWrite, fields: object): void {
  const { uuid } = domain;
  const nowMs = parts.clock.monotonicMs();
  const contested = parts.contention.repaired(uuid, write.key, nowMs);
  setTimeout(() => {
    const by = parts.attribution.by(uuid, nowMs);
    // A guest that is gone by now must not leave a series behind.
    parts.counters.repaired(parts.picture.get(uuid) === null ? null : uuid, by);
    parts.log.warn('control.drift', { ...fields, by }, 'someone else changed this value; it was put back');
  }, ATTRIBUTION_DELAY_MS).unref();
  if (contested) {
    parts.log.error(
      'control.contested',
      fields,
      'rewritten by someone 5 times in 10 minutes: repairs are spaced out now',
    );
  }
}

function remember(parts: Parts, plan: DomainPlan, applied: ReadonlyMap<string, string>): void {
  const held = new Map(applied);
  let allHold = true;
  for (const { setting, actual } of plan.controls.flatMap((control) => control.states)) {
    if (actual === setting.text) held.set(setting.key, setting.text);
    else if (!applied.has(setting.key)) allHold = false;
  }
  // Of a guest that libvirt has not described yet nothing was looked at.
  const { process, facts } = plan.domain;
  if (process !== null && facts !== null) parts.memory.note(plan.domain, plan.effective, held, allHold);
  const writes = plan.controls.flatMap((control) => control.writes);
  parts.memory.giveUp(
    plan.domain.uuid,
    writes.flatMap(({ action, key }) => (action === 'restore' ? [key] : [])),
  );
}

function tell(parts: Parts, plan: DomainPlan, control: ControlPlan, applied: ReadonlyMap<string, string>): void {
  const { uuid, facts } = plan.domain;
  const subject = control.control.id;
  // Nothing to tell because all is well, and not because nobody knows what stands there.
  const known = control.states.every(({ actual }) => actual !== null);
  if (control.tell === null && known && !parts.teller.busy(uuid, subject)) {
    parts.tellFailures.delete(`${uuid} ${subject}`);
  }
  const blocked = control.record !== null || !parts.journal.covers(uuid, subject);
  if (control.tell === null || facts === null || blocked || parts.teller.busy(uuid, subject)) return;
  const waiting = waitingKeys(parts, plan, control, applied);
  const message = messageWithout(control, waiting, plan.domain);
  if (message === null) return;
  parts.attribution.telling(uuid, message.calls);
  const through = control.writes.filter(({ writer, key }) => writer !== 'direct' && !waiting.has(key));
  const done = (outcome: LibvirtOutcome<null>): void => {
    if (isAway(outcome)) return;
    for (const write of through) {
      const actual = parts.inventory.read(uuid, write);
      note(parts, plan, { control: subject, write, ...toldOutcome(outcome, write, actual) });
    }
  };
  parts.teller.send({ uuid, id: facts.id, subject, message, ...(through.length > 0 && { done }) });
}

/** Of what nobody is to be told now: what is backed off, and what the kernel has refused or not been asked for yet. */
function waitingKeys(
  { clock, contention }: Parts,
  { domain }: DomainPlan,
  { states, writes }: ControlPlan,
  applied: ReadonlyMap<string, string>,
): ReadonlySet<string> {
  const nowMs = clock.monotonicMs();
  const backedOff = states.filter(({ setting: { key, text } }) => !contention.mayWrite(domain.uuid, key, nowMs, text));
  const unwritten = writes.filter(({ writer, key, text }) => writer === 'direct' && applied.get(key) !== text);
  return new Set([...backedOff.map(({ setting }) => setting.key), ...unwritten.map(({ key }) => key)]);
}

/** One disk that cannot be limited must not keep the others from being; a control that is told as a whole waits whole. */
function messageWithout(
  { control, tell, told }: ControlPlan,
  waiting: ReadonlySet<string>,
  domain: Domain,
): Tell | null {
  if (waiting.size === 0) return tell;
  if (control.tellsApart !== true) return null;
  return telling(control, new Map([...told].filter(([key]) => !waiting.has(key))), domain).tell;
}

/** The owner's word is not the kernel's: what it took is read back. Of several, one may be refused and the others stand. */
function toldOutcome(
  outcome: LibvirtOutcome<null>,
  { text, writer }: PlannedWrite,
  actual: string | null,
): Pick<WriteOutcome, 'outcome' | 'message'> {
  if (actual === text) return { outcome: 'applied', message: null };
  // Read back it could not be: the next look that can will tell.
  if (outcome.ok && actual === null) return { outcome: 'applied', message: `${writer} took it; not read back yet` };
  if (outcome.ok)
    return { outcome: 'failed', message: `${writer} took ${text} and ${actual ?? 'nothing'} stands there` };
  return { outcome: outcome.failure === 'vanished' ? 'vanished' : 'failed', message: outcome.message };
}

/** The record goes only when the originals stand in the kernel and in libvirt's view. @returns whether one went */
function forgetRestored(parts: Parts, plan: DomainPlan, outcomes: readonly WriteOutcome[]): boolean {
  const restored = plan.controls.filter(
    ({ control, forget, tell, writes }) =>
      forget &&
      tell === null &&
      // A call that is under way may still set a value of ours.
      !parts.teller.busy(plan.domain.uuid, control.id) &&
      writes.every((write) =>
        outcomes.some((one) => one.control === control.id && one.write.key === write.key && one.outcome === 'applied'),
      ),
  );
  if (restored.length === 0) return false;
  const { uuid } = plan.domain;
  const went = restored.some(({ control }) => parts.journal.get(uuid, control.id) !== null);
  const group = lastingGroup(plan.domain);
  const done = restored.flatMap(({ control: { id } }) => {
    const inherited = group === null ? null : parts.journal.inherited(group, id);
    return [...(inherited === null ? [] : [inherited]), { uuid, control: id }];
  });
  parts.journal.remove(done).catch((error: Error) => parts.log.error('journal.save', { reason: error.message }));
  return went;
}

/** The guest carries its originals with it, for a migration or a saved image. */
function tellOriginals(parts: Parts, { domain }: DomainPlan): void {
  const { uuid, facts } = domain;
  if (facts?.id == null || parts.teller.busy(uuid, 'originals') || !parts.manages(domain)) return;
  const records = parts.journal.of(uuid);
  if (sameOriginals(records, facts)) return;
  const xml = formatOriginalsXml(records);
  parts.teller.send({ uuid, id: facts.id, subject: 'originals', message: { originalsXml: xml } });
}

/** What was found the same is not compared again until libvirt's XML or a record has changed. */
const compared = new WeakMap<DomainFacts, readonly JournalRecord[]>();

function sameOriginals(records: readonly JournalRecord[], facts: DomainFacts): boolean {
  const before = compared.get(facts);
  if (before?.length === records.length && records.every((record, at) => record === before[at])) return true;
  const ours = parseOriginalsXml(formatOriginalsXml(records));
  const same = JSON.stringify(ours) === JSON.stringify(parseOriginalsXml(facts.originalsXml));
  if (same) compared.set(facts, records);
  return same;
}

function controlOutcome(plan: DomainPlan, control: ControlPlan, outcomes: readonly WriteOutcome[]): ControlOutcome {
  const { uuid, name } = plan.domain;
  const base = { uuid, domain: name, control: control.control.id };
  if (control.desired.kind === 'unsupported' || control.desired.kind === 'refused') {
    return { ...base, outcome: control.desired.kind, message: control.desired.reason };
  }
  const own = outcomes.filter((one) => one.control === control.control.id);
  const bad = own.find((one) => one.outcome === 'failed') ?? own.find((one) => one.outcome === 'vanished');
  if (bad !== undefined) return { ...base, outcome: bad.outcome, message: bad.message };
  return { ...base, outcome: own.length > 0 ? 'applied' : 'unchanged', message: null };
}

function changeOf({ domain, effective }: DomainPlan, { control }: ControlPlan, write: PlannedWrite): PlannedChange {
  const { uuid, name } = domain;
  const { key, path, action, from, text, why, source } = write;
  const className = effective?.name ?? null;
  return { uuid, domain: name, className, control: control.id, key, path, action, from, to: text, why, source };
}
