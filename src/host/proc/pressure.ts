/**
 * Reads the kernel's pressure files: those of the host (/proc/pressure) and those of one group. A kernel without PSI,
 * one started with psi=0, and a group with cgroup.pressure=0 have none (ENOENT, EOPNOTSUPP): that is normal. On a hybrid
 * host the groups of the v2 tree have them, though no controller is there. Source: Documentation/accounting/psi.rst.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { PRESSURE_RESOURCES, type PressureReading, parsePressure, type StallSeconds } from '../../signals/pressure.js';
import type { PressureResource } from '../../snapshot/signals.js';
import type { Group } from '../cgroup/group.js';

/** Null when the host has no PSI: its groups have none either then, and need not be asked. */
export function readHostPressure(procRoot: string, atMonotonicMs: number): PressureReading | null {
  return readAll((resource) => {
    try {
      return readFileSync(join(procRoot, 'pressure', resource), 'latin1');
    } catch {
      return null;
    }
  }, atMonotonicMs);
}

/** `group`: in a v2 tree. Keeps the descriptors of its three files. Null when it has none of them. */
export function readGroupPressure(group: Group, atMonotonicMs: number): PressureReading | null {
  return readAll((resource) => group.read(`${resource}.pressure`), atMonotonicMs);
}

function readAll(read: (resource: PressureResource) => string | null, atMonotonicMs: number): PressureReading | null {
  const resources: Partial<Record<PressureResource, StallSeconds>> = {};
  for (const resource of PRESSURE_RESOURCES) {
    const text = read(resource);
    const stalled = text === null ? null : parsePressure(text);
    if (stalled !== null) resources[resource] = stalled;
  }
  return Object.keys(resources).length === 0 ? null : { atMonotonicMs, resources };
}
