/**
 * From a policy file that is renamed into its place to the last value in the kernel, with and without quotas, against a C
 * program that waits for the same rename and opens, writes and closes the same files. The daemon's own watch, loader, plan and
 * writes; its wait for more files to come (an edit is told when nothing has moved for a while) is part of the time.
 */
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Core } from '../src/assemble.js';
import { watchPolicyDirectory } from '../src/policy/watch.js';
import type { CoreOptions } from './bench-core.js';
import { begin, settle } from './daemon-core.js';
import { FixtureHost } from './fixture-host.js';
import { number } from './page.js';
import { RealHost } from './real-host.js';
import { type Recorded, record } from './recorder.js';
import { compileReference, Reference } from './references.js';
import { type Figure, type Measurement, NotRun, type Result } from './result.js';
import { cleanup, scratch } from './scratch.js';
import { median } from './statistics.js';

const ROUNDS = 5;
/** After the last write, this long without another means that the edit is over. */
const CALM_MS = 700;

/** Two policies that differ in every value of every guest. Text of equal length, so that a file in memory needs no truncating. */
function policyOf(turn: number, quotas: boolean, real: boolean): string {
  const one = turn % 2 === 0;
  const cpu = [`weight: ${one ? 110 : 220}`, ...(quotas ? [`limit: ${one ? 40 : 50}%`] : [])].join(', ');
  const memory = real ? `limit: ${one ? 5 : 6}GiB` : `high: ${one ? 5 : 6}GiB, swap: ${one ? 1 : 2}GiB`;
  return `version: 1\nclasses:\n  all: { cpu: { ${cpu} }, memory: { ${memory} } }\nassignments:\n  - { class: all, match: { any: true } }\n`;
}

interface BenchHost {
  readonly policyDir: string;
  readonly libvirt: FixtureHost['libvirt'];
  assemble(options: CoreOptions): Core;
}

interface Edited {
  readonly subject: number[];
  readonly subjectCpu: number[];
  readonly c: number[];
  readonly writes: number;
}

async function measure(host: BenchHost, quotas: boolean, real: boolean): Promise<Edited> {
  let lastWriteNs = 0n;
  const core = host.assemble({
    watch: false,
    onWrite: () => {
      lastWriteNs = process.hrtime.bigint();
    },
  });
  let turn = 0;
  edit(host.policyDir, policyOf(turn, quotas, real));
  await begin(core, host.libvirt);
  const stop = new AbortController();
  await watchPolicyDirectory(
    host.policyDir,
    () => void core.parts.generations.reload().then(() => core.reconciler.tick()),
    stop.signal,
  );
  const round = async (): Promise<{ wall: number; cpu: number }> => {
    turn++;
    const [began, before] = [process.hrtime.bigint(), process.cpuUsage()];
    lastWriteNs = 0n;
    edit(host.policyDir, policyOf(turn, quotas, real));
    for (let last = -1n; ; ) {
      await new Promise((resolve) => setTimeout(resolve, CALM_MS));
      if (lastWriteNs !== 0n && lastWriteNs === last) break;
      last = lastWriteNs;
      if (process.hrtime.bigint() - began > 60_000_000_000n)
        throw new NotRun('nothing was written within 60 s of an edit');
    }
    const { user, system } = process.cpuUsage(before);
    return { wall: Number(lastWriteNs - began) / 1e6, cpu: (user + system) / 1000 };
  };
  // The first tells which files are written.
  const written = writesOf(await record(round));
  await settle(core, 1);
  const list = writtenList(written);
  const files = join(scratch(), 'writes');
  writeFileSync(files, `${list.map((one) => one.join('\t')).join('\n')}\n`);
  const watched = join(scratch(), 'policies');
  const reference = await startWrites(watched, files);
  const edited: Edited = { subject: [], subjectCpu: [], c: [], writes: written.length };
  for (let at = 0; at < ROUNDS + 1; at++) {
    const own = await round();
    await core.parts.teller.idle();
    await core.parts.journal.idle();
    const standing = list.map(([path]) => readFileSync(path, 'latin1').trim());
    const began = process.hrtime.bigint();
    const answer = reference.next();
    edit(watched, 'x');
    const [ended = Number.NaN, , failed = 0] = await answer;
    // Before the daemon has looked: somebody who changes its values again and again is an adversary to it.
    for (const [index, [path]] of list.entries()) writeFileSync(path, standing[index] ?? '');
    if (failed > 0) throw new Error(`the C program could not write ${failed} of ${list.length} files`);
    if (at === 0) continue;
    edited.subject.push(own.wall);
    edited.subjectCpu.push(own.cpu);
    edited.c.push(ended / 1e6 - Number(began) / 1e6);
  }
  stop.abort();
  await reference.stop();
  await core.reconciler.stop();
  core.guests.close();
  return edited;
}

function edit(directory: string, text: string): void {
  const at = join(directory, '10-bench.yaml');
  writeFileSync(join(directory, '.new'), text, { mode: 0o644 });
  renameSync(join(directory, '.new'), at);
}

function writesOf(recorded: readonly Recorded[]): readonly string[] {
  return recorded.filter(({ access, path }) => access === 'write' && path.includes('qemu')).map(({ path }) => path);
}

/** What C writes: two turns, each a change of every value. */
function writtenList(paths: readonly string[]): readonly (readonly [string, string, string])[] {
  return paths.map((path) => {
    if (path.endsWith('cpu.max')) return [path, '41000 100000', '51000 100000'];
    if (path.endsWith('cfs_quota_us')) return [path, '41000', '51000'];
    if (path.endsWith('shares')) return [path, '1127', '2254'];
    if (path.endsWith('weight')) return [path, '111', '222'];
    return [path, String(5 * 2 ** 30 + 4096), String(6 * 2 ** 30 + 4096)];
  });
}

async function startWrites(
  directory: string,
  list: string,
): Promise<{ next(): Promise<number[]>; stop(): Promise<void> }> {
  mkdirSync(directory, { recursive: true });
  const reference = new Reference(compileReference('writes'), [directory, list]);
  cleanup.defer('stop the C writer', () => reference.stop());
  await reference.answer();
  return { next: () => reference.answer(), stop: () => reference.stop() };
}

async function measured(host: BenchHost & { remove(): void | Promise<void> }, of: Of): Promise<Result> {
  const { id, where, quotas, real } = of;
  const edited = await measure(host, quotas, real);
  const [own, c, cpu] = [median(edited.subject), median(edited.c), median(edited.subjectCpu)];
  const shown = `${number(own)} against ${number(c)} ms, ${edited.writes} writes`;
  const figures: Figure[] = [{ id, value: own / c, shown }];
  if (id === 'edit-5000') figures.push({ id: 'edit-ms-5000', value: own, shown: where });
  return {
    figures,
    notes: [`Policy edit, ${where}: ${shown}; ${number(cpu)} ms of CPU with telling libvirt and the cycle after it.`],
    raw: { [`${id}.ms`]: edited.subject, [`${id}.cpu-ms`]: edited.subjectCpu, [`${id}.c.ms`]: edited.c },
  };
}

interface Of {
  readonly id: string;
  readonly where: string;
  readonly quotas: boolean;
  readonly real: boolean;
}

export function editOn(count: number, quotas: boolean): Measurement {
  const id = `edit-${quotas ? 'quota-' : ''}${count}`;
  const where = `${count} guests on fixtures, ${quotas ? 'with' : 'without'} quotas`;
  return {
    name: id,
    gives: id === 'edit-5000' ? [id, 'edit-ms-5000'] : [id],
    async run() {
      const host = new FixtureHost(count, 'v2-no-systemd');
      cleanup.defer('remove the host', () => host.remove());
      return measured(host, { id, where, quotas, real: false });
    },
  };
}

export function editOnReal(count: number, quotas: boolean): Measurement {
  const id = `edit-real-${quotas ? 'quota-' : ''}${count}`;
  const where = `${count} real groups, ${quotas ? 'with' : 'without'} quotas`;
  return {
    name: id,
    gives: [id],
    run: async () =>
      measured(await RealHost.create({ count, policy: policyOf(0, quotas, true) }), { id, where, quotas, real: true }),
  };
}
