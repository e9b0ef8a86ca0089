/** What the memory controls share: where their files are, amounts in bytes, texts and words. Pure. */
import { basename, join } from 'node:path';
import type { ControllerGroup, Domain, Hardware } from '../domains/types.js';
import type { MemoryParameters, TuneCall } from '../host/libvirt/client.js';
import type { UnitProperty } from '../host/systemd/properties.js';
import type { MemoryAmount } from '../policy/memory-values.js';
import { formatSize } from '../units.js';
import { type Place, type Tell, UNIT_INFINITY } from './control.js';

export const NO_LIMIT = 'max';
/** VIR_DOMAIN_MEMORY_PARAM_UNLIMITED */
const UNLIMITED_KIB = 9_007_199_254_740_991n;

/** systemd's names for the files that it owns in a scope. */
const PROPERTIES: Readonly<Record<string, UnitProperty>> = {
  'memory.min': 'MemoryMin',
  'memory.low': 'MemoryLow',
  'memory.high': 'MemoryHigh',
  'memory.max': 'MemoryMax',
  'memory.swap.max': 'MemorySwapMax',
};

/**
 * The guest's own level; null where nobody can set it. Below the scope it is libvirt's and ours; where the scope itself is
 * all there is, systemd's, which has no property for v1's sum of memory and swap.
 */
export function memoryPlace(file: string, depth: number, { groups, source }: Domain): Place | null {
  const group = groups.memory;
  if (group === undefined) return null;
  const path = join(group.domainDir, file);
  if (!group.systemdOwned || group.domainDir !== group.weightDir) return { path, writer: 'direct', depth };
  if (group.version === 1 && source === 'libvirt') return { path, writer: 'libvirt', depth };
  return PROPERTIES[file] === undefined ? null : { path, writer: 'systemd', depth };
}

/** The scope around the guest's own level; null where there is none. */
export function scopePlace(file: string, group: ControllerGroup): Place | null {
  if (group.domainDir === group.weightDir) return null;
  return { path: join(group.weightDir, file), writer: group.systemdOwned ? 'systemd' : 'direct', depth: 0 };
}

/** What systemd is told of a file of its own. */
export function unitTell(directory: string, texts: Iterable<readonly [file: string, text: string]>): Tell | null {
  const properties = [...texts].flatMap(([file, text]) => {
    const name = PROPERTIES[file];
    const bytes = bytesOf(text);
    return name === undefined || bytes === null
      ? []
      : [{ name, value: bytes === Number.POSITIVE_INFINITY ? UNIT_INFINITY : BigInt(bytes) }];
  });
  return properties.length === 0 ? null : { calls: [], units: [{ unit: basename(directory), properties }] };
}

/** What systemd is told where it owns the guest's level, and libvirt where it runs the guest and has a parameter for it. */
export function memoryTell(file: string, parameter: keyof MemoryParameters, text: string, domain: Domain): Tell | null {
  const bytes = bytesOf(text);
  const group = domain.groups.memory;
  if (bytes === null || group === undefined) return null;
  const kib = bytes === Number.POSITIVE_INFINITY ? UNLIMITED_KIB : BigInt(Math.floor(bytes / 1024));
  const calls: TuneCall[] = domain.source === 'libvirt' ? [{ call: 'memory', parameters: { [parameter]: kib } }] : [];
  const owned = memoryPlace(file, 0, domain)?.writer === 'systemd';
  const units = owned ? (unitTell(group.domainDir, [[file, text]])?.units ?? []) : [];
  return calls.length + units.length === 0 ? null : { calls, units };
}

/** Why no memory control can act on it; null when one can. */
export function memoryObstacle(domain: Domain): string | null {
  if (domain.groups.memory !== undefined) return null;
  return domain.reasons.memory ?? 'it has no memory cgroup of its own';
}

/** Guests whose memory cannot be reclaimed: a limit would not slow them down but kill them. */
export function pinnedMemory(hardware: Hardware): string | null {
  if (hardware.vfio) return 'a device of the host is handed through to it, which pins all its memory';
  if (hardware.locked) return 'its memory is locked';
  return hardware.hugepages ? 'its memory is huge pages, which this controller does not count' : null;
}

/** Whole pages: what the kernel makes of any number. */
export function amountBytes(amount: MemoryAmount, hardware: Hardware, pageBytes: number): number {
  const bytes = amount.unit === 'bytes' ? amount.bytes : amount.fraction * hardware.memoryBytes;
  return Math.floor(bytes / pageBytes) * pageBytes;
}

/** Infinity for `max`; null for a text that is no size. */
export function bytesOf(text: string | null): number | null {
  if (text === NO_LIMIT) return Number.POSITIVE_INFINITY;
  return text !== null && /^\d{1,16}$/.test(text) ? Number(text) : null;
}

export function sizeWords(text: string | null, none: string): string {
  const bytes = bytesOf(text);
  if (bytes === null) return 'unreadable';
  return bytes === Number.POSITIVE_INFINITY ? none : formatSize(bytes);
}

/** A figure for the metrics: null = no limit. */
export function figure(text: string | null): number | null | undefined {
  const bytes = bytesOf(text);
  return bytes === null ? undefined : bytes === Number.POSITIVE_INFINITY ? null : bytes;
}
