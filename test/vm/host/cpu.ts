/** Files of the host lane, one after the other in this process, on the VM's own libvirtd, systemd and cgroup v2. */
import '../support/on-system.js';

const { runHostFiles } = await import('../support/host-files.js');
await runHostFiles(['weights', 'drift']);
