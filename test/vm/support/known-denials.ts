/**
 * Denials that a Debian 12 with SELinux has by itself, without virtslad, each with what is behind it. None of them is of
 * virtslad or of a guest: those are never known.
 */
import type { DenialPattern } from './denials.js';

export const KNOWN_DENIALS: readonly DenialPattern[] = [
  {
    source: /^(?:virtd|virsh|virtlogd|systemd_machined)_t$/,
    reason: "Debian's policy lacks rules for libvirt with systemd-machined; the lane makes these domains permissive",
  },
  {
    source: 'systemd_logind_t',
    target: 'virtd_t',
    tclass: 'dbus',
    reason: "the answer to libvirtd's inhibitor; the policy knows neither",
  },
  {
    source: 'systemd_tmpfiles_t',
    permissions: ['relabelfrom', 'relabelto'],
    reason: 'tmpfiles.d wants to relabel /etc/mtab and /root at boot',
  },
  { source: 'udev_t', target: 'sysctl_fs_t', tclass: 'dir', reason: 'udev of systemd 252 looks at fs.* at its start' },
  { source: 'udev_t', target: 'udev_t', tclass: 'process', permissions: ['setrlimit'], reason: 'the same' },
  { source: 'getty_t', target: 'getty_t', tclass: 'capability2', reason: 'agetty of the serial console' },
];
