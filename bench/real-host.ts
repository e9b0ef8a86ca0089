/**
 * A host of N guests in the kernel's own cgroup v1 trees: groups as libvirt makes them, with an idle process for each guest whose
 * threads are in its vCPU groups. The daemon's core on it reads and writes the kernel's files and the real /proc; libvirt is in
 * memory. It may touch no guest but these. Groups that a killed run left behind go first.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Core } from '../src/assemble.js';
import { KERNEL_FILES } from '../src/host/cgroup/kernel-files.js';
import type { TuneCall } from '../src/host/libvirt/client.js';
import type { SystemdProperties } from '../src/host/systemd/properties.js';
import { FakeLibvirt } from '../test/fakes/fake-libvirt.js';
import { assembleBench, benchConfig, type CoreOptions } from './bench-core.js';
import { compileReference } from './references.js';
import { NotRun } from './result.js';
import { cleanup, MEMORY_DIRECTORY } from './scratch.js';

const MOUNTS = '/sys/fs/cgroup';
const TREES = ['cpu', 'memory', 'blkio', 'cpuset'] as const;
const PREFIX = 'virtslad-bench-';
const NO_SYSTEMD: SystemdProperties = {
  available: () => false,
  set: async () => ({ ok: false, failure: 'absent', message: 'no systemd' }),
  get: async () => ({ ok: false, failure: 'absent', message: 'no systemd' }),
  stop: async () => undefined,
};

export interface RealGuest {
  readonly name: string;
  readonly uuid: string;
  readonly pid: number;
  readonly threads: readonly number[];
  /** Its group in the tree of the CPU controller. */
  readonly directory: string;
}

export interface RealHostOptions {
  readonly count: number;
  readonly vcpus?: number;
  readonly policy: string;
  /** Its vCPUs keep the CPU busy. */
  readonly burn?: boolean;
  nameOf?(index: number): string;
}

export class RealHost {
  readonly root = mkdtempSync(join(MEMORY_DIRECTORY, PREFIX));
  readonly policyDir = join(this.root, 'policies.d');
  readonly stateDir = join(this.root, 'state');
  readonly guests: RealGuest[] = [];
  readonly libvirt = new FakeLibvirt({ onTune: (uuid, calls) => this.#libvirtWrites(uuid, calls) });
  readonly #partition = `${PREFIX}${process.pid}`;
  #children: ChildProcess | null = null;

  static async create(options: RealHostOptions): Promise<RealHost> {
    const lacking = TREES.find((tree) => !existsSync(join(MOUNTS, tree, 'cgroup.procs')));
    if (process.getuid?.() !== 0) throw new NotRun('needs root');
    if (lacking !== undefined) throw new NotRun(`needs cgroup v1 with the controller ${lacking}`);
    removeStale();
    const host = new RealHost();
    cleanup.defer('remove the real groups', () => host.remove());
    await host.#fill(options);
    return host;
  }

  private constructor() {
    for (const directory of [this.policyDir, this.stateDir, join(this.root, 'libvirt', 'qemu')])
      mkdirSync(directory, { recursive: true, mode: 0o755 });
  }

  writePolicy(text: string): void {
    writeFileSync(join(this.policyDir, '10-bench.yaml'), text, { mode: 0o644 });
  }

  assemble(options: CoreOptions = {}): Core {
    const { root, policyDir, stateDir, libvirt } = this;
    const paths = { root, policyDir, stateDir, cgroup: MOUNTS, proc: '/proc', runLibvirt: join(root, 'libvirt') };
    const config = benchConfig(
      paths,
      this.guests.map(({ uuid }) => uuid),
    );
    return assembleBench({ ...options, config, libvirt, files: KERNEL_FILES, systemd: NO_SYSTEMD });
  }

  async remove(): Promise<void> {
    const child = this.#children;
    this.#children = null;
    if (child !== null) {
      const ended = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGKILL');
      await ended;
    }
    for (let tries = 0; !removeTrees(this.#partition) && tries < 100; tries++)
      await new Promise((resolve) => setTimeout(resolve, 50));
    rmSync(this.root, { recursive: true, force: true });
  }

  async #fill({
    count,
    vcpus = 2,
    policy,
    burn = false,
    nameOf = (index) => `all-${index}`,
  }: RealHostOptions): Promise<void> {
    this.writePolicy(policy);
    for (const tree of TREES) {
      mkdirSync(join(MOUNTS, tree, this.#partition));
      if (tree === 'cpuset') fillCpuset(join(MOUNTS, tree), this.#partition);
    }
    const words = [String(count), String(vcpus), ...(burn ? ['burn'] : [])];
    const child = spawn(compileReference('idle', ['-pthread']), words, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#children = child;
    let index = 0;
    for await (const line of createInterface({ input: child.stdout })) {
      if (line === '') break;
      const [pid = 0, ...threads] = line.split(' ').map(Number);
      this.#addGuest(nameOf(index), pid, threads);
      index++;
    }
    if (index < count) throw new NotRun(`only ${index} of ${count} idle processes could be started`);
  }

  #addGuest(name: string, pid: number, threads: readonly number[]): void {
    const uuid = this.libvirt.define({ name, vcpus: threads.length });
    const group = join(this.#partition, `qemu-${this.libvirt.startDomain(uuid)}-${name}.libvirt-qemu`);
    for (const tree of TREES) {
      const own = join(MOUNTS, tree, group);
      mkdirSync(own);
      if (tree === 'cpuset') fillCpuset(join(MOUNTS, tree), group);
      if (tree === 'memory' || tree === 'blkio') {
        writeFileSync(join(own, 'cgroup.procs'), String(pid));
        continue;
      }
      const levels = [['emulator', pid], ...threads.map((thread, vcpu) => [`vcpu${vcpu}`, thread])] as const;
      for (const [level, thread] of levels) {
        mkdirSync(join(own, String(level)));
        if (tree === 'cpuset') fillCpuset(join(MOUNTS, tree), join(group, String(level)));
        writeFileSync(join(own, String(level), 'tasks'), String(thread));
      }
    }
    writeFileSync(join(this.root, 'libvirt', 'qemu', `${name}.pid`), `${pid}\n`);
    this.guests.push({ name, uuid, pid, threads, directory: join(MOUNTS, 'cpu', group) });
  }

  #libvirtWrites(uuid: string, calls: readonly TuneCall[]): void {
    const guest = this.guests.find((one) => one.uuid === uuid);
    for (const call of calls) {
      if (guest === undefined || call.call !== 'scheduler') continue;
      const { cpu_shares: shares, vcpu_quota: quota } = call.parameters;
      if (shares !== undefined) writeFileSync(join(guest.directory, 'cpu.shares'), String(shares));
      if (quota === undefined) continue;
      guest.threads.forEach((_thread, vcpu) => {
        writeFileSync(join(guest.directory, `vcpu${vcpu}`, 'cpu.cfs_quota_us'), String(quota));
      });
    }
  }
}

/** A cpuset takes tasks once it has CPUs and memory nodes. */
function fillCpuset(root: string, group: string): void {
  for (const file of ['cpuset.cpus', 'cpuset.mems']) {
    writeFileSync(join(root, group, file), readFileSync(join(root, group, '..', file), 'latin1').trim());
  }
}

/** False while something is still in one of them. */
function removeTrees(partition: string): boolean {
  let clean = true;
  for (const tree of TREES) {
    const top = join(MOUNTS, tree, partition);
    if (existsSync(top)) clean = removeGroup(top) && clean;
  }
  return clean;
}

function removeGroup(path: string): boolean {
  for (const entry of readdirSync(path, { withFileTypes: true }))
    if (entry.isDirectory()) removeGroup(join(path, entry.name));
  try {
    rmdirSync(path);
    return true;
  } catch {
    return false;
  }
}

function removeStale(): void {
  for (const name of readdirSync(join(MOUNTS, 'cpu'))) {
    const pid = name.startsWith(PREFIX) ? Number(name.slice(PREFIX.length)) : Number.NaN;
    if (Number.isSafeInteger(pid) && !existsSync(`/proc/${pid}`)) removeTrees(name);
  }
}
