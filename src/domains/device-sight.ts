/**
 * What is no cgroup file: `qemu:vda`, QEMU's throttle of a disk; `tap:vnet0/in` and `…/out`, what the kernel's traffic
 * control does to an interface in the direction that the guest sees.
 */
import type { DiskReadings } from './disk-readings.js';
import type { DeviceSight } from './sight.js';
import type { Domain } from './types.js';

/** Canonical text of a tap's limit; null when it cannot be read. */
export type ReadTap = (domain: Domain, device: string, direction: 'in' | 'out') => string | null;

export function deviceSight(disks: Pick<DiskReadings, 'of' | 'throttle'>, readTap: ReadTap): DeviceSight {
  return {
    read(domain, { path }) {
      const target = qemuTarget(path);
      if (target !== null) return disks.throttle(domain, target);
      const tap = /^tap:(.+)\/(in|out)$/.exec(path);
      return tap === null ? null : readTap(domain, tap[1] ?? '', tap[2] as 'in' | 'out');
    },
    problem(domain, { path }) {
      const target = qemuTarget(path);
      return target === null ? null : (disks.of(domain, target)?.throttleProblem ?? null);
    },
  };
}

function qemuTarget(path: string): string | null {
  return path.startsWith('qemu:') ? path.slice('qemu:'.length) : null;
}
