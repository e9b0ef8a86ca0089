/**
 * Which way a limit takes to each of a guest's disks: QEMU's own throttle, which knows every virtual disk; the cgroup,
 * which knows devices of the host; or none, with the reason. Pure.
 */
import type { DiskDevice, Domain, HostDisk } from '../domains/types.js';
import type { Sight } from './control.js';

export type Via = 'auto' | 'qemu' | 'cgroup';

export type DiskWay =
  | { readonly way: 'qemu'; readonly why: string }
  | {
      readonly way: 'cgroup';
      readonly disks: readonly HostDisk[];
      readonly why: string;
      readonly notes: readonly string[];
    }
  /** `yet`: it may be known in a moment. */
  | { readonly way: 'none'; readonly why: string; readonly yet?: true };

/** Cache modes in which a request reaches the device in the name of the guest, and not later in the kernel's own. */
const DIRECT_MODES = ['none', 'directsync'];

export function wayOf(disk: DiskDevice, via: Via, beyondIoMax: boolean, domain: Domain, sight: Sight): DiskWay {
  const none = (why: string): DiskWay => ({ way: 'none', why });
  if (disk.empty) return none('there is no medium in it');
  if (disk.sourceType === 'vhostuser') return none('vhost-user: another process moves its data');
  if (disk.device === 'lun') return none('the device itself is passed through');
  if (via === 'cgroup') return throughCgroup(disk, domain, 'as disk.via asks');
  if (domain.source === 'libvirt') return throughQemu(disk, via, domain, sight);
  if (via === 'qemu') return none('QEMU is asked through libvirt, which does not run it');
  return beyondIoMax
    ? none('without libvirt nobody can be asked for QEMU’s throttle, and the cgroup knows neither sums nor bursts')
    : throughCgroup(disk, domain, 'libvirt does not run it');
}

function throughQemu(disk: DiskDevice, via: Via, { facts }: Domain, sight: Sight): DiskWay {
  const problem = sight.problem({ path: `qemu:${disk.target}` });
  if (problem !== null) return { way: 'none', why: `QEMU has no throttle for it: ${problem}` };
  const { group } = disk.throttle;
  const sharers = group === null ? [] : (facts?.tuning.disks ?? []).filter((one) => one.throttle.group === group);
  if (sharers.length > 1) {
    return { way: 'none', why: `it shares a throttle group with ${sharers.length - 1} other disks of the guest` };
  }
  return { way: 'qemu', why: via === 'qemu' ? 'as disk.via asks' : 'it can throttle each disk by itself' };
}

function throughCgroup(disk: DiskDevice, { groups, hostDevices, reasons, source }: Domain, why: string): DiskWay {
  const none = (reason: string): DiskWay => ({ way: 'none', why: reason });
  if (groups.io === undefined) return none(reasons.io ?? 'the guest has no I/O cgroup of its own');
  const { domainDir, weightDir, systemdOwned } = groups.io;
  if (source === 'bare' && systemdOwned && domainDir === weightDir) {
    return none('systemd owns its group, and is not asked for limits of devices');
  }
  if (groups.io.version === 1 && !DIRECT_MODES.includes(disk.cache ?? '')) {
    return none('cgroup v1 sees its requests only with cache none or directsync');
  }
  if (disk.path === null) return none('it is no file or device of this host');
  const device = hostDevices.get(disk.target);
  if (device === undefined) return { way: 'none', why: 'what it stands on is not known yet', yet: true };
  return device.ok ? { way: 'cgroup', disks: device.disks, why, notes: device.notes } : none(device.reason);
}
