/** The files of the host lane that also run in the VM: on systemd, cgroup v2 and an enforcing SELinux. */
export const HOST_SUBSET: readonly string[] = ['host/weights.test', 'host/limits.test'];
