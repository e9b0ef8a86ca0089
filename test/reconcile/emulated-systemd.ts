/**
 * systemd in memory, over an emulated kernel: holds the properties of units and writes the files of their groups a moment
 * after it has answered, as the real one does; `reload` puts back what it holds, and its defaults where it holds nothing.
 * Source: systemd's src/core/cgroup.c (cgroup_context_apply).
 */
import { basename, join } from 'node:path';
import type {
  SystemdFailure,
  SystemdOutcome,
  SystemdProperties,
  SystemdReading,
  UnitProperty,
  UnitPropertyValue,
} from '../../src/host/systemd/properties.js';
import type { CgroupEmulator } from '../fakes/cgroup-emulator.js';

const INFINITY = 2n ** 64n - 1n;
const PERIOD_USEC = 100_000n;

interface File {
  readonly v1: string | null;
  readonly v2: string;
  readonly unset: bigint;
  text(value: bigint, version: 1 | 2): string;
}

const limit = (v1: string | null, v2: string, unset = INFINITY): File => ({
  v1,
  v2,
  unset,
  text: (value, version) => (value === INFINITY ? (version === 1 ? '-1' : 'max') : String(value)),
});

/** Property → the file of a unit's group. A weight of v1 is CPUShares, by 1024 for 100. */
const FILES: Readonly<Record<UnitProperty, File>> = {
  MemoryLow: limit(null, 'memory.low', 0n),
  MemoryMin: limit(null, 'memory.min', 0n),
  MemoryHigh: limit(null, 'memory.high'),
  MemoryMax: limit('memory.limit_in_bytes', 'memory.max'),
  MemorySwapMax: limit(null, 'memory.swap.max'),
  CPUWeight: {
    v1: 'cpu.shares',
    v2: 'cpu.weight',
    unset: 100n,
    text: (value, version) => String(version === 1 ? (value * 1024n) / 100n : value),
  },
  IOWeight: { v1: null, v2: 'io.weight', unset: 100n, text: (value) => `default ${value}` },
  CPUQuotaPerSecUSec: {
    v1: 'cpu.cfs_quota_us',
    v2: 'cpu.max',
    unset: INFINITY,
    text(value, version) {
      const quota = value === INFINITY ? null : String((value * PERIOD_USEC) / 1_000_000n);
      return version === 1 ? (quota ?? '-1') : `${quota ?? 'max'} ${PERIOD_USEC}`;
    },
  },
};

/** `late`: no answer in time, and what was asked is done at {@link EmulatedSystemd.catchUp}. `deaf`: answers, does nothing. */
export type Answer = 'ok' | 'late' | 'deaf' | SystemdFailure;

export class EmulatedSystemd implements SystemdProperties {
  readonly calls: { readonly unit: string; readonly properties: readonly UnitPropertyValue[] }[] = [];
  /** What the next calls about a unit get. */
  answer: (unit: string) => Answer = () => 'ok';
  readonly #kernel: CgroupEmulator;
  readonly #roots: readonly string[];
  readonly #units = new Map<string, Map<UnitProperty, bigint>>();
  #late: (() => void)[] = [];

  constructor(kernel: CgroupEmulator, roots: readonly string[]) {
    this.#kernel = kernel;
    this.#roots = roots;
  }

  available(): boolean {
    return true;
  }

  async set(unit: string, properties: readonly UnitPropertyValue[]): Promise<SystemdOutcome> {
    this.calls.push({ unit, properties });
    await new Promise((resolve) => setImmediate(resolve));
    const answer = this.answer(unit);
    const groups = this.#groupsOf(unit);
    if (answer === 'late') {
      this.#late.push(() => this.hold(unit, properties));
      return { ok: false, failure: 'timeout', message: 'systemd has not answered within 5 s' };
    }
    if (answer !== 'ok' && answer !== 'deaf') return { ok: false, failure: answer, message: `SetUnit: ${answer}` };
    if (groups.length === 0) return { ok: false, failure: 'vanished', message: `Unit ${unit} not loaded.` };
    this.catchUp();
    if (answer === 'ok') setImmediate(() => this.hold(unit, properties));
    return { ok: true };
  }

  async get(unit: string, names: readonly UnitProperty[]): Promise<SystemdReading> {
    return { ok: true, values: names.map((name) => this.held(unit, name) ?? FILES[name].unset) };
  }

  async stop(): Promise<void> {}

  /** Of whoever set it last. */
  held(unit: string, name: UnitProperty): bigint | null {
    return this.#units.get(unit)?.get(name) ?? null;
  }

  /** Somebody sets properties by D-Bus: us, libvirt, `systemctl set-property --runtime`. */
  hold(unit: string, properties: readonly UnitPropertyValue[]): void {
    const held = this.#units.get(unit) ?? new Map<UnitProperty, bigint>();
    this.#units.set(unit, held);
    for (const { name, value } of properties) {
      held.set(name, value);
      for (const path of this.#groupsOf(unit)) this.#write(path, name, value);
    }
  }

  /** What was asked of it in vain is done after all. */
  catchUp(): void {
    for (const late of this.#late.splice(0)) late();
  }

  /** `systemctl daemon-reload` */
  reload(): void {
    for (const path of this.#unitGroups()) {
      for (const name of Object.keys(FILES) as UnitProperty[]) {
        this.#write(path, name, this.held(basename(path), name) ?? FILES[name].unset);
      }
    }
  }

  /** A scope ends with its guest. */
  forget(unit: string): void {
    this.#units.delete(unit);
  }

  #write(path: string, name: UnitProperty, value: bigint): void {
    const { version } = this.#kernel.group(path).mount;
    const { v1, v2, text } = FILES[name];
    const file = version === 1 ? v1 : v2;
    if (file === null) return;
    try {
      this.#kernel.poke(join(path, file), text(value, version));
    } catch {
      // It has no such controller, or the kernel refuses: systemd logs it and goes on.
    }
  }

  #unitGroups(): string[] {
    return this.#roots
      .flatMap((root) => this.#kernel.group(root).subtree.map(({ path }) => path))
      .filter((path) => /\.(?:scope|slice|service)$/.test(path));
  }

  #groupsOf(unit: string): string[] {
    return this.#unitGroups().filter((path) => basename(path) === unit);
  }
}
