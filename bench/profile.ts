/**
 * Steady cycles and nothing else, for a profiler: `node --cpu-prof build/bench/profile.js GUESTS [CYCLES]`. Prints the
 * CPU time of each.
 */
import { cpuMs } from './cpu.js';
import { begin, steadyCycle } from './daemon-core.js';
import { FixtureHost } from './fixture-host.js';
import { median } from './statistics.js';

const [guests = '600', cycles = '30'] = process.argv.slice(2);
const host = new FixtureHost(Number(guests));
const core = host.assemble();
await begin(core, host.libvirt);
const taken: number[] = [];
for (let cycle = 0; cycle < Number(cycles); cycle++) {
  host.advance();
  taken.push(await cpuMs(() => steadyCycle(core)));
}
host.remove();
console.log(
  `${guests} guests: median ${median(taken).toFixed(1)} ms of CPU a cycle; ${taken.map((one) => one.toFixed(0)).join(' ')}`,
);
process.exit();
