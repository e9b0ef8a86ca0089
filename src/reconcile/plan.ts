/**
 * The plan for one domain: what its class asks, against what stands in the kernel. Pure: reading and writing are
 * others' work. The plan of a plan's result is empty.
 */
import type { Control, Desired, HostFacts, Setting, Sight, Tell } from '../controls/control.js';
import type { Domain } from '../domains/types.js';
import type { SourcePosition } from '../errors.js';
import type { EffectiveClass } from '../policy/types.js';
import type { JournaledSetting, JournalRecord } from './journal-format.js';
import { adoptedRecord, confirmedIn, instanceFor, isOurs, lastingGroup, originalOf, ownText } from './originals.js';
import { type LeftBehind, leftBehind, planRestore, saidByLibvirt, sightWithoutOurs, telling } from './plan-restore.js';
import type { Why } from './types.js';

export interface DomainInput {
  readonly domain: Domain;
  /** Null when nothing matches it, or when it was released: what is ours is put back. */
  readonly effective: EffectiveClass | null;
  readonly host: HostFacts;
  readonly controls: readonly Control[];
  readonly sight: Sight;
  readonly record: (control: string) => JournalRecord | null;
  /** Of an earlier process in the same group, where the guest has no record of its own. */
  readonly inherited?: (control: string) => JournalRecord | null;
  readonly baselineUnknown: boolean;
  /** False for a guest outside what this daemon may manage: what its metadata says of originals is not ours to act on. */
  readonly mayAdopt: boolean;
  /** A call to libvirt about this control is under way or hangs: a value of ours may still land. */
  readonly unsettled: (control: string) => boolean;
  /** True when this text was seen to hold there since the guest started, by this daemon. */
  readonly held: (control: string, key: string, text: string) => boolean;
  /** Why a difference is there when nobody has touched our value: `policy`, `schedule`, `start`, `hotplug`, `release`. */
  readonly occasion: Why;
}

export interface PlannedWrite extends Setting {
  readonly from: string | null;
  readonly why: Why;
  readonly action: 'add' | 'change' | 'restore';
  readonly source: SourcePosition | null;
}

/** What stands in one place against what shall stand there. */
export interface SettingState {
  readonly setting: Setting;
  readonly actual: string | null;
}

export interface ControlPlan {
  readonly control: Control;
  readonly desired: Desired;
  readonly states: readonly SettingState[];
  readonly writes: readonly PlannedWrite[];
  /** To be on disk before the first write; null when the journal needs no change. */
  readonly record: JournalRecord | null;
  /** The originals stand again (or are not ours to restore): the record goes once the writes are done. */
  readonly forget: boolean;
  /** What libvirt or systemd has to set, or to know because its own view differs from what the kernel has or will have. */
  readonly tell: Tell | null;
  /** What the above is made from, by setting key. */
  readonly told: ReadonlyMap<string, string>;
}

export interface DomainPlan {
  readonly domain: Domain;
  readonly effective: EffectiveClass | null;
  readonly controls: readonly ControlPlan[];
}

export function planDomain(input: DomainInput): DomainPlan {
  const { domain, effective, controls } = input;
  const plans = controls.map((control) => planControl(control, input)).filter((plan) => plan !== null);
  return { domain, effective, controls: plans };
}

function planControl(control: Control, input: DomainInput): ControlPlan | null {
  const { domain, effective, host, sight } = input;
  const record =
    input.record(control.id) ??
    input.inherited?.(control.id) ??
    (!hasPlaces(control, domain) || !input.mayAdopt ? null : adoptedRecord(control, domain));
  const seen = record === null ? sight : sightWithoutOurs(control, record, input);
  const desired: Desired = effective === null ? { kind: 'unmanaged' } : control.desired(effective, domain, host, seen);
  if (desired.kind === 'unmanaged') return record === null ? null : planRestore(control, record, input, { all: true });
  if (domain.obstacle !== null && control.lasting !== true) {
    const unsupported: Desired = { kind: 'unsupported', reason: domain.obstacle, asked: desired.asked };
    return idle(control, unsupported);
  }
  if (desired.kind !== 'set' && desired.giveBack === true && record !== null) {
    // That a place cannot be read now may be all that is wrong with it.
    const restore = planRestore(control, record, input, { all: false });
    if (restore === null) return { ...idle(control, desired), record: withoutGone(control, input) };
    return { ...restore, desired };
  }
  if (desired.kind !== 'set' || !hasPlaces(control, domain)) {
    // What travelled with the guest is put on record here too, or the next description of it would drop it.
    const adopted = input.record(control.id) === null ? record : null;
    return { ...idle(control, desired), record: withoutGone(control, input) ?? adopted };
  }
  const states = desired.settings.map((setting) => ({ setting, actual: sight.read(setting) }));
  // What belongs to the whole guest is not touched while libvirt is putting it together.
  if (domain.state === 'starting' && control.early !== true) return { ...idle(control, desired), states };
  return planSettings(control, desired, states, record, input);
}

/** A running guest has its groups, and every guest its definition. */
export function hasPlaces(control: Control, { cgroup }: Domain): boolean {
  return control.lasting === true || cgroup !== null;
}

/** Nothing to do and nothing to undo: what stands, stands. */
function idle(control: Control, desired: Desired): ControlPlan {
  return { control, desired, states: [], writes: [], record: null, forget: false, tell: null, told: new Map() };
}

function planSettings(
  control: Control,
  desired: Desired & { kind: 'set' },
  states: readonly SettingState[],
  record: JournalRecord | null,
  input: DomainInput,
): ControlPlan {
  const due = states.filter(({ setting, actual }) => actual !== null && actual !== setting.text);
  // Places that were ours and are asked for no more: a disk limited in another way, a guarantee no longer hard.
  const left = record === null ? [] : leftBehind(control, record, desired.settings, input);
  const writes = due.map(({ setting, actual }): PlannedWrite => {
    const ours = record?.settings[setting.key] !== undefined;
    const why = whyWritten(control, record, setting, actual, input);
    return { ...setting, from: actual, why, action: ours ? 'change' : 'add', source: desired.asked.source };
  });
  const restores = left.flatMap(({ write }) => (write === null ? [] : [write]));
  const all = [...writes, ...restores];
  const next = nextRecord(control, record, states, { writing: due.length > 0, drop: left }, input);
  const known = next ?? record;
  return {
    control,
    desired,
    states,
    writes: all,
    record: next,
    forget: false,
    ...telling(control, known === null ? new Map() : textsDue(control, states, all, left, input.domain), input.domain),
  };
}

/** libvirt has its own idea of the value; while the guest starts it is busy with that start and is not asked. */
function textsDue(
  control: Control,
  states: readonly SettingState[],
  writes: readonly PlannedWrite[],
  left: readonly LeftBehind[],
  domain: Domain,
): ReadonlyMap<string, string> {
  const texts = new Map<string, string>();
  if (domain.state === 'starting') return texts;
  for (const { setting, actual } of states) {
    // Here the call is the write: what libvirt believes does not matter, what stands does.
    const through = writes.some(({ key, writer }) => key === setting.key && writer !== 'direct');
    const said = saidByLibvirt(control, setting.key, domain);
    if (through || (actual !== null && said !== undefined && said !== setting.text))
      texts.set(setting.key, setting.text);
  }
  for (const { key, told } of left) if (told !== null) texts.set(key, told);
  return texts;
}

/** The record that must be on disk before the writes; null when the one that is there says it all. */
function nextRecord(
  control: Control,
  record: JournalRecord | null,
  states: readonly SettingState[],
  { writing, drop }: { readonly writing: boolean; readonly drop: readonly LeftBehind[] },
  input: DomainInput,
): JournalRecord | null {
  const { domain } = input;
  const instance = instanceFor(control, domain);
  const stored = input.record(control.id);
  const dropped = drop.filter(({ done }) => done).map(({ key }) => key);
  const gone = stored === null ? [] : newlyGone(control, stored, domain);
  // Settled now, while it can be: a record taken over from the guest's metadata, of unknown baseline or of another
  // instance; a vCPU that libvirt gave our value when it was plugged in. And while the guest starts, ahead of its groups:
  // the first write must not wait for the disk.
  const unsettled = states.some(({ setting, actual }) => {
    const known = stored?.settings[setting.key];
    return known === undefined || (known.instance !== undefined && actual !== null);
  });
  const due =
    stored === null
      ? record !== null || input.baselineUnknown || domain.state === 'starting'
      : stored.instance !== instance || unsettled || dropped.length > 0 || gone.length > 0;
  // A repair of a value that is on record needs no disk.
  const recorded = states.every(({ setting, actual }) => {
    const known = stored?.settings[setting.key];
    return known?.written.includes(ownText(control, setting, actual, known));
  });
  if (!due && (!writing || recorded)) return null;
  const settings = record === null ? {} : carriedOver(record, instance, gone);
  for (const key of dropped) delete settings[key];
  for (const { setting, actual } of states) {
    if (actual === null && domain.state !== 'starting') continue;
    const original = originalOf({ ...input, control, record, setting, actual });
    const known: JournaledSetting = { original, written: settings[setting.key]?.written ?? [] };
    const own = ownText(control, setting, actual, known);
    const standing = known.written.filter(
      (text) =>
        input.unsettled(control.id) ||
        (actual !== null && isOurs(control, setting.key, { original, written: [text] }, actual)),
    );
    settings[setting.key] = { original, written: [...new Set([...standing, own])] };
  }
  if (stored === null && Object.keys(settings).length === 0) return null;
  const { uuid, name } = domain;
  const group = lastingGroup(domain);
  const next: JournalRecord = { uuid, name, control: control.id, instance, ...(group !== null && { group }), settings };
  return stored !== null && JSON.stringify(stored) === JSON.stringify(next) ? null : next;
}

/** What is not read at this look is no more certain than it was: another instance may have another original there. */
function carriedOver(
  record: JournalRecord,
  instance: string,
  gone: readonly string[],
): Record<string, JournaledSetting> {
  const settings = Object.entries(record.settings).map(([key, setting]) => {
    const { original, written } = setting;
    const confirmed = gone.includes(key) ? GONE : confirmedIn(record, setting);
    return [key, { original, written, ...(confirmed !== instance && { instance: confirmed }) }] as const;
  });
  return Object.fromEntries(settings);
}

/** In the place of an instance: the disk or the interface was unplugged. */
const GONE = '';

/** Of a control whose places are devices: those that are not there any more, not known as such yet. */
function newlyGone(control: Control, stored: JournalRecord, domain: Domain): readonly string[] {
  if (control.tellsApart !== true || domain.facts === null || domain.state === 'starting') return [];
  return Object.entries(stored.settings)
    .filter(([key, { instance }]) => instance !== GONE && control.place?.(key, domain) == null)
    .map(([key]) => key);
}

/** Where nothing is to be set, what has gone is noted all the same: another may come in its place. */
function withoutGone(control: Control, input: DomainInput): JournalRecord | null {
  const stored = input.record(control.id);
  const gone = stored === null ? [] : newlyGone(control, stored, input.domain);
  if (stored === null || gone.length === 0) return null;
  return { ...stored, settings: carriedOver(stored, stored.instance, gone) };
}

function whyWritten(
  control: Control,
  record: JournalRecord | null,
  setting: Setting,
  actual: string | null,
  input: DomainInput,
): Why {
  if (input.occasion === 'start') return 'start';
  if (input.held(control.id, setting.key, setting.text)) return 'drift';
  const prior = record?.settings[setting.key];
  const sameInstance =
    record !== null && prior !== undefined && confirmedIn(record, prior) === instanceFor(control, input.domain);
  const foreign = sameInstance && actual !== prior.original.text;
  // Neither the original nor anything of ours: someone else wrote while the daemon was away.
  return foreign && actual !== null && !prior.written.includes(actual) ? 'drift' : input.occasion;
}
