/** What tests of groups above guests share: guests in slices, what they ask, a systemd and a kernel in memory. */
import { basename, join } from 'node:path';
import type { Desired } from '../../../src/controls/control.js';
import type { Domain } from '../../../src/domains/types.js';
import type { SystemdOutcome, SystemdProperties, UnitPropertyValue } from '../../../src/host/systemd/properties.js';
import type { ProtectionFile } from '../../../src/reconcile/host-controls/slice-plan.js';
import type { JournalRecord } from '../../../src/reconcile/journal-format.js';
import { instanceOf } from '../../../src/reconcile/originals.js';
import type { CgroupEmulator } from '../../fakes/cgroup-emulator.js';

export const ROOT = '/sys/fs/cgroup';
export const GIB = 1024 ** 3;
export const MIB = 1024 ** 2;

/** A running guest whose groups above are these, nearest first, as paths below the root. */
export function guestIn(uuid: string, above: readonly string[]): Domain {
  const ancestors = above.map((path) => join(ROOT, path));
  const weightDir = join(ancestors[0] ?? ROOT, `machine-${uuid}.scope`);
  const group = { version: 2, weightDir, domainDir: join(weightDir, 'libvirt') } as const;
  return {
    uuid,
    name: uuid,
    source: 'libvirt',
    state: 'running',
    facts: null,
    process: { pid: 1, startTicks: 1n },
    cgroup: null,
    groups: { memory: { ...group, systemdOwned: true, ancestors, inode: 1n } },
    reasons: {},
    gaps: [],
    vcpuGroups: [],
    vcpuThreads: new Map(),
    hostDevices: new Map(),
    security: null,
    obstacle: null,
  };
}

export function asks(bytes: number, file: ProtectionFile = 'memory.low'): Desired {
  const asked = { value: bytes, text: String(bytes), source: { file: 'p.yaml', line: 1, column: 1 } };
  const setting = { path: file, writer: 'direct', depth: 1, text: String(bytes) } as const;
  const settings = [`scope/${file}`, file].map((key) => ({ ...setting, key }));
  return { kind: 'set', asked, amounts: [], display: '', settings, notes: [] };
}

/** What the journal says was given to a guest. */
export function given(domain: Domain, bytes: number, file: ProtectionFile = 'memory.low'): JournalRecord {
  const original = { text: '0', from: 'kernel' } as const;
  const { uuid, name } = domain;
  const settings = { [file]: { original, written: [String(bytes)] } };
  return { uuid, name, control: 'memory.guarantee', instance: instanceOf(domain), settings };
}

/** Writes the slices of an emulated kernel, a moment after it has answered. */
export class FakeSystemd implements Pick<SystemdProperties, 'set'> {
  readonly calls: string[] = [];
  /** What the next calls get; `late`: no answer in time, and it is done after all when {@link catchUp} is called. */
  answer: 'ok' | 'absent' | 'refused' | 'late' | 'deaf' = 'ok';
  #waiting: (() => void)[] = [];
  readonly #kernel: CgroupEmulator;
  readonly #units: Readonly<Record<string, string>>;

  /** Unit → path of its group. */
  constructor(kernel: CgroupEmulator, units: Readonly<Record<string, string>>) {
    this.#kernel = kernel;
    this.#units = units;
  }

  async set(unit: string, properties: readonly UnitPropertyValue[]): Promise<SystemdOutcome> {
    const words = properties.map(({ name, value }) => `${name}=${Number(value) / GIB}G`).join(' ');
    this.calls.push(`${unit} ${words}`);
    await Promise.resolve();
    const path = this.#units[unit];
    if (this.answer === 'absent') return { ok: false, failure: 'absent', message: 'systemd does not run here' };
    if (this.answer === 'refused') return { ok: false, failure: 'refused', message: 'SetUnitProperties: no' };
    if (path === undefined) return { ok: false, failure: 'vanished', message: `GetUnit: no ${unit}` };
    if (this.answer === 'deaf') return { ok: true };
    const write = (): void => {
      for (const { name, value } of properties) {
        const file = name === 'MemoryMin' ? 'memory.min' : 'memory.low';
        this.#kernel.poke(join(path, file), value >= 2n ** 63n ? 'max' : String(value));
      }
    };
    if (this.answer === 'late') {
      this.#waiting.push(write);
      return { ok: false, failure: 'timeout', message: 'systemd has not answered within 5 s' };
    }
    this.catchUp();
    setImmediate(write);
    return { ok: true };
  }

  catchUp(): void {
    for (const write of this.#waiting.splice(0)) write();
  }
}

export function unitsOf(paths: readonly string[]): Record<string, string> {
  return Object.fromEntries(paths.map((path) => [basename(path), join(ROOT, path)]));
}
