/**
 * Putting originals back: for a key that left the class, a guest that is matched no more, a release, a place that a
 * control no longer uses. Only what is still ours is restored; a value that someone else has put there since is theirs.
 * Pure.
 */
import type { Control, Setting, Tell } from '../controls/control.js';
import type { Domain } from '../domains/types.js';
import type { JournaledSetting, JournalRecord } from './journal-format.js';
import type { ControlPlan, DomainInput, PlannedWrite } from './plan.js';

/** A recorded place that is to be given up. */
export interface LeftBehind {
  readonly key: string;
  /** Null when nothing is to be written there. */
  readonly write: PlannedWrite | null;
  /** Somebody else's value stands there. */
  readonly foreign: boolean;
  /** What libvirt or systemd has to be told of it; null when nothing. */
  readonly told: string | null;
  /** Nothing of ours is there any more: its record may go. */
  readonly done: boolean;
}

export function planRestore(control: Control, record: JournalRecord, input: DomainInput): ControlPlan | null {
  const { domain } = input;
  // A saved image may bring our values back: the record waits for the guest's next start.
  if (domain.cgroup === null || domain.obstacle !== null) return null;
  const left = leftBehind(control, record, [], input);
  const writes = left.flatMap(({ write }) => (write === null ? [] : [write]));
  const states = writes.map(({ from, why: _why, action: _action, source: _source, ...setting }) => ({
    setting,
    actual: from,
  }));
  const foreign = left.some((one) => one.foreign);
  const behind = tellOf(control, left, domain);
  // libvirt would write every place: not over a value that is somebody else's.
  const barred = foreign && control.tellsApart !== true;
  const unreadable = left.some((one) => !one.done && one.write === null && one.told === null);
  return {
    control,
    desired: { kind: 'unmanaged' },
    states,
    writes,
    record: null,
    forget: !unreadable && !(barred && behind !== null),
    tell: barred ? null : behind,
  };
}

/** Recorded places of a control that are not among those that it wants. One that is not there any more is left out. */
export function leftBehind(
  control: Control,
  record: JournalRecord,
  wanted: readonly Setting[],
  input: DomainInput,
): LeftBehind[] {
  const { domain } = input;
  const kept = new Set(wanted.map(({ key }) => key));
  return Object.entries(record.settings).flatMap(([key, journaled]): LeftBehind[] => {
    const place = kept.has(key) ? null : (control.place?.(key, domain) ?? null);
    if (place === null) return [];
    const text = control.restoredAs?.(journaled.original.text, input.host) ?? journaled.original.text;
    return [leave(control, { ...place, key, text }, journaled, input)];
  });
}

function leave(
  control: Control,
  setting: Setting,
  { written }: JournaledSetting,
  { domain, sight, occasion }: DomainInput,
): LeftBehind {
  const { key } = setting;
  const actual = sight.read(setting);
  const said = saidByLibvirt(control, key, domain);
  // libvirt's view is put back where it still says what we told it.
  const behind = said !== undefined && said !== setting.text && written.includes(said);
  if (actual === null) return { key, write: null, foreign: false, told: behind ? setting.text : null, done: false };
  const foreign = actual !== setting.text && !written.includes(actual);
  const why = occasion === 'release' ? 'release' : 'leave';
  const write: PlannedWrite | null =
    foreign || actual === setting.text ? null : { ...setting, from: actual, why, action: 'restore', source: null };
  const through = write !== null && write.writer !== 'direct';
  const told = (behind || through) && !(foreign && control.tellsApart === true) ? setting.text : null;
  return { key, write, foreign, told, done: write === null && told === null };
}

/** What stands there by libvirt's live XML; undefined where it does not run the guest, or has no such thing. */
export function saidByLibvirt(control: Control, key: string, domain: Domain): string | undefined {
  if (domain.facts === null || domain.source === 'bare') return undefined;
  const said = control.fromXml?.(key, domain.facts.tuning, domain);
  return said === undefined || said.from === 'kernel' ? undefined : said.text;
}

function tellOf(control: Control, left: readonly LeftBehind[], domain: Domain): Tell | null {
  if (control.tellFor === undefined || domain.facts === null) return null;
  const originals = new Map(left.flatMap(({ key, told }) => (told === null ? [] : [[key, told] as const])));
  return originals.size === 0 ? null : control.tellFor(originals, domain);
}
