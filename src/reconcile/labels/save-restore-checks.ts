/**
 * Whether a guest may be saved and restored for its new label, and how long it would stand still. Pure but for what it is
 * given. Source: virDomainManagedSave; QEMU refuses devices that cannot migrate, here it is said before anything is paused.
 */
import type { Desired } from '../../controls/control.js';
import { wearsAlready } from '../../controls/svirt-label.js';
import type { Domain } from '../../domains/types.js';
import { type FreeSpace, savedBytesAtMost } from '../../host/libvirt/save-space.js';
import type { EffectiveClass } from '../../policy/types.js';
import { roundedSize } from '../../units.js';

export interface Candidate {
  readonly domain: Domain;
  /** Seclabel text that its definition has. */
  readonly to: string;
  /** Why not; null when it may be. */
  readonly refused: string | null;
  readonly maxDowntimeMs: number;
  readonly estimateMs: number;
  /** Of its memory, from which the estimate is made. */
  readonly bytes: number;
}

export interface CandidateInput {
  readonly domain: Domain;
  readonly effective: EffectiveClass;
  readonly desired: Desired;
  /** What stands in the definition. */
  readonly defined: string | null;
  /** What is charged to it now; null when that is not known. */
  readonly usedBytes: number | null;
  /** Where libvirt keeps saved guests. */
  readonly space: FreeSpace;
  /** As measured on this host; null: never yet. */
  readonly bytesPerSecond: number | null;
}

/** A modest disk, until this host has shown what it does. */
const BYTES_PER_SECOND = 100e6;
/** Taking a guest down and up takes libvirt and QEMU this long, whatever its size. */
const FIXED_MS = 1_000;
/** What is over sooner, or is less, tells of the cache and of libvirt, not of the disk. */
const MEASURED_LEAST_MS = 100;
const MEASURED_LEAST_BYTES = 16 * 2 ** 20;

/** Null for a guest that does not want it. */
export function candidateOf(input: CandidateInput): Candidate | null {
  const { domain, effective, desired, defined } = input;
  const to = desired.kind === 'set' ? desired.settings[0]?.text : undefined;
  if (effective.values.get('svirt.apply')?.value !== 'save-restore' || to === undefined) return null;
  // Not before the definition has it: the next start of the guest must be the same as this one.
  if (defined !== to || domain.security?.process == null || wearsAlready(domain, to)) return null;
  const maxSeconds = effective.values.get('svirt.max-downtime')?.value as number | undefined;
  const maxDowntimeMs = (maxSeconds ?? 0) * 1000;
  const { memoryBytes = 0, hugepages = false } = domain.facts?.hardware ?? {};
  // Huge pages are charged to nobody here.
  const bytes = hugepages ? memoryBytes : Math.min(input.usedBytes ?? memoryBytes, memoryBytes);
  // Written and read back.
  const estimateMs = FIXED_MS + (2 * bytes * 1000) / (input.bytesPerSecond ?? BYTES_PER_SECOND);
  const refused = obstacleOf(input, maxSeconds === undefined ? null : maxDowntimeMs, estimateMs);
  return { domain, to, refused, maxDowntimeMs, estimateMs, bytes };
}

/** Bytes a second of a whole way there and back, as the estimate reckons with; null where it was too short to tell. */
export function measuredSpeed(bytes: number, downtimeMs: number): number | null {
  const movingMs = downtimeMs - FIXED_MS;
  return movingMs < MEASURED_LEAST_MS || bytes < MEASURED_LEAST_BYTES ? null : (2 * bytes * 1000) / movingMs;
}

function obstacleOf(input: CandidateInput, maxDowntimeMs: number | null, estimateMs: number): string | null {
  const { domain, space, bytesPerSecond } = input;
  const { facts, state } = domain;
  if (facts === null) return 'libvirt has not described it yet';
  const { hardware } = facts;
  if (maxDowntimeMs === null) return 'no svirt.max-downtime allows it to stand still';
  if (!facts.persistent) return 'a transient domain is gone once it is off';
  if (state !== 'running') return `it is ${state}; only a guest that runs is saved and restored`;
  if (hardware.vfio) return 'it has a device of the host (VFIO), whose state cannot be saved';
  if (hardware.vhostUser === true) return 'it has a vhost-user device, which outlives it and loses its state';
  if (hardware.invtsc === true) return 'its CPU has invtsc, with which it cannot be saved';
  if (hardware.encrypted) return 'its memory is encrypted and cannot be saved';
  if (estimateMs > maxDowntimeMs) {
    const measured = bytesPerSecond === null ? 'assumed' : 'measured';
    const speed = `${roundedSize(bytesPerSecond ?? BYTES_PER_SECOND)}/s ${measured}`;
    return `it would stand still for about ${Math.ceil(estimateMs / 1000)} s (${speed}), over svirt.max-downtime`;
  }
  if (!space.ok) return `the space where libvirt keeps saved guests cannot be told: ${space.reason}`;
  const needed = savedBytesAtMost(hardware);
  if (space.freeBytes >= needed) return null;
  return `it may need ${roundedSize(needed)} on disk, and ${roundedSize(space.freeBytes)} are free where libvirt keeps saved guests`;
}
