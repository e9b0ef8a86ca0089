/**
 * What of the host lane also runs in the VM, on systemd, cgroup v2 and an enforcing SELinux: compiled files below build/test,
 * each with several files of test/host in one process. Chosen so that every control that the host lane has is measured or
 * read back on v2 at least once.
 */
export const HOST_SUBSET: readonly string[] = ['vm/host/cpu', 'vm/host/values', 'vm/host/changes'];
