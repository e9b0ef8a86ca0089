/**
 * What can be seen at an address of one guest: its cgroup files through the handles that are open, groups above it
 * through those that all guests share, and what is no file (QEMU's throttles, the queues of its taps) through whoever
 * reads those. One way for plan, apply and picture to look.
 */
import { dirname } from 'node:path';
import type { Sight } from '../controls/control.js';
import type { AncestorGroups } from './ancestors.js';
import type { DomainHandles } from './handles.js';
import type { Address, Domain } from './types.js';

/** Reads addresses with a scheme: `qemu:vda`, `tap:vnet0/in`. */
export interface DeviceSight {
  read(domain: Domain, address: Address): string | null;
  /** Why there is no such place; null when there is one, or that is not known yet. */
  problem(domain: Domain, address: Address): string | null;
}

/** Of a guest that is not there nothing can be seen. */
export const BLIND: Sight = { read: () => null, exists: () => true, problem: () => null };

export function sightOf(
  current: () => { readonly domain: Domain; readonly handles: DomainHandles | null },
  ancestors: AncestorGroups,
  devices: DeviceSight,
): Sight {
  return {
    read(address) {
      const { domain, handles } = current();
      if (!address.path.startsWith('/')) return devices.read(domain, address);
      if (handles === null) return null;
      return isAbove(domain, address) ? ancestors.read(address, handles) : handles.read(address);
    },
    exists(address) {
      const { domain, handles } = current();
      if (!address.path.startsWith('/')) return devices.problem(domain, address) === null;
      if (handles === null) return true;
      return isAbove(domain, address) ? ancestors.exists(address, handles) : handles.exists(address);
    },
    problem: (address) => (address.path.startsWith('/') ? null : devices.problem(current().domain, address)),
  };
}

function isAbove({ cgroup, groups }: Domain, { path }: Address): boolean {
  const directory = dirname(path);
  return [cgroup, ...Object.values(groups)].some((group) => group?.ancestors.includes(directory) === true);
}
