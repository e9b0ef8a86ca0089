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
import { FixtureHost, nameOf, policyText } from './fixture-host.js';
import { type Contestant, interleave } from './interleave.js';
import { RealHost } from './real-host.js';
import { type Recorded, record } from './recorder.js';
import { compileReference, Reference } from './references.js';
import type { Figure, Measurement, Result } from './result.js';
import { cleanup, scratch } from './scratch.js';
import { median } from './statistics.js';

const LETTERS = { kept: 'K', opened: 'O', listed: 'D', status: 'S' } as const;
/** Descriptors that a C loop needs for itself. */
const SPARE = 32;
/** A guest of two vCPUs has no fewer that count; what is below was read in part. */
const FILES_A_GUEST = 15;

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

interface BenchHost {
  readonly libvirt: FixtureHost['libvirt'];
  readonly guests: readonly unknown[];
  assemble(): Core;
  advance?(): void;
  remove(): void | Promise<void>;
}

async function measure(
  make: () => BenchHost | Promise<BenchHost>,
  where: string,
  rounds: number,
  of: Of,
): Promise<Result> {
  const loops = new Loops();
  const host = await make();
  const count = host.guests.length;
  const core = host.assemble();
  await begin(core, host.libvirt);
  const accesses = accessesOf(await record(() => steadyCycle(core)));
  await loops.load(accesses);
  const costs = await interleave([subject(core), ...loops.contestants], {
    warmups: 3,
    rounds,
    before: () => host.advance?.(),
  });
  const compliant = core.snapshots.build().domains.filter((one) => one.compliant).length;
  await loops.stop();
  await core.reconciler.stop();
  core.guests.close();
  await host.remove();
  const { subject: subjectMs = [], kept: keptMs = [], same: sameMs = [] } = costs;
  const [own, kept, same] = [median(subjectMs), median(keptMs), median(sameMs)];
  const filesAGuest = accesses.kept.length / count;
  const note = `Steady cycle, ${where}: ${ms(own)}; C with kept descriptors ${ms(kept)} (${(own / kept).toFixed(2)} ×), C with the very same ${accesses.same.length} accesses ${ms(same)} (${(own / same).toFixed(2)} ×); ${filesAGuest.toFixed(1)} files and ${(accesses.same.length / count).toFixed(1)} accesses a guest; ${compliant} of ${count} guests compliant.`;
  const raw = { [`${of.id}.subject.ms`]: subjectMs, [`${of.id}.c-kept.ms`]: keptMs, [`${of.id}.c-same.ms`]: sameMs };
  const writes: Figure = { id: of.writes, value: accesses.writes, shown: where };
  // A cycle that cannot read all of its guests is cheaper for what it leaves out.
  if (compliant < count || filesAGuest < FILES_A_GUEST) {
    const reason = `not all files of ${count} guests can be read with ${openLimit()} open files`;
    return { figures: [writes], missing: [{ id: of.id, reason, missed: true }], notes: [note], raw };
  }
  const ratio: Figure = { id: of.id, value: own / kept, shown: `${ms(own)} against ${ms(kept)} of CPU` };
  const grows = of.grows ? [{ what: 'cycle', count, cost: own } as const] : [];
  return { figures: [ratio, writes], notes: [note], raw, costs: grows };
}

interface Of {
  readonly id: string;
  readonly writes: string;
  readonly grows: boolean;
}

/** At one size, on fixtures. */
export function steadyOn(count: number): Measurement {
  const of: Of = { id: `steady-${count}`, writes: `writes-${count}`, grows: true };
  return {
    name: of.id,
    gives: [of.id, of.writes],
    run: ({ short }) => {
      const make = (): FixtureHost => {
        const host = new FixtureHost(count);
        cleanup.defer('remove the host', () => host.remove());
        return host;
      };
      return measure(make, `${count} guests on fixtures`, short ? 5 : 9, of);
    },
  };
}

/** At one size, in the kernel's own groups. */
export function steadyOnReal(count: number): Measurement {
  const of: Of = { id: `steady-real-${count}`, writes: `writes-real-${count}`, grows: false };
  return {
    name: of.id,
    gives: [of.id, of.writes],
    run: () => measure(() => RealHost.create({ count, policy: policyText(), nameOf }), `${count} real groups`, 9, of),
  };
}

function ms(value: number): string {
  return `${value.toFixed(1)} ms`;
}
