/**
 * What the daemon remembers of each running guest between two looks: never a value to act on (those are read from the
 * kernel), only what tells drift from a change of mind, a start from a policy edit.
 */
import type { Domain } from '../domains/types.js';
import type { EffectiveClass } from '../policy/types.js';
import { instanceOf } from './originals.js';
import type { Why } from './types.js';

interface Seen {
  instance: string;
  /** The start is over and all settings have held once: from here on a difference is somebody's doing. */
  settled: boolean;
  /** The daemon saw this instance start. */
  sawStart: boolean;
  /** vCPUs, disks and interfaces that it had when all settings last held. */
  devices: string;
  schedules: string;
  /** Setting key → text that was seen to hold. */
  readonly held: Map<string, string>;
}

export class Memory {
  readonly #seen = new Map<string, Seen>();

  /** Why a difference would be there if nobody has touched our value. */
  occasion(domain: Domain, effective: EffectiveClass | null): Why {
    const seen = this.#seen.get(domain.uuid);
    if (seen === undefined || seen.instance !== instanceOf(domain))
      return domain.state === 'starting' ? 'start' : 'policy';
    if (seen.sawStart && !seen.settled) return 'start';
    if (effective !== null && seen.schedules !== effective.openSchedules.join()) return 'schedule';
    if (seen.devices !== devicesOf(domain)) return 'hotplug';
    return 'policy';
  }

  held(domain: Domain, key: string, text: string): boolean {
    const seen = this.#seen.get(domain.uuid);
    return seen !== undefined && seen.instance === instanceOf(domain) && seen.settled && seen.held.get(key) === text;
  }

  /** The texts that hold after this look. `settled`: every setting that is due holds and the guest's start is over. */
  note(domain: Domain, effective: EffectiveClass | null, held: ReadonlyMap<string, string>, allHold: boolean): void {
    const [instance, devices] = [instanceOf(domain), devicesOf(domain)];
    let seen = this.#seen.get(domain.uuid);
    if (seen === undefined || seen.instance !== instance) {
      const sawStart = domain.state === 'starting';
      seen = { instance, settled: false, sawStart, devices, schedules: '', held: new Map() };
      this.#seen.set(domain.uuid, seen);
    }
    if (allHold && domain.state !== 'starting') seen.settled = true;
    // What went with a device and comes back with another has been changed by nobody.
    if (seen.devices !== devices) seen.held.clear();
    // QEMU is asked about a new disk first, so its limit follows a look later.
    if (allHold) seen.devices = devices;
    seen.schedules = effective?.openSchedules.join() ?? '';
    for (const [key, text] of held) seen.held.set(key, text);
  }

  /** Values that we give back are ours no more: asked for again later, they are new. */
  giveUp(uuid: string, keys: Iterable<string>): void {
    const seen = this.#seen.get(uuid);
    for (const key of keys) seen?.held.delete(key);
  }

  forget(uuid: string): void {
    this.#seen.delete(uuid);
  }

  uuids(): string[] {
    return [...this.#seen.keys()];
  }
}

/** What hotplug changes. */
function devicesOf({ vcpuGroups, facts }: Domain): string {
  const disks = facts?.tuning.disks.map(({ target }) => target) ?? [];
  const interfaces = facts?.tuning.interfaces.map(({ mac, device }) => `${mac}@${device}`) ?? [];
  return [...vcpuGroups, ...disks, ...interfaces].join();
}
