/**
 * A host of N guests in a directory in memory: cgroup v2 under systemd as libvirt lays it out, /proc with the threads of
 * each guest, libvirt's pid files, policies. The daemon's core on it is the product's own, with real reads and writes of
 * files; libvirt and systemd are in memory. Files of tmpfs are cheaper to read than the kernel's, for whoever reads them.
 */
import { ftruncateSync, mkdirSync, rmSync, symlinkSync, writeFileSync, writeSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { Core } from '../src/assemble.js';
import { type CgroupFiles, KERNEL_FILES } from '../src/host/cgroup/kernel-files.js';
import type { TuneCall } from '../src/host/libvirt/client.js';
import type { SystemdProperties } from '../src/host/systemd/properties.js';
import { FakeLibvirt } from '../test/fakes/fake-libvirt.js';
import { type GuestOnTree, HostTree } from '../test/fixtures/host-tree.js';
import { assembleBench, benchConfig, type CoreOptions } from './bench-core.js';
import { reserveDescriptors, withReserve } from './descriptors.js';
import { cpuStat, memoryFiles, PRESSURE, processStat, schedstat } from './fixture-files.js';

export const VCPUS = 2;
const NAMES = ['db', 'web', 'batch'] as const;

/** A third of the guests in each class. */
export function nameOf(index: number): string {
  return `${NAMES[index % NAMES.length]}-${index}`;
}

/** Three classes, all with objectives, each a third of the guests. `batchLimit`: of class `batch`, to have something to edit. */
export function policyText(batchLimit = '40%'): string {
  const objective = 'objectives: [{ sli: cpu.delivered, at-least: 95%, of: 99.9%, window: 30d }]';
  return `version: 1
classes:
  db: { cpu: { guarantee: 60%, limit: 100% }, memory: { guarantee: 50%, swap: 0 }, ${objective} }
  web: { cpu: { guarantee: 30%, limit: 50%, burst: 20ms }, memory: { guarantee: 25% }, ${objective} }
  batch: { cpu: { limit: ${batchLimit}, weight: 50 }, ${objective} }
assignments:
  - { class: db, match: { name: "db-*" } }
  - { class: web, match: { name: "web-*" } }
  - { class: batch, match: { any: true } }
`;
}

/** Property of systemd → the file that it stands in. */
const UNIT_FILES: Readonly<Record<string, string>> = {
  CPUWeight: 'cpu.weight',
  MemoryLow: 'memory.low',
  MemoryMin: 'memory.min',
};
const SLICE_FILES = {
  'cpu.max': 'max 100000',
  'cpu.weight': '100',
  'memory.low': '0',
  'memory.min': '0',
  'memory.max': 'max',
  'memory.current': '0',
};

/** A file of tmpfs keeps the end of a longer text; the kernel's do not. */
export const FIXTURE_FILES: CgroupFiles = {
  ...KERNEL_FILES,
  write(fd, text) {
    ftruncateSync(fd, 0);
    writeSync(fd, text);
  },
};

export class FixtureHost {
  readonly tree: HostTree;
  readonly policyDir: string;
  readonly stateDir: string;
  readonly libvirt = new FakeLibvirt({ onTune: (uuid, calls) => this.#libvirtWrites(uuid, calls) });
  readonly guests: GuestOnTree[] = [];
  readonly #scopes = new Map<string, string>();
  readonly #byUuid = new Map<string, GuestOnTree>();
  #usedNs = 1e9;

  constructor(count: number, layout: 'v2-nested' | 'v2-no-systemd' = 'v2-nested') {
    this.tree = new HostTree(layout);
    this.policyDir = join(this.tree.root, 'policies.d');
    this.stateDir = join(this.tree.root, 'state');
    for (const directory of [this.policyDir, this.stateDir]) mkdirSync(directory, { mode: 0o755 });
    this.tree.write(join(this.tree.proc, 'sys/kernel/random/boot_id'), 'b00f');
    for (const resource of ['cpu', 'memory', 'io'])
      this.tree.write(join(this.tree.proc, 'pressure', resource), PRESSURE);
    const parent = layout === 'v2-nested' ? 'machine.slice' : 'machine';
    for (const [file, text] of Object.entries(SLICE_FILES)) this.tree.write(join(this.tree.cgroup, parent, file), text);
    this.writePolicy(policyText());
    for (let index = 0; index < count; index++) this.addGuest(index);
  }

  writePolicy(text: string): void {
    writeFileSync(join(this.policyDir, '10-bench.yaml'), text, { mode: 0o644 });
  }

  addGuest(index: number): GuestOnTree {
    const name = nameOf(index);
    const disk = { target: 'vda', path: `/var/lib/libvirt/images/${name}.qcow2` };
    const uuid = this.libvirt.define({ name, vcpus: VCPUS, disks: [disk] });
    const id = this.libvirt.startDomain(uuid);
    const guest: GuestOnTree = { pid: 100_000 + index * 10, uuid, name, id, vcpus: VCPUS };
    this.tree.addGuest(guest);
    this.guests.push(guest);
    this.#byUuid.set(uuid, guest);
    this.#scopes.set(basename(this.tree.weightDir(guest)), this.tree.weightDir(guest));
    const own = this.tree.domainDir(guest);
    for (const [file, text] of Object.entries(memoryFiles(index))) this.tree.write(join(own, file), text);
    for (const resource of ['cpu', 'memory', 'io']) this.tree.write(join(own, `${resource}.pressure`), PRESSURE);
    const proc = join(this.tree.proc, String(guest.pid));
    this.tree.write(join(proc, 'stat'), processStat(guest.pid, VCPUS + 2));
    symlinkSync('/usr/bin/qemu-system-x86_64', join(proc, 'exe'));
    for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
      const thread = guest.pid + 1 + vcpu;
      this.tree.write(join(own, `vcpu${vcpu}`, 'cgroup.threads'), String(thread));
      this.tree.write(join(own, `vcpu${vcpu}`, 'cpu.stat'), cpuStat(1000));
      this.tree.write(join(proc, 'task', String(thread), 'schedstat'), schedstat(this.#usedNs));
      this.tree.write(join(proc, 'task', String(thread), 'comm'), `CPU ${vcpu}/KVM`);
    }
    return guest;
  }

  /** Every vCPU of every guest has run a little. */
  advance(): void {
    withReserve(() => this.#advance());
  }

  #advance(): void {
    this.#usedNs += 123_456_789;
    const [threads, group] = [schedstat(this.#usedNs), cpuStat(Math.floor(this.#usedNs / 1000))];
    for (const guest of this.guests) {
      const own = this.tree.domainDir(guest);
      for (let vcpu = 0; vcpu < VCPUS; vcpu++) {
        writeFileSync(join(own, `vcpu${vcpu}`, 'cpu.stat'), `${group}\n`);
        const task = join(this.tree.proc, String(guest.pid), 'task', String(guest.pid + 1 + vcpu));
        writeFileSync(join(task, 'schedstat'), `${threads}\n`);
      }
    }
  }

  assemble(options: CoreOptions = {}): Core {
    reserveDescriptors();
    const { tree, policyDir, stateDir, libvirt } = this;
    const { root, cgroup, proc, runLibvirt } = tree;
    const config = benchConfig({ root, policyDir, stateDir, cgroup, proc, runLibvirt }, null);
    return assembleBench({ ...options, config, libvirt, files: FIXTURE_FILES, systemd: this.#systemd() });
  }

  remove(): void {
    withReserve(() => rmSync(this.tree.root, { recursive: true, force: true }));
  }

  #systemd(): SystemdProperties {
    return {
      available: () => true,
      set: async (unit, properties) => {
        const directory = this.#scopes.get(unit) ?? join(this.tree.cgroup, unit);
        for (const { name, value } of properties) {
          const file = UNIT_FILES[name];
          if (file !== undefined) writeFileSync(join(directory, file), `${value}\n`);
        }
        return { ok: true };
      },
      get: async (_unit, names) => ({ ok: true, values: names.map(() => 2n ** 64n - 1n) }),
      stop: async () => undefined,
    };
  }

  /** As libvirt's own cgroup code does it. */
  #libvirtWrites(uuid: string, calls: readonly TuneCall[]): void {
    const guest = this.#byUuid.get(uuid);
    if (guest === undefined) return;
    const own = this.tree.domainDir(guest);
    for (const call of calls) {
      if (call.call !== 'scheduler') continue;
      const { cpu_shares: weight, vcpu_quota: quota } = call.parameters;
      if (weight !== undefined) writeFileSync(join(this.tree.weightDir(guest), 'cpu.weight'), `${weight}\n`);
      for (let vcpu = 0; vcpu < VCPUS && quota !== undefined; vcpu++)
        writeFileSync(join(own, `vcpu${vcpu}`, 'cpu.max'), `${quota < 0n ? 'max' : quota} 100000\n`);
    }
  }
}
