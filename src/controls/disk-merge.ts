/**
 * One text holds all limits of a disk, and a class asks for some of them: ours over what others have set beside them, and
 * what would stand there without ours. Pure.
 */

import type { DiskThrottle, ThrottleField } from '../domains/types.js';
import { formatDiskThrottle, parseDiskThrottle } from '../text/disk-throttle.js';
import { formatIoMax, type IoMax, NO_IO_LIMIT, parseIoMax } from '../text/io-max.js';
import { type AskedLimits, bucketSeconds, KINDS, throttleFromIoMax } from './disk-amounts.js';

type Fields = Partial<Record<ThrottleField, number>>;

/** A limit of all takes the place of one on its parts, and the other way round: QEMU refuses both at once. */
const RIVALS: readonly (readonly [whole: ThrottleField, parts: readonly ThrottleField[]])[] = [
  ['total_bytes_sec', ['read_bytes_sec', 'write_bytes_sec']],
  ['total_iops_sec', ['read_iops_sec', 'write_iops_sec']],
];

/** Limits that no key asks for are kept, save those that contradict. */
export function throttleOver(standing: DiskThrottle | null, asked: AskedLimits): DiskThrottle {
  const { limits, bursts, burstSeconds } = asked;
  const fields: Fields = { ...standing?.fields };
  const clear = (field: ThrottleField): void => {
    for (const name of trio(field)) delete fields[name];
  };
  for (const { field } of limits.keys()) {
    for (const [whole, parts] of RIVALS) {
      if (field === whole) parts.forEach(clear);
      else if (parts.includes(field)) clear(whole);
    }
  }
  for (const [kind, amount] of limits) {
    clear(kind.field);
    const [limit, most, length] = trio(kind.field);
    fields[limit] = amount;
    const burst = bursts.get(kind);
    if (burst === undefined) continue;
    fields[most] = burst;
    fields[length] = bucketSeconds(burstSeconds, amount, burst);
  }
  return { fields, group: standing?.group ?? null };
}

export function ioMaxOver(standing: IoMax | null, { limits }: AskedLimits): IoMax {
  const none: IoMax = { readBytes: null, writeBytes: null, readOperations: null, writeOperations: null };
  const wanted: { -readonly [K in keyof IoMax]: number | null } = { ...(standing ?? none) };
  for (const [{ ioMax }, amount] of limits) if (ioMax !== null) wanted[ioMax] = amount;
  return wanted;
}

/** {@link beneath} for two texts of QEMU's throttle, and what we have written. */
export function throttleBeneath(standing: string, original: string, written: readonly string[]): string {
  const now = parseDiskThrottle(standing);
  const before = parseDiskThrottle(original);
  if (now === null || before === null) return original;
  const ours = written.flatMap((text) => parseDiskThrottle(text)?.fields ?? []);
  const fields = beneath(now.fields, before.fields, ours);
  return formatDiskThrottle({ fields, group: Object.keys(now.fields).length === 0 ? before.group : now.group });
}

export function ioMaxBeneath(standing: string, original: string, written: readonly string[]): string {
  const fieldsOf = (text: string): Fields | null => {
    const value = parseIoMax(text);
    return value === null ? null : throttleFromIoMax(value).fields;
  };
  const [now, before] = [fieldsOf(standing), fieldsOf(original)];
  if (now === null || before === null) return original;
  const fields = beneath(
    now,
    before,
    written.flatMap((text) => fieldsOf(text) ?? []),
  );
  const value: { -readonly [K in keyof IoMax]: number | null } = { ...(parseIoMax(NO_IO_LIMIT) as IoMax) };
  for (const { field, ioMax } of KINDS) if (ioMax !== null) value[ioMax] = fields[field] || null;
  return formatIoMax(value);
}

/**
 * What would stand without ours: a limit that we have written gives way to the one before it, any other is somebody
 * else's and stays. Where theirs contradicts one before ours, theirs stays alone.
 */
function beneath(standing: Fields, original: Fields, written: readonly Fields[]): Fields {
  const fields: Fields = { ...standing };
  const same = (one: Fields, other: Fields, names: readonly ThrottleField[]): boolean =>
    names.every((name) => (one[name] ?? 0) === (other[name] ?? 0));
  for (const [whole, parts] of RIVALS) {
    const family: Fields = {};
    for (const field of [whole, ...parts]) {
      const names = trio(field);
      const rivals = field === whole ? parts : [whole];
      // We take a limit away only where ours contradicts it: elsewhere that there is none is nobody's doing.
      const isSaid = (text: Fields): boolean => Boolean(text[field]) || rivals.some((rival) => text[rival]);
      const ours = written.some((text) => same(text, standing, names) && !same(text, original, names) && isSaid(text));
      for (const name of names) family[name] = (ours ? original : standing)[name] ?? 0;
    }
    if (family[whole] && parts.some((part) => family[part])) continue;
    Object.assign(fields, family);
  }
  return fields;
}

/** A limit, its burst and how long that lasts. */
function trio(field: ThrottleField): readonly [ThrottleField, ThrottleField, ThrottleField] {
  return [field, `${field}_max` as ThrottleField, `${field}_max_length` as ThrottleField];
}
