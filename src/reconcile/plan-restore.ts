/**
 * Putting originals back: for a key that left the class, a guest that is matched no more, a release, a place that a
 * control no longer uses. Only what is still ours is restored; a value that someone else has put there since is theirs.
 * Pure.
 */
import type { Control, Place, Setting, Sight } from '../controls/control.js';
import type { Address, Domain } from '../domains/types.js';
import type { JournaledSetting, JournalRecord } from './journal-format.js';
import { isOurs, withoutOurs } from './originals.js';
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

/** `all`: also what cannot be read now, where libvirt says that it is ours. */
export function planRestore(
  control: Control,
  record: JournalRecord,
  input: DomainInput,
  { all }: { readonly all: boolean },
): ControlPlan | null {
  const { domain } = input;
  // A saved image may bring our values back: the record waits for the guest's next start, and for the end of that start.
  if (control.lasting !== true && (domain.cgroup === null || domain.obstacle !== null)) return null;
  if (domain.state === 'starting' && control.early !== true) return null;
  // None of its places can be found, the groups of its controller, say: that is no reason to think that nothing is there.
  if (!Object.keys(record.settings).some((key) => placeOf(control, key, domain) !== null)) return null;
  const left = leavings(control, record, new Set(), input, { all });
  const writes = left.flatMap(({ write }) => (write === null ? [] : [write]));
  const states = writes.map(({ from, why: _why, action: _action, source: _source, ...setting }) => ({
    setting,
    actual: from,
  }));
  const foreign = left.some((one) => one.foreign);
  const texts = new Map(left.flatMap(({ key, told }) => (told === null ? [] : [[key, told] as const])));
  const behind = telling(control, texts, domain);
  // libvirt would write every place: not over a value that is somebody else's.
  const barred = foreign && control.tellsApart !== true;
  const unreadable = left.some((one) => !one.done && one.write === null && one.told === null);
  return {
    control,
    desired: { kind: 'unmanaged' },
    states,
    writes,
    record: null,
    forget: !unreadable && !(barred && behind.tell !== null),
    ...(barred ? { tell: null, told: new Map() } : behind),
  };
}

/**
 * Recorded places of a control that are not among those that it wants. One that is not there any more is left out, and
 * one that cannot be read is left alone: it may be wanted again in a moment.
 */
export function leftBehind(
  control: Control,
  record: JournalRecord,
  wanted: readonly Setting[],
  input: DomainInput,
): LeftBehind[] {
  const left = leavings(control, record, new Set(wanted.map(({ key }) => key)), input, { all: false });
  if (knowsDevices(input.domain)) return left;
  return left.filter(({ key }) => placeOf(control, key, input.domain)?.device === undefined);
}

/** While it is not known what one disk stands on, a device of the host that seems unused may be that disk's. */
function knowsDevices({ facts, hostDevices }: Domain): boolean {
  return facts?.tuning.disks.every(({ path, target }) => path === null || hostDevices.has(target)) ?? true;
}

function leavings(
  control: Control,
  record: JournalRecord,
  kept: ReadonlySet<string>,
  input: DomainInput,
  { all }: { readonly all: boolean },
): LeftBehind[] {
  return Object.entries(record.settings).flatMap(([key, journaled]): LeftBehind[] => {
    const place = kept.has(key) ? null : placeOf(control, key, input.domain);
    if (place === null) return [];
    const left = leave(control, { ...place, key }, journaled, input);
    return [left.readable || all ? left : { ...left, told: null }];
  });
}

/** What a control that merges looks at: a limit of ours that no key asks for any more is not to be taken for theirs. */
export function sightWithoutOurs(
  control: Control,
  { settings }: JournalRecord,
  { domain, sight }: Pick<DomainInput, 'domain' | 'sight'>,
): Sight {
  if (control.beneath === undefined) return sight;
  const at = ({ path, device = '' }: Address): string => `${path} ${device}`;
  const texts = new Map<string, string>();
  for (const [key, journaled] of Object.entries(settings)) {
    const place = placeOf(control, key, domain);
    const standing = place === null ? null : sight.read(place);
    if (place !== null && standing !== null) texts.set(at(place), withoutOurs(control, key, journaled, standing));
  }
  return {
    read: (address) => texts.get(at(address)) ?? sight.read(address),
    exists: (address) => sight.exists(address),
    problem: (address) => sight.problem(address),
  };
}

function placeOf(control: Control, key: string, domain: Domain): Place | null {
  return control.place?.(key, domain) ?? null;
}

function leave(
  control: Control,
  at: Place & { readonly key: string },
  journaled: JournaledSetting,
  { domain, host, sight, occasion }: DomainInput,
): LeftBehind & { readonly readable: boolean } {
  const { key } = at;
  const actual = sight.read(at);
  const said = saidByLibvirt(control, key, domain);
  const standing = actual ?? said;
  const without = standing === undefined ? journaled.original.text : withoutOurs(control, key, journaled, standing);
  const text = control.restoredAs?.(without, host) ?? without;
  // libvirt's view is put back where it still says what we told it.
  const behind = said !== undefined && said !== text && isOurs(control, key, journaled, said);
  if (actual === null) {
    return { key, write: null, foreign: false, told: behind ? text : null, done: false, readable: false };
  }
  const foreign = actual !== text && !isOurs(control, key, journaled, actual);
  const why = occasion === 'release' ? 'release' : 'leave';
  const write: PlannedWrite | null =
    foreign || actual === text ? null : { ...at, text, from: actual, why, action: 'restore', source: null };
  const through = write !== null && write.writer !== 'direct';
  const told = (behind || through) && !(foreign && control.tellsApart === true) ? text : null;
  return { key, write, foreign, told, done: write === null && told === null, readable: true };
}

/** What stands there by libvirt's live XML; undefined where it does not run the guest, or has no such thing. */
export function saidByLibvirt(control: Control, key: string, domain: Domain): string | undefined {
  if (domain.facts === null || domain.source === 'bare') return undefined;
  const said = control.fromXml?.(key, domain.facts.tuning, domain);
  return said === undefined || said.from === 'kernel' ? undefined : said.text;
}

/** What makes libvirt or systemd say these texts. */
export function telling(
  control: Control,
  told: ReadonlyMap<string, string>,
  domain: Domain,
): Pick<ControlPlan, 'tell' | 'told'> {
  const asked = control.tellFor !== undefined && domain.facts !== null && told.size > 0;
  return { told, tell: asked ? (control.tellFor?.(told, domain) ?? null) : null };
}
