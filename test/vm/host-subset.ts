/**
 * What of the host lane also runs in the VM, on systemd, cgroup v2 and an enforcing SELinux: compiled files below build/test,
 * each with files of test/host in one process. It is what has to be measured: shares of a CPU, repairs, hotplug, rates of a
 * disk, silence at rest. Quotas, bursts, pins, memory and release are in v2-levels.test.ts, with one daemon for all of them:
 * the files of test/host about them would take ten minutes more.
 */
export const HOST_SUBSET: readonly string[] = ['vm/host/cpu', 'vm/host/devices'];
