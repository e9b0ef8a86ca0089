/**
 * Whether a QEMU process is a guest at all, and whether libvirt runs it. Pure. The marks of libvirt are on the process
 * itself, so its guests are told apart also while no libvirtd answers. Seen with libvirt 9.0 and in its source since 1.3:
 * src/qemu/qemu_command.c (qemuBuildMasterKeyCommandLine, qemuBuildMonitorCommandLine), src/util/vircgroup.c.
 */
import { has, parseProperties, type QemuOption, valuesOf } from './bare-options.js';

/**
 * False for a QEMU without a guest: one that libvirt starts for some moments to learn what it can (`-machine none`), one
 * that prints its help, and the device model of a Xen domain, whose CPUs Xen runs.
 */
export function isGuest(options: readonly QemuOption[]): boolean {
  if (has(options, 'h', 'help', 'version', 'xen-domid', 'xen-attach', 'xen-create')) return false;
  const machine = valuesOf(options, 'machine', 'M')
    .map((text) => parseProperties(text, 'type').get('type'))
    .findLast((type) => type !== undefined);
  return machine !== 'none' && !options.some(({ name, value }) => LISTING.has(name) && /^(?:help|\?)$/.test(value));
}

/** Options that can be asked what they take. */
const LISTING = new Set(
  'machine M cpu accel device object d chardev net netdev nic vga audiodev trace watchdog'.split(' '),
);

/**
 * True when the command line is libvirt's: a secret `masterKey0` from libvirt's file, or libvirt's monitor. Either will
 * do; a person who runs a copy of such a command line gets a process that is left alone.
 */
export function isLibvirtCommand(options: readonly QemuOption[]): boolean {
  const masterKey = valuesOf(options, 'object').some((text) => {
    const object = parseProperties(text, 'qom-type');
    return object.get('qom-type') === 'secret' && object.get('id') === 'masterKey0';
  });
  const monitor =
    valuesOf(options, 'chardev').some((text) => parseProperties(text, 'backend').get('id') === 'charmonitor') &&
    valuesOf(options, 'mon').some((text) => parseProperties(text, 'chardev').get('chardev') === 'charmonitor');
  return masterKey || monitor;
}

/** True when a group that holds the process is named as only libvirt and machined name them. `text`: of /proc/PID/cgroup. */
export function isLibvirtGroup(text: string): boolean {
  return /\/machine-(?:qemu|lxc)\\x2d[^/\n]*\.scope(?:[/\n]|$)|\.libvirt-qemu(?:[/\n]|$)/.test(text);
}
