/**
 * CPU time of a steady cycle against a C loop over the same files. The list of files is what the subject is seen to
 * read in one cycle. Two loops: `kept` reads each file once through a descriptor that stays open, which is the floor that the
 * goal means; `same` makes every single access as the subject makes it, which tells its own work from the kernel's.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Core } from '../src/assemble.js';
import { cpuMs, openLimit } from './cpu.js';
import { begin, steadyCycle } from './daemon-core.js';
import { FixtureHost } from './fixture-host.js';
import { type Contestant, interleave } from './interleave.js';
import { type Recorded, record } from './recorder.js';
import { compileReference, Reference } from './references.js';
import type { Figure, Measurement, Result } from './result.js';
import { cleanup, scratch } from './scratch.js';
import { growthExponent, median } from './statistics.js';

const COUNTS = [100, 300, 600, 1000, 5000] as const;
const LETTERS = { kept: 'K', opened: 'O', listed: 'D', status: 'S' } as const;
/** Descriptors that a C loop needs for itself. */
const SPARE = 32;

export interface Loops {
  readonly kept: Contestant;
  readonly same: Contestant;
  readonly files: number;
  readonly accesses: number;
  readonly writes: number;
  stop(): Promise<void>;
}

/** The two C loops for what the subject was seen to do. */
export function loopsFor(recorded: readonly Recorded[], name: string): Loops {
  const program = compileReference('reads');
  const accesses = recorded.flatMap(({ access, path }) =>
    access === 'write' ? [] : [{ letter: LETTERS[access], path }],
  );
  const distinct = new Map<string, string>();
  for (const { letter, path } of accesses) {
    // A file that was read needs no second look to see that it is there.
    if (letter !== 'S' || !distinct.has(path)) distinct.set(path, letter === 'O' ? 'K' : letter);
  }
  const lists = {
    kept: [...distinct].map(([path, letter]) => `${letter} ${path}`),
    same: accesses.map((one) => `${one.letter} ${one.path}`),
  };
  const references = (['kept', 'same'] as const).map((mode) => {
    const list = join(scratch(), `${name}.${mode}`);
    writeFileSync(list, `${lists[mode].join('\n')}\n`);
    const reference = new Reference(program, [mode, list, String(openLimit() - SPARE)]);
    cleanup.defer('stop a C loop', () => reference.stop());
    return { name: mode, reference };
  });
  const contestant = (mode: 'kept' | 'same'): Contestant => ({
    name: mode,
    round: async () => ((await references.find((one) => one.name === mode)?.reference.round())?.[0] ?? 0) / 1000,
  });
  return {
    kept: contestant('kept'),
    same: contestant('same'),
    files: distinct.size,
    accesses: accesses.length,
    writes: recorded.filter(({ access }) => access === 'write').length,
    stop: async () => {
      for (const { reference } of references) await reference.stop();
    },
  };
}

export function subject(core: Core): Contestant {
  return { name: 'subject', round: () => cpuMs(() => steadyCycle(core)) };
}

interface Measured {
  readonly count: number;
  readonly subject: readonly number[];
  readonly kept: readonly number[];
  readonly same: readonly number[];
  readonly loops: Loops;
  readonly compliant: number;
}

async function measure(count: number, rounds: number): Promise<Measured> {
  const host = new FixtureHost(count);
  cleanup.defer('remove the host', () => host.remove());
  const core = host.assemble();
  await begin(core, host.libvirt);
  const loops = loopsFor(await record(() => steadyCycle(core)), `steady-${count}`);
  const costs = await interleave([subject(core), loops.kept, loops.same], {
    warmups: 3,
    rounds,
    before: () => host.advance(),
  });
  const compliant = core.snapshots.build().domains.filter((one) => one.compliant).length;
  await loops.stop();
  await core.reconciler.stop();
  core.guests.close();
  host.remove();
  const { subject: own = [], kept = [], same = [] } = costs;
  return { count, subject: own, kept, same, loops, compliant };
}

export const steadyCycleMeasurement: Measurement = {
  name: 'steady-cycle',
  gives: ['steady-600', 'steady-1000', 'steady-5000', 'writes', 'growth-cycle'],
  async run({ short }): Promise<Result> {
    const counts = short ? [200, 800] : COUNTS;
    const figures: Figure[] = [];
    const notes: string[] = [];
    const raw: Record<string, readonly number[]> = {};
    const medians: { count: number; cost: number }[] = [];
    let writes = 0;
    for (const count of counts) {
      const measured = await measure(count, short ? 5 : 9);
      const [own, kept, same] = [median(measured.subject), median(measured.kept), median(measured.same)];
      medians.push({ count, cost: own });
      writes += measured.loops.writes;
      const { files, accesses } = measured.loops;
      Object.assign(raw, {
        [`steady-${count}.subject.ms`]: measured.subject,
        [`steady-${count}.c-kept.ms`]: measured.kept,
        [`steady-${count}.c-same.ms`]: measured.same,
      });
      figures.push({ id: `steady-${count}`, value: own / kept, shown: `${ms(own)} against ${ms(kept)} of CPU` });
      notes.push(
        `Steady cycle, ${count} guests on fixtures: ${ms(own)}; C with kept descriptors ${ms(kept)} (${(own / kept).toFixed(2)} ×), C with the very same ${accesses} accesses ${ms(same)} (${(own / same).toFixed(2)} ×); ${files} files, ${(accesses / count).toFixed(1)} accesses a guest; ${measured.compliant} of ${count} guests compliant.`,
      );
    }
    figures.push({
      id: 'writes',
      value: writes,
      shown: `${writes} writes in one cycle at each of ${counts.join(', ')} guests`,
    });
    const growing = medians.filter(({ count }) => short || count >= 600);
    const growth = growthExponent(growing);
    if (growth !== null) figures.push({ id: 'growth-cycle', value: growth, growth, shown: growth.toFixed(3) });
    return { figures, notes, raw };
  },
};

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
