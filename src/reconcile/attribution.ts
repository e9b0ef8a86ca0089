/**
 * Who changed a value of ours. libvirt announces what is changed through it (VIR_DOMAIN_EVENT_ID_TUNABLE), by us too;
 * an announcement that is not of our own doing, near in time, names libvirt. Otherwise it is unknown.
 */
import { THROTTLE_FIELDS } from '../domains/types.js';
import type { TuneCall } from '../host/libvirt/client.js';
import { formatCpuList } from '../units.js';

/** How far the announcement may be from the moment in which the change was seen. */
const NEAR_MS = 2_000;

export class Attribution {
  readonly #foreign = new Map<string, number>();
  /** uuid → parameter → the value that we told last; controls are told apart from each other. */
  readonly #ours = new Map<string, Map<string, string>>();

  /** We are about to tell libvirt these values. */
  telling(uuid: string, calls: readonly TuneCall[]): void {
    const ours = this.#ours.get(uuid) ?? new Map<string, string>();
    for (const call of calls) for (const [name, value] of announcedBy(call)) ours.set(name, value);
    this.#ours.set(uuid, ours);
  }

  /** libvirt announced a change. True when it was somebody else's. */
  announced(uuid: string, parameters: Readonly<Record<string, string>>, nowMs: number): boolean {
    const ours = this.#ours.get(uuid);
    // A disk's values are announced under names that do not say which disk: the announcement as a whole does.
    const disk = parameters['blkdeviotune.disk'];
    const foreign = Object.entries(parameters).some(
      ([name, value]) => ours?.get(disk === undefined ? name : `${disk} ${name}`) !== value,
    );
    if (foreign) this.#foreign.set(uuid, nowMs);
    return foreign;
  }

  by(uuid: string, atMs: number): 'libvirt' | 'unknown' {
    const seen = this.#foreign.get(uuid);
    return seen !== undefined && Math.abs(seen - atMs) <= NEAR_MS ? 'libvirt' : 'unknown';
  }

  forget(uuid: string): void {
    this.#foreign.delete(uuid);
    this.#ours.delete(uuid);
  }
}

/** Names and values under which libvirt announces a call of ours (libvirt-domain.h, VIR_DOMAIN_TUNABLE_*). */
function announcedBy(call: TuneCall): readonly (readonly [string, string])[] {
  switch (call.call) {
    case 'scheduler':
      return Object.entries(call.parameters).map(([name, value]) => [`cputune.${name}`, String(value)]);
    case 'throttle':
      return [
        [`${call.disk} blkdeviotune.disk`, call.disk],
        [`${call.disk} blkdeviotune.group_name`, call.throttle.group ?? ''],
        ...THROTTLE_FIELDS.map(
          (field) => [`${call.disk} blkdeviotune.${field}`, String(call.throttle.fields[field] ?? 0)] as const,
        ),
      ];
    case 'pin':
      return [[`cputune.vcpupin${call.vcpu}`, formatCpuList(call.cpus)]];
    default:
      return [];
  }
}
