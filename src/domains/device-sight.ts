/**
 * What is no cgroup file: `qemu:vda`, QEMU's throttle of a disk; `qemu-histogram:vda`, its latency histograms; `tap:vnet0/in` and `…/out`, what the kernel's traffic
 * control does to an interface in the direction that the guest sees; `definition:seclabel`, the label that libvirt's
 * persistent definition says.
 */
import { seclabelText } from '../svirt/seclabel.js';
import type { DiskReadings } from './disk-readings.js';
import type { DeviceSight } from './sight.js';
import type { Taps } from './taps.js';
import type { Domain } from './types.js';

const TAP = /^tap:(.+)\/(in|out)$/;

export type ReadTaps = Pick<Taps, 'read'> & Partial<Pick<Taps, 'problem'>>;

export function deviceSight(disks: Pick<DiskReadings, 'of' | 'throttle' | 'histogram'>, taps: ReadTaps): DeviceSight {
  return {
    read(domain, { path }) {
      if (path === 'definition:seclabel') return definedSeclabel(domain);
      const target = targetIn(path, 'qemu:');
      if (target !== null) return disks.throttle(domain, target);
      const counted = targetIn(path, 'qemu-histogram:');
      if (counted !== null) return disks.histogram(domain, counted);
      const tap = TAP.exec(path);
      return tap === null ? null : taps.read(domain, tap[1] ?? '', tap[2] as 'in' | 'out');
    },
    problem(domain, { path }) {
      const target = targetIn(path, 'qemu:');
      if (target !== null) return disks.of(domain, target)?.throttleProblem ?? null;
      const counted = targetIn(path, 'qemu-histogram:');
      if (counted !== null) return disks.of(domain, counted)?.histogramProblem ?? null;
      const device = TAP.exec(path)?.[1];
      return device === undefined ? null : (taps.problem?.(device) ?? null);
    },
  };
}

/** Null for a transient domain, and until libvirt has described it. */
function definedSeclabel({ facts }: Domain): string | null {
  const all = facts?.definitionSeclabels ?? null;
  if (all === null) return null;
  // One without a model is for the first model of the host, where it stands alone.
  const [lone] = all.length === 1 && all[0]?.model === null ? all : [];
  return seclabelText(all.find(({ model }) => model === 'selinux') ?? lone ?? null);
}

function targetIn(path: string, scheme: string): string | null {
  return path.startsWith(scheme) ? path.slice(scheme.length) : null;
}
