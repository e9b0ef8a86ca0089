/**
 * Who changed a value of ours. libvirt announces what is changed through it (VIR_DOMAIN_EVENT_ID_TUNABLE), by us too;
 * an announcement that is not of our own doing, near in time, names libvirt. Otherwise it is unknown.
 */
import type { SchedulerParameters } from '../host/libvirt/client.js';

/** How far the announcement may be from the moment in which the change was seen. */
const NEAR_MS = 2_000;

export class Attribution {
  readonly #foreign = new Map<string, number>();
  /** uuid → parameter → the value that we told last; controls are told apart from each other. */
  readonly #ours = new Map<string, Map<string, string>>();

  /** We are about to tell libvirt these values. */
  telling(uuid: string, parameters: SchedulerParameters): void {
    const ours = this.#ours.get(uuid) ?? new Map<string, string>();
    for (const [name, value] of Object.entries(parameters)) ours.set(name, String(value));
    this.#ours.set(uuid, ours);
  }

  /** libvirt announced a change. True when it was somebody else's. */
  announced(uuid: string, parameters: Readonly<Record<string, string>>, nowMs: number): boolean {
    const ours = this.#ours.get(uuid);
    const foreign = Object.entries(parameters).some(
      ([name, value]) => ours?.get(name.replace(/^cputune\./, '')) !== value,
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
