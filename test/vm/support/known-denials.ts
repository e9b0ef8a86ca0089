/**
 * Denials that a Debian 12 with SELinux has by itself, without virtslad, each with what is behind it. None is of virtslad.
 */
import type { DenialPattern } from './denials.js';

export const KNOWN_DENIALS: readonly DenialPattern[] = [
  {
    source: /^(?:virtd|virsh|virtlogd|systemd_machined)_t$/,
    reason: "Debian's policy lacks rules for libvirt with systemd-machined; the lane makes these domains permissive",
  },
  {
    source: 'systemd_tmpfiles_t',
    permissions: ['relabelfrom', 'relabelto'],
    reason: 'tmpfiles.d wants to relabel /etc/mtab and /root at boot',
  },
  { source: 'udev_t', target: 'sysctl_fs_t', tclass: 'dir', reason: 'udev of systemd 252 looks at fs.* at its start' },
  { source: 'udev_t', target: 'udev_t', tclass: 'process', permissions: ['setrlimit'], reason: 'the same' },
  {
    source: 'systemd_generator_t',
    target: 'user_tty_device_t',
    tclass: 'chr_file',
    reason: 'the generator of gettys looks at the serial console',
  },
  ...['meminfo', 'possible'].map(
    (name): DenialPattern => ({
      source: 'svirt_t',
      target: 'sysfs_t',
      tclass: 'file',
      permissions: ['read'],
      comm: 'qemu-system-x86',
      name,
      ofGuests: true,
      reason: 'libnuma looks for the nodes of the host when QEMU starts, and does without',
    }),
  ),
  {
    source: 'svirt_t',
    target: 'svirt_t',
    tclass: 'anon_inode',
    permissions: ['create'],
    comm: 'qemu-system-x86',
    ofGuests: true,
    reason: 'QEMU tries io_uring when it starts, which this policy does not know, and takes epoll',
  },
  {
    source: 'svirt_t',
    target: 'virtd_t',
    tclass: 'dir',
    permissions: ['search'],
    comm: 'qemu-system-x86',
    ofGuests: true,
    reason: 'QEMU looks up in /proc who has sent it SIGTERM, for a message, and does without',
  },
  {
    source: 'semanage_t',
    target: 'unconfined_t',
    tclass: 'unix_stream_socket',
    permissions: ['read', 'write'],
    reason: 'setsebool inherits the socket of the shell that the lane runs commands in',
  },
  { source: 'getty_t', target: 'getty_t', tclass: 'capability2', reason: 'agetty of the serial console' },
];
