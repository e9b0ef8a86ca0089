/**
 * How far the groups above guests must be protected for memory.guarantee to hold, and what has to be written for it.
 * Pure. A group's memory.low (or memory.min) protects at most as far as that of the group above it, and groups side by
 * side that together claim more than the one above has share it in proportion; each of the two files counts by itself
 * (cgroup-v2.rst; mm/page_counter.c, effective_protection). So a group gets the sum of what the guests and the groups of
 * ours right below it have, in whole GiB, and never less than what others had set there.
 */
import { basename, dirname, join } from 'node:path';
import type { Desired } from '../../controls/control.js';
import { bytesOf } from '../../controls/memory-files.js';
import type { Domain } from '../../domains/types.js';
import type { JournaledSetting, JournalRecord } from '../journal-format.js';
import { orderWrites } from '../order.js';
import { instanceOf } from '../originals.js';
import type { Why } from '../types.js';
import { HOST, type HostPlan, type HostWrite } from './plan-host.js';

/** A guest more or less seldom needs a write. */
const STEP_BYTES = 1024 ** 3;
/** Values of ours that may still be under way to the kernel. */
const WRITTEN_MOST = 8;

const FILES = ['memory.low', 'memory.min'] as const;
export type ProtectionFile = (typeof FILES)[number];

/** What one guest is guaranteed in one of the files. */
export interface Claim {
  readonly file: ProtectionFile;
  readonly bytes: number;
  /** The groups above it, nearest first, without the root. */
  readonly ancestors: readonly string[];
}

export interface GuestGuarantee {
  readonly domain: Domain;
  /** What its class asks of memory.guarantee; null when that is not known now. */
  readonly desired: Desired | null;
  /** Of memory.guarantee. */
  readonly record: JournalRecord | null;
  readonly handsOff: 'held' | 'released' | null;
}

/** A guest that is held, or that cannot be acted on, has what was last given to it. */
export function claimsOf({ domain, desired, record, handsOff }: GuestGuarantee): Claim[] {
  const group = domain.groups.memory;
  if (group?.version !== 2 || handsOff === 'released') return [];
  const acted = handsOff === null && domain.obstacle === null;
  if (acted && desired?.kind === 'unmanaged') return [];
  const asked = desired?.kind === 'set' ? desired.settings : null;
  const given = record === null || record.instance !== instanceOf(domain) ? null : record.settings;
  const byClass = asked !== null && (acted || given === null);
  return FILES.flatMap((file) => {
    const text = byClass ? asked.find(({ key }) => key === file)?.text : given?.[file]?.written.at(-1);
    const bytes = bytesOf(text ?? null) ?? 0;
    return bytes > 0 ? [{ file, bytes, ancestors: group.ancestors }] : [];
  });
}

/** Full path of the file → bytes, at most those of the host. */
export function levelsFor(claims: readonly Claim[], hostMemoryBytes: number): Map<string, number> {
  const levels = new Map<string, number>();
  /** Path → that of the group above. */
  const above = new Map<string, string>();
  for (const { file, bytes, ancestors } of claims) {
    // Built by hand: there are many guests and few groups.
    const path = `${ancestors[0]}/${file}`;
    const before = levels.get(path);
    if (ancestors.length > 0) levels.set(path, (before ?? 0) + bytes);
    if (before !== undefined) continue;
    const paths = ancestors.map((directory) => join(directory, file));
    paths.forEach((one, at) => {
      levels.set(one, levels.get(one) ?? 0);
      const next = paths[at + 1];
      if (next !== undefined) above.set(one, next);
    });
  }
  for (const path of [...levels.keys()].toSorted((a, b) => depthOf(b) - depthOf(a))) {
    const bytes = Math.min(hostMemoryBytes, Math.ceil((levels.get(path) ?? 0) / STEP_BYTES) * STEP_BYTES);
    levels.set(path, bytes);
    const next = above.get(path);
    if (next !== undefined) levels.set(next, (levels.get(next) ?? 0) + bytes);
  }
  return levels;
}

export interface SliceInput {
  /** Full path of the file → bytes that it must have at least. */
  readonly levels: ReadonlyMap<string, number>;
  /** Of this boot. */
  readonly record: JournalRecord | null;
  readonly bootId: string;
  /** Text that stands there; null when it cannot be read. */
  read(path: string): string | null;
  /** The group is gone. Under systemd our value comes back with it. */
  gone(path: string): 'for good' | 'for now' | null;
  /** This text was seen to hold there by this daemon. */
  held(path: string, text: string): boolean;
  /** A call of ours that has not come back may still set a value. */
  unsettled(path: string): boolean;
  /** False while not all guests are known. */
  readonly mayLower: boolean;
  /** Why what is ours goes. */
  readonly leaving: 'leave' | 'release';
}

export interface SliceWrite extends HostWrite {
  readonly depth: number;
  readonly widens: boolean;
}

export interface SliceState {
  readonly path: string;
  readonly file: ProtectionFile;
  readonly desiredBytes: number;
  /** Null when it cannot be read. */
  readonly actualBytes: number | null;
  readonly write: SliceWrite | null;
}

/** Parents widen before what is below them, and narrow after it. */
export interface SlicePlan extends HostPlan<SliceWrite> {
  readonly states: readonly SliceState[];
}

export const SLICE_CONTROL = 'host.memory-guarantee';

export function planSlices(input: SliceInput): SlicePlan {
  const { levels, record } = input;
  const paths = new Set([...levels.keys(), ...Object.keys(record?.settings ?? {})]);
  const states: SliceState[] = [];
  const settings: Record<string, JournaledSetting> = {};
  for (const path of [...paths].toSorted(byGroup)) {
    const file = FILES.find((name) => name === basename(path));
    if (file === undefined) continue;
    const { keep, ...state } = planOne(path, file, record?.settings[path] ?? null, input);
    if (keep !== null) settings[path] = keep;
    // One that is gone with its guests is nobody's concern until it is back.
    if (levels.has(path) || (keep !== null && state.actualBytes !== null)) states.push(state);
  }
  const writes = states.flatMap(({ write }) => (write === null ? [] : [write]));
  const empty = Object.keys(settings).length === 0;
  const next = { uuid: HOST, name: HOST, control: SLICE_CONTROL, instance: input.bootId, settings };
  return { states, writes: orderWrites(writes), record: empty ? null : next };
}

interface PlannedOne extends SliceState {
  readonly keep: JournaledSetting | null;
}

function planOne(path: string, file: ProtectionFile, prior: JournaledSetting | null, input: SliceInput): PlannedOne {
  const neededBytes = input.levels.get(path) ?? 0;
  const actual = input.read(path);
  const actualBytes = bytesOf(actual);
  if (actual === null || actualBytes === null) {
    const keep = input.gone(path) === 'for good' ? null : prior;
    return { path, file, desiredBytes: neededBytes, actualBytes: null, write: null, keep };
  }
  const ours = prior?.written.includes(actual) ?? false;
  const untouched = actual === prior?.original.text;
  // What somebody else has set since is what they get back.
  const original = prior !== null && (ours || untouched) ? prior.original : ({ text: actual, from: 'kernel' } as const);
  const originalBytes = bytesOf(original.text) ?? 0;
  const restores = originalBytes >= neededBytes;
  const desiredBytes = restores ? originalBytes : neededBytes;
  const text = restores ? original.text : String(neededBytes);
  const base = { path, file, desiredBytes, actualBytes };
  const unsettled = prior !== null && input.unsettled(path);
  const lowers = desiredBytes < actualBytes;
  if (lowers && !input.mayLower) return { ...base, desiredBytes: actualBytes, write: null, keep: prior };
  if (text === actual && !unsettled) return { ...base, write: null, keep: restores ? null : prior };
  const write: SliceWrite = {
    key: path,
    path,
    from: actual,
    text,
    action: restores ? 'restore' : prior === null ? 'add' : 'change',
    why: whyWritten({ path, prior, ours, untouched, restores }, input),
    depth: depthOf(path),
    widens: desiredBytes > actualBytes,
  };
  const written = restores ? (prior?.written ?? []) : nextWritten(prior, actual, text, unsettled);
  return { ...base, write, keep: { original, written } };
}

interface Found {
  readonly path: string;
  readonly prior: JournaledSetting | null;
  readonly ours: boolean;
  readonly untouched: boolean;
  readonly restores: boolean;
}

function whyWritten({ path, prior, ours, untouched, restores }: Found, input: SliceInput): Why {
  if (restores) return input.leaving;
  const last = prior?.written.at(-1);
  if (ours || prior === null || last === undefined) return 'policy';
  // Neither the original nor anything of ours: someone wrote while the daemon was away.
  return !untouched || input.held(path, last) ? 'drift' : 'policy';
}

/** Once the last value is seen to stand, none before it can come any more. */
function nextWritten(prior: JournaledSetting | null, actual: string, text: string, unsettled: boolean): string[] {
  const before = prior?.written ?? [];
  const possible = before.at(-1) === actual && !unsettled ? [actual] : before;
  return [...possible.filter((one) => one !== text), text].slice(-WRITTEN_MOST);
}

/** The groups above come first. */
function byGroup(a: string, b: string): number {
  const [above, other] = [dirname(a), dirname(b)];
  if (above !== other) return above < other ? -1 : 1;
  return a < b ? -1 : 1;
}

function depthOf(path: string): number {
  return dirname(path).split('/').length;
}
