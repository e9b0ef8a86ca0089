/** Memory, whole disks, and silence at rest on cgroup v2, as the host lane tests them. */
import '../support/on-system.js';

const { runHostFiles } = await import('../support/host-files.js');
await runHostFiles(['memory', 'disk-cgroup', 'steady']);
