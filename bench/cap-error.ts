/**
 * Whether a cap of 20 % holds while the daemon cycles ten times a second for a minute: rewriting a quota, even with the same
 * value, lets the group run. A process that would use all of a CPU, in a real group.
 */
import { readFileSync } from 'node:fs';
import { begin, steadyCycle } from './daemon-core.js';
import { number } from './page.js';
import { RealHost } from './real-host.js';
import { type Measurement, NotRun, type Result } from './result.js';

const CAP = 0.2;
const SECONDS = 60;
const PIECE_MS = 5_000;
const CYCLE_MS = 100;
const POLICY = `version: 1
classes:
  all: { cpu: { limit: 20% } }
assignments:
  - { class: all, match: { any: true } }
`;

export const capErrorMeasurement: Measurement = {
  name: 'cap-error',
  gives: ['cap-error'],
  async run(): Promise<Result> {
    const host = await RealHost.create({ count: 1, vcpus: 1, policy: POLICY, burn: true });
    let writes = 0;
    const core = host.assemble({ onWrite: () => writes++ });
    await begin(core, host.libvirt);
    const [guest] = host.guests;
    const thread = guest?.threads[0];
    if (guest === undefined || thread === undefined) throw new NotRun('no guest');
    const usedMs = (): number =>
      Number(readFileSync(`/proc/${guest.pid}/task/${thread}/schedstat`, 'latin1').split(' ')[0]) / 1e6;
    const before = writes;
    const shares: number[] = [];
    for (let piece = 0; piece < (SECONDS * 1000) / PIECE_MS; piece++) {
      const [began, used] = [performance.now(), usedMs()];
      while (performance.now() - began < PIECE_MS) {
        const due = performance.now() + CYCLE_MS;
        await steadyCycle(core);
        await new Promise((resolve) => setTimeout(resolve, Math.max(0, due - performance.now())));
      }
      shares.push((usedMs() - used) / (performance.now() - began));
    }
    await core.reconciler.stop();
    core.guests.close();
    const mean = shares.reduce((sum, one) => sum + one, 0) / shares.length;
    const shown = `${number(mean * 100)} % of a CPU over ${SECONDS} s at 10 Hz, ${writes - before} writes`;
    return {
      figures: [{ id: 'cap-error', value: (Math.abs(mean - CAP) / CAP) * 100, shown }],
      raw: { 'cap.share': shares },
    };
  },
};
