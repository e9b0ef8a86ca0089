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
import type { Figure, Measurement, Result } from './result.js';
import { cleanup } from './scratch.js';
import { median } from './statistics.js';

const KERNEL_AT = 600;
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
  readonly compliant: number;
}

async function daemonAt(count: number): Promise<Sampled> {
  const daemon = new FixtureDaemon(count);
  const pause = Math.max(CYCLE_MS, count * 1.5);
  await daemon.start({ cycle: `${pause}ms` });
  const rss: number[] = [];
  for (let cycle = 0; cycle < WARM_CYCLES + SAMPLES; cycle++) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (cycle % 3 === 0) await daemon.get('/metrics');
    if (cycle >= WARM_CYCLES) rss.push(residentMib(daemon.pid));
  }
  const page = await daemon.get('/metrics');
  const compliant = page.text.match(/^virtsla_domain_compliant\{.* 1$/gm)?.length ?? 0;
  const kernel = kernelUse(daemon.pid);
  await daemon.stop();
  return { rss, kernel, compliant };
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

/** At one size. Without guests also against the skeleton; at 600 also what the kernel keeps. */
export function memoryAt(count: number): Measurement {
  const id = `rss-${count}`;
  const gives = [id, ...(count === 0 ? ['rss-skeleton'] : []), ...(count === KERNEL_AT ? ['kernel-memory'] : [])];
  return {
    name: id,
    gives,
    async run(): Promise<Result> {
      const { rss, kernel, compliant } = await daemonAt(count);
      const mib = median(rss);
      const raw: Record<string, readonly number[]> = { [`${id}.mib`]: rss };
      const notes = [
        `Resident memory at ${count} guests: ${number(mib)} MiB; ${kernel.descriptors} descriptors, ${kernel.watches} watches; ${compliant} guests compliant.`,
      ];
      if (compliant < count) {
        const reason = `${compliant} of ${count} guests are compliant`;
        return { figures: [], missing: gives.map((one) => ({ id: one, reason, missed: true })), notes, raw };
      }
      const figures: Figure[] = [{ id, value: mib, shown: 'VmRSS' }];
      if (count === KERNEL_AT) figures.push(await kernelFigure(kernel, count));
      if (count === 0) {
        const skeleton = await skeletonAt();
        raw['rss-skeleton.mib'] = skeleton;
        const shown = `${number(mib)} against ${number(median(skeleton))} MiB`;
        figures.push({ id: 'rss-skeleton', value: mib / median(skeleton), shown });
      }
      return { figures, notes, raw, costs: [{ what: 'rss', count, cost: mib }] };
    },
  };
}

async function kernelFigure(kernel: KernelUse, count: number): Promise<Figure> {
  const empty = new FixtureDaemon(0);
  await empty.start();
  const bare = kernelUse(empty.pid);
  await empty.stop();
  const descriptors = (kernel.descriptors - bare.descriptors) / count;
  const watches = (kernel.watches - bare.watches) / count;
  const shown = `${number(descriptors)} descriptors of ${DESCRIPTOR_KB} KB and ${number(watches)} watches of ${WATCH_KB} KB`;
  return { id: 'kernel-memory', value: descriptors * DESCRIPTOR_KB + watches * WATCH_KB, shown };
}
