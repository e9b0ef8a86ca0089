/**
 * Putting originals back: for a key that left the class, a guest that is matched no more, a release. Only what is still
 * ours is restored; a value that someone else has put there since is theirs. Pure.
 */
import type { Control, Original, Setting } from '../controls/control.js';
import type { SchedulerParameters } from '../host/libvirt/client.js';
import type { JournalRecord } from './journal-format.js';
import type { ControlPlan, DomainInput, PlannedWrite, SettingState } from './plan.js';

export function planRestore(control: Control, record: JournalRecord, input: DomainInput): ControlPlan | null {
  const { domain } = input;
  // A saved image may bring our values back: the record waits for the guest's next start.
  if (domain.cgroup === null || domain.obstacle !== null) return null;
  const states: SettingState[] = [];
  const writes: PlannedWrite[] = [];
  let unreadable = false;
  let foreign = false;
  for (const [key, { original, written }] of Object.entries(record.settings)) {
    const place = control.place?.(key, domain) ?? null;
    if (place === null) continue;
    const setting: Setting = { ...place, key, text: original.text };
    const actual = input.read(place.path);
    if (actual === null) unreadable = true;
    if (actual === null || actual === original.text) continue;
    if (!written.includes(actual)) {
      foreign = true;
      continue;
    }
    states.push({ setting, actual });
    const why = input.occasion === 'release' ? 'release' : 'leave';
    writes.push({ ...setting, from: actual, why, action: 'restore', source: null });
  }
  const behind = tellOriginal(control, record, input, writes);
  // libvirt would write every place: not over a value that is somebody else's.
  const tell = foreign ? null : behind;
  const desired = { kind: 'unmanaged' } as const;
  return { control, desired, states, writes, record: null, forget: !unreadable && !(foreign && behind !== null), tell };
}

/** libvirt's view is put back where it still says what we told it. */
function tellOriginal(
  control: Control,
  record: JournalRecord,
  { domain }: DomainInput,
  writes: readonly PlannedWrite[],
): SchedulerParameters | null {
  const { facts } = domain;
  if (facts === null || control.fromCputune === undefined || control.tellFor === undefined) return null;
  const originals = new Map<string, string>();
  for (const [key, { original, written }] of Object.entries(record.settings)) {
    if (control.place?.(key, domain) == null) continue;
    const view: Original = control.fromCputune(key, facts.cputune, domain);
    const behind = view.text !== original.text && written.includes(view.text);
    const through = writes.some((write) => write.key === key && write.writer === 'libvirt');
    if (behind || through) originals.set(key, original.text);
  }
  return originals.size === 0 ? null : control.tellFor(originals, domain);
}
