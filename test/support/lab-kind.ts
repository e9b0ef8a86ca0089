/**
 * Which libvirtd the labs of this process use. Without anything said, each has one of its own in a mount namespace. With
 * VIRTSLAD_LAB=system it is the host's, under systemd and with its security driver: for machines that nobody else uses, such
 * as the VM of the VM lane, where everything takes longer too, being emulated.
 */

export const ON_SYSTEM = process.env.VIRTSLAD_LAB === 'system';

/**
 * Where labs are. Not os.tmpdir(): QEMU's user must be able to get in, and socket paths must stay short. On the host's
 * libvirtd it is where SELinux expects the disks of guests.
 */
export const LAB_PARENT = ON_SYSTEM ? '/var/lib/libvirt/images' : '/tmp';

/**
 * How long something wrong may last. The promise is 1 s for 99 of 100; where everything is emulated, with virtslad on the same
 * one or two slow CPUs as its guests, it is that nothing outlives a cycle.
 */
export const MEND_SECONDS = ON_SYSTEM ? 5 : 1;

/** How much longer than on bare metal is waited for what comes late: no promise of virtslad is measured with it. */
export const PATIENCE = ON_SYSTEM ? 20 : 1;
