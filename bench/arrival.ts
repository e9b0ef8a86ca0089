/**
 * From the moment in which a vCPU's cgroup directory appears to its limit in it: a directory made by another process, seen by
 * the daemon's watch, written by its cycle; against a C program that waits for the same with inotify. On real groups.
 */
import { rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { begin } from './daemon-core.js';
import { number } from './page.js';
import { RealHost } from './real-host.js';
import { compileReference, Reference } from './references.js';
import { type Measurement, NotRun, type Result } from './result.js';
import { cleanup } from './scratch.js';
import { median, percentile } from './statistics.js';

const GUESTS = 50;
const VCPUS = 2;
const EVENTS = 200;
const PATIENCE_MS = 2_000;
const POLICY = `version: 1
classes:
  all: { cpu: { limit: 50% } }
assignments:
  - { class: all, match: { any: true } }
`;

export const arrivalMeasurement: Measurement = {
  name: 'arrival',
  gives: ['arrival'],
  async run(): Promise<Result> {
    const host = await RealHost.create({ count: GUESTS, vcpus: VCPUS, policy: POLICY });
    let onWrite: (() => void) | null = null;
    const core = host.assemble({ watch: true, onWrite: () => onWrite?.() });
    await begin(core, host.libvirt);
    const program = compileReference('arrival');
    const maker = new Reference(program, ['make']);
    cleanup.defer('stop the maker', () => maker.stop());
    const [own, other] = host.guests;
    if (own === undefined || other === undefined) throw new NotRun('no guests');
    // A directory that is no guest's: the daemon has no watch there.
    const apart = join(other.directory, 'emulator');
    const floor = new Reference(program, ['watch', apart, '50000']);
    cleanup.defer('stop the C watcher', () => floor.stop());
    await floor.answer();
    const subject: number[] = [];
    const c: number[] = [];
    for (let event = 0; event < EVENTS + 10; event++) {
      const guest = host.guests[event % GUESTS] ?? own;
      const written = new Promise<bigint>((resolve, reject) => {
        const timer = setTimeout(() => reject(new NotRun(`no limit within ${PATIENCE_MS} ms`)), PATIENCE_MS);
        onWrite = () => {
          clearTimeout(timer);
          onWrite = null;
          resolve(process.hrtime.bigint());
        };
      });
      const path = join(guest.directory, `vcpu${VCPUS}`);
      const [made = 0] = await maker.round(path);
      const tookUs = (Number(await written) - made) / 1000;
      await pause(3);
      rmdirSync(path);
      await pause(10);
      const bare = join(apart, 'appeared');
      const answer = floor.answer();
      const [madeForC = 0] = await maker.round(bare);
      const [wrote = 0] = await answer;
      rmdirSync(bare);
      await pause(5);
      if (event < 10) continue;
      subject.push(tookUs);
      c.push((wrote - madeForC) / 1000);
    }
    await maker.stop();
    await floor.stop();
    await core.reconciler.stop();
    core.guests.close();
    const shown = `p99 ${number(percentile(subject, 0.99))} against ${number(percentile(c, 0.99))} µs, p50 ${number(median(subject))} against ${number(median(c))} µs, ${EVENTS} events`;
    return {
      figures: [{ id: 'arrival', value: percentile(subject, 0.99) / percentile(c, 0.99), shown }],
      raw: { 'arrival.us': subject, 'arrival.c.us': c },
    };
  },
};

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
