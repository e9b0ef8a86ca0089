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
import { withReserve } from './descriptors.js';
import { FixtureHost } from './fixture-host.js';
import { type Contestant, interleave } from './interleave.js';
import { type Recorded, record } from './recorder.js';
import { compileReference, Reference } from './references.js';
import type { Figure, Measurement, Missing, Result } from './result.js';
import { cleanup, scratch } from './scratch.js';
import { growthExponent, median } from './statistics.js';

const COUNTS = [100, 300, 600, 1000, 5000] as const;
const LETTERS = { kept: 'K', opened: 'O', listed: 'D', status: 'S' } as const;
/** Descriptors that a C loop needs for itself. */
const SPARE = 32;

export interface Accesses {
  /** Once each, descriptors kept. */
  readonly kept: readonly string[];
  /** As the subject made them. */
  readonly same: readonly string[];
  readonly writes: number;
}

/** What a cycle was seen to do, as lists for `reads.c`. */
export function accessesOf(recorded: readonly Recorded[]): Accesses {
  const same = recorded.flatMap(({ access, path }) => (access === 'write' ? [] : [`${LETTERS[access]} ${path}`]));
  const kept = new Map<string, string>();
  for (const { access, path } of recorded) {
    if (access === 'write') continue;
    // A file that was read needs no second look to see that it is there.
    if (access !== 'status' || !kept.has(path)) kept.set(path, access === 'opened' ? 'K' : LETTERS[access]);
  }
  const writes = recorded.filter(({ access }) => access === 'write').length;
  return { kept: [...kept].map(([path, letter]) => `${letter} ${path}`), same, writes };
}

/** The two C loops. Started before the subject, which may use up the descriptors that starting them takes. */
export class Loops {
  readonly #references = (['kept', 'same'] as const).map((mode) => ({
    mode,
    reference: new Reference(compileReference('reads'), [mode, String(openLimit() - SPARE)]),
  }));

  constructor() {
    cleanup.defer('stop the C loops', () => this.stop());
    // Made while there are descriptors for it.
    scratch();
  }

  async load(accesses: Accesses): Promise<void> {
    for (const { mode, reference } of this.#references) {
      const list = join(scratch(), `list.${mode}`);
      withReserve(() => writeFileSync(list, `${accesses[mode].join('\n')}\n`));
      await reference.round(list);
    }
  }

  get contestants(): readonly Contestant[] {
    return this.#references.map(({ mode, reference }) => ({
      name: mode,
      round: async () => ((await reference.round())[0] ?? Number.NaN) / 1000,
    }));
  }

  async stop(): Promise<void> {
    for (const { reference } of this.#references) await reference.stop();
  }
}

export function subject(core: Core): Contestant {
  return { name: 'subject', round: () => cpuMs(() => steadyCycle(core)) };
}

interface Measured {
  readonly count: number;
  readonly subject: readonly number[];
  readonly kept: readonly number[];
  readonly same: readonly number[];
  readonly accesses: Accesses;
  readonly compliant: number;
}

async function measure(count: number, rounds: number): Promise<Measured> {
  const loops = new Loops();
  const host = new FixtureHost(count);
  cleanup.defer('remove the host', () => host.remove());
  const core = host.assemble();
  await begin(core, host.libvirt);
  const accesses = accessesOf(await record(() => steadyCycle(core)));
  await loops.load(accesses);
  const costs = await interleave([subject(core), ...loops.contestants], {
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
  return { count, subject: own, kept, same, accesses, compliant };
}

export const steadyCycleMeasurement: Measurement = {
  name: 'steady-cycle',
  gives: ['steady-600', 'steady-1000', 'steady-5000', 'writes', 'growth-cycle'],
  async run({ short }): Promise<Result> {
    const counts = short ? [200, 800] : COUNTS;
    const figures: Figure[] = [];
    const missing: Missing[] = [];
    const notes: string[] = [];
    const raw: Record<string, readonly number[]> = {};
    const medians: { count: number; cost: number }[] = [];
    let writes = 0;
    let filesAGuest: number | null = null;
    for (const count of counts) {
      const measured = await measure(count, short ? 5 : 9);
      const [own, kept, same] = [median(measured.subject), median(measured.kept), median(measured.same)];
      const { accesses, compliant } = measured;
      writes += accesses.writes;
      Object.assign(raw, {
        [`steady-${count}.subject.ms`]: measured.subject,
        [`steady-${count}.c-kept.ms`]: measured.kept,
        [`steady-${count}.c-same.ms`]: measured.same,
      });
      // A cycle that cannot read all of its guests is cheaper for what it leaves out.
      filesAGuest ??= accesses.kept.length / count;
      const isWhole = compliant === count && accesses.kept.length / count > filesAGuest * 0.95;
      if (isWhole) {
        medians.push({ count, cost: own });
        figures.push({ id: `steady-${count}`, value: own / kept, shown: `${ms(own)} against ${ms(kept)} of CPU` });
      } else {
        const reason = `not all files of ${count} guests can be read with ${openLimit()} open files`;
        missing.push({ id: `steady-${count}`, reason, missed: true });
      }
      notes.push(
        `Steady cycle, ${count} guests on fixtures: ${ms(own)}; C with kept descriptors ${ms(kept)} (${(own / kept).toFixed(2)} ×), C with the very same ${accesses.same.length} accesses ${ms(same)} (${(own / same).toFixed(2)} ×); ${accesses.kept.length} files, ${(accesses.same.length / count).toFixed(1)} accesses a guest; ${compliant} of ${count} guests compliant.`,
      );
    }
    figures.push({
      id: 'writes',
      value: writes,
      shown: `${writes} writes in one cycle at each of ${counts.join(', ')} guests`,
    });
    const growing = medians.filter(({ count }) => short || count >= 600);
    const growth = growthExponent(growing);
    if (growing.at(-1)?.count !== counts.at(-1)) {
      missing.push({ id: 'growth-cycle', reason: `nothing to compare at ${counts.at(-1)}`, missed: true });
    } else if (growth !== null) figures.push({ id: 'growth-cycle', value: growth, growth, shown: growth.toFixed(3) });
    return { figures, missing, notes, raw };
  },
};

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
