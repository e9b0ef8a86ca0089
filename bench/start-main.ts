/**
 * Makes a fixture host, then times the first look at all of its guests in a process that has never looked at any: `start-main
 * COUNT`. Prints milliseconds, and how many guests the first look left with every value in the kernel.
 */
import { loadState } from './daemon-core.js';
import { FixtureHost } from './fixture-host.js';

const host = new FixtureHost(Number(process.argv[2]));
const began = performance.now();
const core = host.assemble();
await loadState(core);
core.reconciler.start();
await Promise.all([host.libvirt.start(new AbortController().signal), core.parts.generations.reload()]);
await core.reconciler.resync();
await core.reconciler.full();
const ms = performance.now() - began;
const { writes } = core.parts.counters.snapshot(core.parts.generations);
const written = Object.values(writes).reduce((sum, one) => sum + one, 0);
const reconciled = core.snapshots.build().domains.filter(({ className }) => className !== null).length;
host.remove();
process.stdout.write(JSON.stringify({ ms, reconciled, written }));
process.exit(0);
