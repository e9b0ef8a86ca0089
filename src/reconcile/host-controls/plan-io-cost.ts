/**
 * On which whole disks the io cost controller has to be on for the disk.weight of guests to count, where their class
 * allows it (disk.iocost), and what has to be written for it. Pure. The kernel keeps io.weight on a disk only while the
 * controller is on for it, and it concerns everybody on that disk; so it goes on for guests that need it alone, never
 * where BFQ keeps weights or where it was on before, and off again when the last of them is gone.
 */
import type { Domain, HostDisk } from '../../domains/types.js';
import type { EffectiveClass } from '../../policy/types.js';
import type { JournaledSetting, JournalRecord } from '../journal-format.js';
import { HOST, type HostPlan, type HostStatus, type HostWrite } from './plan-host.js';

export const IO_COST_CONTROL = 'host.io-cost';
export const ON = 'enable=1';
const OFF = 'enable=0';
const KEY = 'io.cost.qos ';

/** `io.cost.qos 254:0`, as settings of one device are called elsewhere. */
export const keyOf = (device: string): string => `${KEY}${device}`;
export const deviceOf = (key: string): string => key.slice(KEY.length);

export interface IoCostGuest {
  readonly domain: Domain;
  /** Null when that is not known now: what was switched on stays on. */
  readonly asked: boolean | null;
  readonly handsOff: 'held' | 'released' | null;
  /** A weight of ours is on record for it. */
  readonly weighted: boolean;
}

export interface IoCostNeed {
  readonly name: string;
  /** Of a guest that is held or cannot be acted on alone: what is on for it stays on, nothing is switched on. */
  readonly keepOnly: boolean;
}

export interface IoCostNeeds {
  /** By the whole disk's number. */
  readonly disks: ReadonlyMap<string, IoCostNeed>;
  /** False while it cannot be told of all guests what they need. */
  readonly known: boolean;
}

export function asksForIoCost(effective: EffectiveClass): boolean {
  return effective.values.get('disk.iocost')?.value === true && effective.values.has('disk.weight');
}

export function needsOf(guests: Iterable<IoCostGuest>): IoCostNeeds {
  const disks = new Map<string, IoCostNeed>();
  let known = true;
  for (const guest of guests) {
    const { domain, asked, handsOff, weighted } = guest;
    if (domain.process === null || handsOff === 'released') continue;
    if (asked === false && !(handsOff === 'held' && weighted)) continue;
    if (domain.groups.io?.version !== 2) {
      // Its groups cannot be told now: its weight stands there all the same.
      known &&= domain.obstacle === null || !weighted;
      continue;
    }
    if (asked === null || domain.facts === null) {
      known = false;
      continue;
    }
    const keepOnly = handsOff === 'held' || domain.obstacle !== null;
    const under = disksUnder(domain);
    known &&= under.known;
    for (const { device, name, weightsKeptBy } of under.disks) {
      if (weightsKeptBy === 'bfq') continue;
      disks.set(device, { name, keepOnly: keepOnly && disks.get(device)?.keepOnly !== false });
    }
  }
  return { disks, known };
}

/** The whole disks that a guest stands on, as far as they have been looked up. */
function disksUnder({ facts, hostDevices }: Domain): { readonly disks: readonly HostDisk[]; readonly known: boolean } {
  const local = facts?.tuning.disks.filter(({ path }) => path !== null) ?? [];
  const devices = local.map(({ target }) => hostDevices.get(target));
  return {
    disks: devices.flatMap((device) => (device?.ok === true ? device.disks : [])),
    known: !devices.includes(undefined),
  };
}

export interface IoCostInput {
  readonly needs: IoCostNeeds['disks'];
  /** Of this boot. */
  readonly record: JournalRecord | null;
  readonly bootId: string;
  /** Of the root group's file. */
  readonly path: string;
  /** `enable=1` or `enable=0`; null when the file cannot be read. */
  read(device: string): string | null;
  /** Was seen to be on by this daemon. */
  held(device: string): boolean;
  /** A write that has not come back may still be carried out. */
  unsettled(device: string): boolean;
  /** False while it is not known what all guests need. */
  readonly mayTurnOff: boolean;
  /** Why what is ours goes. */
  readonly leaving: 'leave' | 'release';
}

export interface IoCostState {
  readonly device: string;
  /** `vda`; null when no guest stands on it any more. */
  readonly name: string | null;
  readonly desired: boolean;
  /** Null when it cannot be read. */
  readonly actual: boolean | null;
  /** False: it was on before. */
  readonly ours: boolean;
  readonly write: HostWrite | null;
}

export interface IoCostPlan extends HostPlan<HostWrite> {
  readonly states: readonly IoCostState[];
}

export interface IoCostStatus extends HostStatus {
  readonly device: string;
  readonly name: string | null;
  readonly desired: boolean;
  readonly actual: boolean | null;
  readonly ours: boolean;
}

export function planIoCost(input: IoCostInput): IoCostPlan {
  const { needs, record, bootId } = input;
  const recorded = Object.keys(record?.settings ?? {}).map(deviceOf);
  const states: IoCostState[] = [];
  const settings: Record<string, JournaledSetting> = {};
  for (const device of [...new Set([...needs.keys(), ...recorded])].toSorted()) {
    const { keep, state } = planOne(device, record?.settings[keyOf(device)] ?? null, input);
    if (keep !== null) settings[keyOf(device)] = keep;
    if (state !== null) states.push(state);
  }
  const empty = Object.keys(settings).length === 0;
  return {
    states,
    writes: states.flatMap(({ write }) => (write === null ? [] : [write])),
    record: empty ? null : { uuid: HOST, name: HOST, control: IO_COST_CONTROL, instance: bootId, settings },
  };
}

interface PlannedOne {
  readonly keep: JournaledSetting | null;
  /** Null when it is nobody's concern. */
  readonly state: IoCostState | null;
}

function planOne(device: string, prior: JournaledSetting | null, input: IoCostInput): PlannedOne {
  const need = input.needs.get(device);
  const text = input.read(device);
  const actual = text === null ? null : text === ON;
  const unsettled = prior !== null && input.unsettled(device);
  const wanted = need !== undefined && (!need.keepOnly || actual === true);
  const base = { device, name: need?.name ?? null, actual, ours: prior !== null, write: null };
  const stays = (desired: boolean): PlannedOne => ({ keep: prior, state: { ...base, desired } });
  if (unsettled) return stays(wanted);
  if (text === null) return need === undefined && prior === null ? { keep: null, state: null } : stays(wanted);
  if (wanted) {
    if (actual === true) return stays(true);
    const why = prior !== null && input.held(device) ? 'drift' : 'policy';
    const write = { ...writeOf(device, text, ON, input), action: prior === null ? 'add' : 'change', why } as const;
    const original = { text: OFF, from: 'kernel' } as const;
    return { keep: { original, written: [ON] }, state: { ...base, desired: true, ours: true, write } };
  }
  // Nothing of ours stands here; or somebody else has switched it off, as we would.
  if (prior === null || (need === undefined && actual === false)) return { keep: null, state: null };
  if (need !== undefined || !input.mayTurnOff) return stays(actual === true);
  const write = { ...writeOf(device, text, OFF, input), action: 'restore', why: input.leaving } as const;
  return { keep: prior, state: { ...base, desired: false, write } };
}

function writeOf(device: string, from: string, text: string, { path }: IoCostInput): Omit<HostWrite, 'action' | 'why'> {
  return { key: keyOf(device), path, from, text };
}
