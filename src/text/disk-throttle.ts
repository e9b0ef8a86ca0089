/**
 * The text of a disk's throttle, the form in which disk limits are compared, journaled and shown: `none`, or
 * `read_iops_sec=500 write_iops_sec=200 group=NAME`, fields in libvirt's order. Two throttles that QEMU cannot tell apart
 * have the same text, whether they come from domain XML, from QEMU or from a policy.
 * Source: https://libvirt.org/formatdomain.html, `<iotune>`; util/throttle.c of QEMU.
 */
import { type DiskThrottle, THROTTLE_FIELDS, type ThrottleField } from '../domains/types.js';

export const NO_THROTTLE: DiskThrottle = { fields: {}, group: null };

/** virDomainSetBlockIoTune takes no more (QEMU_BLOCK_IOTUNE_MAX). */
const VALUE_MAX = 1e15;
const NONE = 'none';

/**
 * The same throttle with nothing said twice. A burst lasts 1 s unless told otherwise, and without a burst its length
 * means nothing (libvirt's XML may keep a 1 there); a group without a limit throttles nothing, and libvirt takes a disk
 * whose last limit goes out of its group.
 */
export function canonicalThrottle({ fields, group }: DiskThrottle): DiskThrottle {
  const kept: Partial<Record<ThrottleField, number>> = {};
  for (const name of THROTTLE_FIELDS) {
    const value = fields[name] ?? 0;
    if (value === 0 || (isLength(name) && (value === 1 || !fields[burstOf(name)]))) continue;
    kept[name] = value;
  }
  return Object.keys(kept).length === 0 ? NO_THROTTLE : { fields: kept, group };
}

export function formatDiskThrottle(throttle: DiskThrottle): string {
  const { fields, group } = canonicalThrottle(throttle);
  const words = Object.entries(fields).map(([name, value]) => `${name}=${value}`);
  if (words.length === 0) return NONE;
  return [...words, ...(group === null ? [] : [`group=${escapeName(group)}`])].join(' ');
}

/** Null for a text that formatDiskThrottle does not give. */
export function parseDiskThrottle(text: string): DiskThrottle | null {
  if (text === NONE) return NO_THROTTLE;
  const fields: Partial<Record<ThrottleField, number>> = {};
  let group: string | null = null;
  for (const word of text.split(' ')) {
    const equals = word.indexOf('=');
    const [name, value] = [word.slice(0, equals), word.slice(equals + 1)];
    const field = THROTTLE_FIELDS.find((known) => known === name);
    if (field !== undefined) fields[field] = Number(value);
    else if (name === 'group') group = unescapeName(value);
    else return null;
  }
  const throttle = { fields, group };
  const valid = Object.values(fields).every((value) => Number.isInteger(value) && value > 0 && value <= VALUE_MAX);
  return valid && formatDiskThrottle(throttle) === text ? throttle : null;
}

function isLength(name: ThrottleField): boolean {
  return name.endsWith('_max_length');
}

/** `total_iops_sec_max` of `total_iops_sec_max_length`. */
function burstOf(length: ThrottleField): ThrottleField {
  return length.slice(0, -'_length'.length) as ThrottleField;
}

/** A group's name may be a tenant's: what is not plain ASCII, a space among it, as the `%xx` of its UTF-8 bytes. */
function escapeName(name: string): string {
  return name.replace(/[^!-$&-~]+/gu, (part) =>
    [...new TextEncoder().encode(part)].map((byte) => `%${byte.toString(16).padStart(2, '0')}`).join(''),
  );
}

function unescapeName(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
