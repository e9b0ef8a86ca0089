/** Limits, weights, bursts and pins on cgroup v2, as the host lane tests them. */
import '../support/on-system.js';

const { runHostFiles } = await import('../support/host-files.js');
await runHostFiles(['limits', 'weights', 'burst-pin']);
