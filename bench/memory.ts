/**
 * Resident memory of the shipped daemon at 0, 600, 1,000 and 5,000 guests on fixture hosts, and of a skeleton: a process
 * that loads the same libraries, listens, and does nothing else. Also what the kernel keeps for descriptors and watches.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { residentMib } from './cpu.js';
import { FixtureDaemon } from './fixture-daemon.js';
import { number } from './page.js';
import type { Figure, Measurement, Missing, Result } from './result.js';
import { cleanup } from './scratch.js';
import { growthExponent, median } from './statistics.js';

const COUNTS = [0, 600, 1000, 5000] as const;
const SKELETON = fileURLToPath(new URL('./skeleton.js', import.meta.url));
const CYCLE_MS = 1000;
/** Long enough for compilers and collectors to have come to rest. */
const WARM_CYCLES = 15;
const SAMPLES = 5;
/** Of one kept descriptor of a kernel file that was read: its seq_file buffer is a page, and file, inode and entry come on top. */
const DESCRIPTOR_KB = 3.83;
/** inotify(7): some 540 bytes on 32 bits, twice that on 64. */
const WATCH_KB = 1.08;

export interface KernelUse {
  readonly descriptors: number;
  readonly watches: number;
}

export function kernelUse(pid: number): KernelUse {
  const names = readdirSync(`/proc/${pid}/fdinfo`);
  let watches = 0;
  for (const name of names) {
    try {
      watches += readFileSync(`/proc/${pid}/fdinfo/${name}`, 'latin1').match(/^inotify wd:/gm)?.length ?? 0;
    } catch {
      // Closed meanwhile.
    }
  }
  return { descriptors: names.length, watches };
}

interface Sampled {
  readonly rss: readonly number[];
  readonly kernel: KernelUse;
  readonly ready: number;
}

async function daemonAt(count: number): Promise<Sampled> {
  const daemon = new FixtureDaemon(count);
  const pause = Math.max(CYCLE_MS, count * 1.5);
  const readyMs = await daemon.start({ cycle: `${pause}ms` });
  const rss: number[] = [];
  for (let cycle = 0; cycle < WARM_CYCLES + SAMPLES; cycle++) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (cycle % 3 === 0) await daemon.get('/metrics');
    if (cycle >= WARM_CYCLES) rss.push(residentMib(daemon.pid));
  }
  const page = await daemon.get('/metrics');
  const guests = page.text.match(/^virtsla_domain_compliant\{.* 1$/gm)?.length ?? 0;
  const kernel = kernelUse(daemon.pid);
  if (process.env.BENCH_DEBUG !== undefined) console.error(daemon.log.slice(-2000));
  await daemon.stop();
  return { rss, kernel, ready: guests + 0 * readyMs };
}

async function skeletonAt(): Promise<number[]> {
  const child = spawn(process.execPath, [SKELETON], { stdio: ['ignore', 'pipe', 'inherit'] });
  cleanup.defer('stop the skeleton', () => void child.kill('SIGKILL'));
  await new Promise((resolve) => child.stdout.once('data', resolve));
  const rss: number[] = [];
  for (let sample = 0; sample < SAMPLES; sample++) {
    await new Promise((resolve) => setTimeout(resolve, CYCLE_MS));
    rss.push(residentMib(child.pid ?? 0));
  }
  child.kill('SIGKILL');
  return rss;
}

export const memoryMeasurement: Measurement = {
  name: 'memory',
  gives: ['rss-0', 'rss-600', 'rss-1000', 'rss-5000', 'rss-skeleton', 'kernel-memory', 'growth-rss'],
  async run(): Promise<Result> {
    const figures: Figure[] = [];
    const missing: Missing[] = [];
    const notes: string[] = [];
    const raw: Record<string, readonly number[]> = {};
    const medians = new Map<number, number>();
    let bare: KernelUse | null = null;
    for (const count of COUNTS) {
      const { rss, kernel, ready } = await daemonAt(count);
      raw[`rss-${count}.mib`] = rss;
      notes.push(
        `Resident memory at ${count} guests: ${number(median(rss))} MiB; ${kernel.descriptors} descriptors, ${kernel.watches} watches; ${ready} guests compliant.`,
      );
      bare ??= kernel;
      if (ready < count) {
        missing.push({ id: `rss-${count}`, reason: `${ready} of ${count} guests are compliant`, missed: true });
        continue;
      }
      medians.set(count, median(rss));
      figures.push({ id: `rss-${count}`, value: median(rss), shown: 'VmRSS' });
      if (count === 600) {
        const descriptors = (kernel.descriptors - bare.descriptors) / count;
        const watches = (kernel.watches - bare.watches) / count;
        const kb = descriptors * DESCRIPTOR_KB + watches * WATCH_KB;
        const shown = `${number(descriptors)} descriptors of ${DESCRIPTOR_KB} KB and ${number(watches)} watches of ${WATCH_KB} KB`;
        figures.push({ id: 'kernel-memory', value: kb, shown });
      }
    }
    const skeleton = await skeletonAt();
    raw['rss-skeleton.mib'] = skeleton;
    const empty = medians.get(0);
    if (empty !== undefined) {
      const shown = `${number(empty)} against ${number(median(skeleton))} MiB`;
      figures.push({ id: 'rss-skeleton', value: empty / median(skeleton), shown });
    }
    const over = [600, 1000, 5000].flatMap((count) => {
      const mib = medians.get(count);
      return mib === undefined || empty === undefined ? [] : [{ count, cost: mib - empty }];
    });
    const growth = over.length === 3 ? growthExponent(over) : null;
    if (growth !== null) figures.push({ id: 'growth-rss', value: growth, growth, shown: 'over that at 0' });
    else missing.push({ id: 'growth-rss', reason: 'not every size has a figure', missed: true });
    return { figures, missing, notes, raw };
  },
};
