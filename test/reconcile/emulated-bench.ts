/**
 * The whole core on an emulated host of any layout, without root: the real inventory, controls, plan, apply, journal,
 * teller and reconciler over a strict cgroup file system in memory, a libvirt and a systemd in memory that write it as the
 * real ones do, stand-ins for disks and taps, and a clock that a test moves. Booting again is a restart after kill -9.
 *
 *     const bench = new EmulatedBench('v2-nested');
 *     const uuid = bench.addGuest({ name: 'db-1', vcpus: 2 });
 *     bench.setClass('cpu: { limit: 50% }');
 *     const core = await bench.boot();
 *     await bench.settle();
 *     bench.value(uuid, 'cpu', 'vcpu0/cpu.max');    // '50000 100000'
 */
import { existsSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { type Core as AssembledCore, assemble } from '../../src/assemble.js';
import type { Config } from '../../src/config/types.js';
import type { Controller } from '../../src/domains/types.js';
import { parseIoCostDevices } from '../../src/host/block/disk-queue.js';
import type { CgroupFiles } from '../../src/host/cgroup/kernel-files.js';
import { pageBytes } from '../../src/host/cgroup/page-bytes.js';
import type { Clock } from '../../src/host/clock.js';
import type { LibvirtClient, LibvirtEvent, LibvirtOutcome, TuneCall } from '../../src/host/libvirt/client.js';
import type { FreeSpace } from '../../src/host/libvirt/save-space.js';
import type { SystemdProperties } from '../../src/host/systemd/properties.js';
import type { Log } from '../../src/log.js';
import { compile } from '../../src/policy/compile.js';
import type { ControlSnapshot, DomainSnapshot } from '../../src/snapshot/types.js';
import type { CgroupEmulator } from '../fakes/cgroup-emulator.js';
import { filesOf } from '../fakes/cgroup-emulator-files.js';
import type { Machine } from '../fakes/cgroup-emulator-group.js';
import { emulateGuest, emulateTrees } from '../fakes/cgroup-emulator-host.js';
import { type FakeDomainOptions, FakeLibvirt } from '../fakes/fake-libvirt.js';
import { ENFORCING, FakeSecurity } from '../fakes/fake-security.js';
import { type GuestOnTree, HostTree, type LayoutName } from '../fixtures/host-tree.js';
import { EmulatedDisks, EmulatedTaps } from './emulated-devices.js';
import { libvirtWrites } from './emulated-libvirt.js';
import { EmulatedSystemd } from './emulated-systemd.js';

export const GIB = 1024 ** 3;
const CYCLE_MS = 5_000;
/** 2026-01-05T00:00:00Z */
const EPOCH_MS = 1_767_571_200_000;

export interface LogLine {
  readonly level: string;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface Core extends AssembledCore {
  readonly log: LogLine[];
}

export interface BenchOptions {
  readonly machine?: Partial<Machine>;
  /** As with `--libvirt-uri none`. */
  readonly withoutLibvirt?: boolean;
  /** libvirt gives labels, and processes wear what it says. */
  readonly selinux?: boolean;
}

export interface BareOptions {
  readonly name: string;
  readonly uuid?: string | null;
  readonly pid?: number;
  readonly startTicks?: number;
  readonly vcpus?: number;
  /** Of its group, from the mount. */
  readonly group?: string;
  readonly argv?: readonly string[];
}

export class EmulatedBench {
  readonly layout: LayoutName;
  readonly tree: HostTree;
  readonly kernel: CgroupEmulator;
  readonly libvirt: FakeLibvirt;
  readonly systemd: EmulatedSystemd;
  readonly disks = new EmulatedDisks();
  readonly taps = new EmulatedTaps();
  readonly stateDir: string;
  /** What becomes of set calls instead of being made; null: they are made. */
  tuneFault: (uuid: string, calls: readonly TuneCall[]) => LibvirtOutcome<null> | null = () => null;
  /** Put around what the next boot gets. */
  wrapLibvirt: (client: LibvirtClient) => LibvirtClient = (client) => client;
  wrapSystemd: (systemd: SystemdProperties) => SystemdProperties = (systemd) => systemd;
  wrapKernel: (files: CgroupFiles) => CgroupFiles = (files) => files;
  policy = '';
  mode: 'enforce' | 'observe' = 'enforce';
  elapsedMs = 1_000_000;
  readonly clock: Clock = { nowMs: () => EPOCH_MS + this.elapsedMs, monotonicMs: () => this.elapsedMs };
  readonly #withoutLibvirt: boolean;
  readonly #selinux: boolean;
  readonly #options = new Map<string, Pick<FakeDomainOptions, 'name' | 'vcpus'> & { machineName?: string }>();
  readonly #guests = new Map<string, GuestOnTree>();
  readonly #scopes = new Set<string>();
  readonly #saving = new Set<Promise<void>>();
  #nextPid = 70_001;
  #core: Core | null = null;

  /** Every guest has a pair of its own, as libvirt gives it. */
  readonly security = new FakeSecurity(ENFORCING);
  /** Where libvirt keeps saved guests. */
  saveSpace: FreeSpace = { ok: true, freeBytes: 64 * GIB };

  constructor(layout: LayoutName, { machine, withoutLibvirt = false, selinux = false }: BenchOptions = {}) {
    this.layout = layout;
    this.tree = new HostTree(layout);
    this.kernel = emulateTrees(this.tree, { pageBytes: pageBytes(), ...machine });
    this.tree.write(join(this.tree.proc, 'sys/kernel/random/boot_id'), 'b00f');
    // In memory where that can be: the journal is fsynced at every change.
    this.stateDir = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : this.tree.root, 'virtslad-state-'));
    const roots = this.tree.mounts.map(({ root }) => root);
    this.systemd = new EmulatedSystemd(this.kernel, roots);
    const switches = this.tree.mounts.find(({ version, controllers }) => version === 2 && controllers.includes('io'));
    if (switches !== undefined) {
      this.disks.ioCostDevices = () => parseIoCostDevices(this.kernel.peek(join(switches.root, 'io.cost.qos')));
    }
    // Their images are nobody's concern but of tests about labels.
    this.security.files.others = 'unsupported';
    this.#withoutLibvirt = withoutLibvirt;
    this.#selinux = selinux;
    this.libvirt = new FakeLibvirt({
      ...(withoutLibvirt && { uri: null }),
      deadlineMs: 2,
      selinux,
      onTune: (uuid, calls) => {
        const guest = this.#guests.get(uuid);
        if (guest !== undefined) libvirtWrites(this, guest, calls);
      },
    });
    this.libvirt.onEvent((event) => {
      if (event.kind === 'lifecycle') this.#follow(event);
      this.#core?.events.onLibvirt(event);
    });
  }

  // ── guests ──

  /** A running guest, with its process and groups. @returns its uuid */
  addGuest(options: FakeDomainOptions & { readonly machineName?: string }): string {
    const uuid = this.libvirt.define(options);
    this.startGuest(uuid, options);
    return uuid;
  }

  /** `machineName`: what libvirt makes of its name for the group; default: the name. */
  startGuest(uuid: string, options: Pick<FakeDomainOptions, 'name' | 'vcpus'> & { machineName?: string }): void {
    this.#options.set(uuid, options);
    const id = this.libvirt.beginStart(uuid);
    const guest = this.#makeGuest(uuid, id);
    this.#applyTuning(uuid, guest);
    this.libvirt.finishStart(uuid);
  }

  /** What the client itself saves and restores has its process and groups too. */
  #follow({ uuid, event }: Extract<LibvirtEvent, { kind: 'lifecycle' }>): void {
    const guest = this.#guests.get(uuid);
    if (event === 'stopped' && guest !== undefined) this.#endGuest(guest);
    const id = this.libvirt.id(uuid);
    if (event === 'started' && guest === undefined && id !== null && this.#options.has(uuid)) {
      this.#applyTuning(uuid, this.#makeGuest(uuid, id));
    }
  }

  #makeGuest(uuid: string, id: number): GuestOnTree {
    const { name, vcpus = 1, machineName = name } = this.#options.get(uuid) ?? fail(`${uuid} was never started`);
    const guest: GuestOnTree = { pid: this.#newPid(), uuid, name: machineName, id, vcpus };
    this.#guests.set(uuid, guest);
    this.tree.addProcess(guest.pid, this.tree.cgroupLines(guest), guest.pid, ['qemu', '-uuid', uuid]);
    this.tree.write(join(this.tree.runLibvirt, 'qemu', `${pidFileName(name)}.pid`), String(guest.pid));
    emulateGuest(this.kernel, this.tree, guest);
    this.security.setProcessLabel(guest.pid, this.#labelOf(guest));
    const scope = this.tree.weightDir(guest);
    if (scope.endsWith('.scope')) this.#scopes.add(basename(scope));
    return guest;
  }

  #labelOf({ pid, uuid }: GuestOnTree): string {
    if (!this.#selinux) return labelOfItsOwn(pid);
    const said = this.libvirt.seclabels(uuid).find(({ model }) => model === 'selinux');
    return said?.label ?? 'system_u:system_r:unconfined_t:s0-s0:c0.c1023';
  }

  #applyTuning(uuid: string, guest: GuestOnTree): void {
    const { cpu, memory, blkio, pins } = this.libvirt.tuning(uuid);
    const calls: TuneCall[] = [];
    if (cpu.shares !== undefined) calls.push(scheduler({ cpu_shares: BigInt(cpu.shares) }));
    if (cpu.vcpuPeriodUsec !== undefined) calls.push(scheduler({ vcpu_period: BigInt(cpu.vcpuPeriodUsec) }));
    if (cpu.vcpuQuotaUsec !== undefined) calls.push(scheduler({ vcpu_quota: BigInt(cpu.vcpuQuotaUsec) }));
    const kib = { soft_limit: memory.softLimitKib, hard_limit: memory.hardLimitKib };
    const { swapHardLimitKib: swap } = memory;
    for (const [key, value] of Object.entries({ ...kib, swap_hard_limit: swap }))
      if (value !== undefined) calls.push({ call: 'memory', parameters: { [key]: BigInt(value) } });
    if (blkio.weight !== undefined) calls.push({ call: 'blkio', parameters: { weight: blkio.weight } });
    for (const [vcpu, list] of Object.entries(pins)) {
      const cpus = list.split(',').map(Number);
      calls.push({ call: 'pin', vcpu: Number(vcpu), cpus });
    }
    libvirtWrites(this, guest, calls);
  }

  /** Its process and groups go, and libvirt says so. */
  stopGuest(uuid: string): void {
    this.#endGuest(this.guest(uuid));
    this.libvirt.stopDomain(uuid);
  }

  #endGuest(guest: GuestOnTree): void {
    this.endProcess(guest.pid);
    this.#removeGroups(guest);
    this.systemd.forget(basename(this.tree.weightDir(guest)));
    this.#guests.delete(guest.uuid);
  }

  /** A vCPU is plugged in: its groups, with what libvirt gives it. */
  plugVcpu(uuid: string): void {
    const before = this.guest(uuid);
    const guest = { ...before, vcpus: before.vcpus + 1 };
    this.#guests.set(uuid, guest);
    emulateGuest(this.kernel, this.tree, guest);
    this.libvirt.setVcpus(uuid, guest.vcpus);
    const { vcpuPeriodUsec: period, vcpuQuotaUsec: quota } = this.libvirt.cputune(uuid);
    const given = {
      ...(period !== undefined && { vcpu_period: BigInt(period) }),
      ...(quota !== undefined && { vcpu_quota: BigInt(quota) }),
    };
    libvirtWrites(this, guest, [scheduler(given)]);
  }

  unplugVcpu(uuid: string): void {
    const before = this.guest(uuid);
    const guest = { ...before, vcpus: before.vcpus - 1 };
    this.#guests.set(uuid, guest);
    for (const path of this.#paths(guest, `vcpu${guest.vcpus}`)) this.kernel.removeTree(path);
    this.libvirt.setVcpus(uuid, guest.vcpus);
  }

  /** A QEMU process that nobody but its starter knows, in a group of its own, or in none. @returns its pid */
  addBare(options: BareOptions): number {
    const { name, uuid = null, pid = this.#newPid(), vcpus = 1, group = `vm/${name}`, startTicks = pid } = options;
    const executable = '/usr/bin/qemu-system-x86_64';
    const own = ['-name', `${name},debug-threads=on`, ...(uuid === null ? [] : ['-uuid', uuid])];
    const argv = [executable, ...own, '-smp', String(vcpus), '-m', '1024', ...(options.argv ?? [])];
    const lines: string[] = [];
    for (const { root, version, controllers } of this.tree.mounts) {
      const path = join(root, group);
      const emulated = this.kernel.make(path);
      this.kernel.enter(path, pid);
      if (emulated.mount.version === 1 && controllers.includes('cpuset')) this.#fillCpus(root, group);
      const names = controllers.map((one) => ({ cpu: 'cpu', memory: 'memory', io: 'blkio', cpuset: 'cpuset' })[one]);
      lines.push(version === 2 ? `0::/${group}` : `${lines.length + 1}:${names.join()}:/${group}`);
    }
    this.putProcess(pid, { cgroup: lines.join('\n'), argv, startTicks, executable });
    this.security.setProcessLabel(pid, labelOfItsOwn(pid));
    return pid;
  }

  /** A process in /proc alone. */
  putProcess(
    pid: number,
    change: {
      readonly cgroup: string;
      readonly argv: readonly string[];
      readonly startTicks: number;
      readonly executable: string;
    },
  ): void {
    const { cgroup, argv, startTicks, executable } = change;
    const directory = join(this.tree.proc, String(pid));
    rmSync(directory, { recursive: true, force: true });
    const fields = Array.from({ length: 50 }, () => '0');
    Object.assign(fields, { 0: 'S', 1: '1', 17: '1', 19: String(startTicks), 23: '4096', 25: '1' });
    this.tree.write(join(directory, 'stat'), `${pid} (qemu-system-x86) ${fields.join(' ')}`);
    this.tree.write(join(directory, 'cgroup'), cgroup);
    this.tree.write(join(directory, `task/${pid}/comm`), 'qemu-system-x86');
    writeFileSync(join(directory, 'cmdline'), argv.map((word) => `${word}\0`).join(''));
    symlinkSync(executable, join(directory, 'exe'));
  }

  endProcess(pid: number): void {
    rmSync(join(this.tree.proc, String(pid)), { recursive: true, force: true });
  }

  /** A group of a bare guest goes. */
  removeBareGroup(group: string): void {
    for (const { root } of this.tree.mounts) this.kernel.removeTree(join(root, group));
  }

  guest(uuid: string): GuestOnTree {
    const guest = this.#guests.get(uuid);
    if (guest === undefined) throw new Error(`no guest ${uuid} runs on this bench`);
    return guest;
  }

  /** What stands in a file of the guest's own level, or with `scope` in that of its weight. */
  value(uuid: string, controller: Controller, file: string, at: 'own' | 'scope' = 'own'): string {
    return this.kernel.peek(join(this.directory(uuid, controller, at), file));
  }

  directory(uuid: string, controller: Controller = 'cpu', at: 'own' | 'scope' = 'own'): string {
    const guest = this.guest(uuid);
    return at === 'own' ? this.tree.domainDir(guest, controller) : this.tree.weightDir(guest, controller);
  }

  /** Every value that can be set in any group, by path. */
  values(below = ''): Map<string, string> {
    const found = new Map<string, string>();
    for (const { root } of this.tree.mounts) {
      for (const group of this.kernel.group(root).subtree) {
        if (!group.path.startsWith(below)) continue;
        for (const [name, file] of filesOf(group)) {
          if (name.startsWith('cgroup.') || file.write === undefined || file.read === undefined) continue;
          found.set(join(group.path, name), file.read(group).trim());
        }
      }
    }
    return found;
  }

  // ── the daemon ──

  /** The policy whose one class every guest has; null: a set that no guest matches. */
  setClass(body: string | null): void {
    this.setClasses(body === null ? { gold: ['nobody', 'cpu: { limit: 50% }'] } : { gold: ['*', body] });
  }

  /** Class → name pattern and body, YAML in flow style by key. */
  setClasses(
    classes: Readonly<Record<string, readonly [pattern: string, body: string]>>,
    by: 'name' | 'uuid' = 'name',
  ): void {
    const bodies = Object.entries(classes).map(
      ([name, [, body]]) =>
        `  ${name}:\n${body
          .trim()
          .split('\n')
          .map((line) => `    ${line.trim()}\n`)
          .join('')}`,
    );
    const matches = Object.entries(classes).map(
      ([name, [pattern]]) => `  - { class: ${name}, match: { ${by}: ${JSON.stringify(pattern)} } }\n`,
    );
    this.policy = `version: 1\nclasses:\n${bodies.join('')}assignments:\n${matches.join('')}`;
  }

  /** A daemon's core, as `daemon.ts` begins it; what ran before is dead. */
  async boot(prepare: (core: Core) => void = () => undefined): Promise<Core> {
    await this.kill();
    if (!this.#withoutLibvirt) await this.libvirt.start(new AbortController().signal);
    const core = this.#assemble();
    prepare(core);
    await core.parts.journal.load({ readOnly: false });
    await core.parts.handsOff.load({ readOnly: false });
    await core.parts.labels.state.load({ readOnly: false });
    await core.parts.generations.loadAccepted();
    this.#core = core;
    if (this.policy !== '' && !(await core.parts.generations.reload())) {
      throw new Error(`the bench's policy is wrong: ${core.parts.generations.problems.join('; ')}`);
    }
    core.reconciler.start();
    await core.reconciler.resync();
    await core.reconciler.full();
    return core;
  }

  get core(): Core {
    if (this.#core === null) throw new Error('the bench has not been booted');
    return this.#core;
  }

  async kill(): Promise<void> {
    const core = this.#core;
    this.#core = null;
    if (core === null) return;
    // What hangs for ever is left to itself, as kill -9 leaves it.
    await Promise.race([core.reconciler.stop(), pause(50)]);
    core.parts.inventory.close();
  }

  async reload(): Promise<void> {
    const { ok, problems } = await this.core.operator.reload();
    if (!ok) throw new Error(`the bench's policy is wrong: ${problems.join('; ')}`);
    await this.settle();
  }

  /** Full cycles and the answers of others, at one moment of the clock, until nothing more happens. */
  async settle(): Promise<void> {
    let before = '';
    for (let round = 0; round < 12; round++) {
      await this.cycle();
      const now = this.#doings();
      if (now === before) return;
      before = now;
    }
    throw new Error('the core does not come to rest');
  }

  /** One full cycle, and what follows from it. */
  async cycle(): Promise<void> {
    const { reconciler, parts } = this.core;
    await reconciler.full();
    for (let calm = 0; calm < 3; calm++) {
      await turns(4);
      const saving = this.#saving.size > 0;
      await Promise.allSettled([parts.looked(), parts.teller.idle(), ...this.#saving]);
      if (saving) calm = 0;
    }
  }

  /** As the daemon's timer does it: libvirt is asked, then a full cycle. */
  async cycles(count: number): Promise<void> {
    for (let index = 0; index < count; index++) {
      this.elapsedMs += CYCLE_MS;
      await this.core.reconciler.resync();
      await this.cycle();
    }
  }

  snapshot(uuid: string): DomainSnapshot {
    return this.core.parts.picture.get(uuid) ?? fail(`no picture of ${uuid}`);
  }

  control(uuid: string, id: string): ControlSnapshot | null {
    return this.snapshot(uuid).controls.find((one) => one.id === id) ?? null;
  }

  /** `cpu.limit: holds`, with the reason where it does not. */
  statuses(uuid: string): Record<string, string> {
    return Object.fromEntries(
      this.snapshot(uuid).controls.map(({ id, status, reason }) => [
        id,
        reason === null ? status : `${status}: ${reason}`,
      ]),
    );
  }

  async remove(): Promise<void> {
    await this.kill();
    await turns(3);
    rmSync(this.stateDir, { recursive: true, force: true });
    this.tree.remove();
  }

  configOf(): Config {
    const { stateDir, mode, tree } = this;
    return {
      configFile: null,
      policyDir: tree.root,
      stateDir,
      runDir: tree.root,
      mode,
      libvirtUri: this.#withoutLibvirt ? null : 'qemu:///system',
      listenAddress: '127.0.0.1:0',
      killSwitch: join(tree.root, 'stop'),
      paths: { cgroup: tree.cgroup, proc: tree.proc, runLibvirt: tree.runLibvirt, libvirtSave: tree.root },
      log: { level: 'error', format: 'json' },
      cycleSeconds: CYCLE_MS / 1000,
      blastRadius: { percent: 100, domains: 1_000 },
      manage: { uuids: null, names: null },
    };
  }

  #assemble(): Core {
    const log: LogLine[] = [];
    const say =
      (level: string) =>
      (event: string, fields: object): void =>
        void log.push({ level, event, fields: { ...fields } });
    const logger: Log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
    const { clock, kernel, systemd, taps } = this;
    const { block } = this.disks;
    const cpus = Array.from({ length: 8 }, (_, cpu) => cpu);
    const core = assemble({
      config: this.configOf(),
      log: logger,
      version: 'test',
      write: true,
      watch: false,
      onCycle: () => undefined,
      instead: {
        clock,
        libvirt: this.wrapLibvirt(this.#client()),
        systemd: this.wrapSystemd(systemd),
        cgroupFiles: this.wrapKernel(kernel),
        block,
        taps,
        host: { cores: 8, cpus, memoryBytes: 64 * GIB, pageBytes: pageBytes() },
        security: {
          status: this.security.security,
          processLabel: this.security.processLabel,
          images: this.security.files,
          saveSpace: async () => this.saveSpace,
        },
        loadPolicies: async () => compile([{ path: '10.yaml', text: this.policy }]),
      },
    });
    this.#followSaves(core);
    return { ...core, log };
  }

  /** Looks that wait for the disk are under way too. */
  #followSaves({ parts: { journal } }: AssembledCore): void {
    const followed =
      <A>(save: (argument: A) => Promise<void>) =>
      (argument: A): Promise<void> => {
        const saving = save.call(journal, argument);
        const ended: Promise<void> = saving.catch(() => undefined).finally(() => this.#saving.delete(ended));
        this.#saving.add(ended);
        return saving;
      };
    journal.put = followed(journal.put);
    journal.remove = followed(journal.remove);
  }

  /** libvirt with the faults of this bench; what the kernel refuses it, it refuses us. */
  #client(): LibvirtClient {
    const { libvirt } = this;
    return new Proxy(libvirt, {
      get: (target, name) => {
        if (name !== 'tune') {
          const value: unknown = Reflect.get(target, name, target);
          return typeof value === 'function' ? value.bind(target) : value;
        }
        return async (uuid: string, id: number | null, calls: readonly TuneCall[]): Promise<LibvirtOutcome<null>> => {
          const fault = this.tuneFault(uuid, calls);
          if (fault !== null) {
            await turns(1);
            return fault;
          }
          try {
            return await target.tune(uuid, id, calls);
          } catch (error) {
            return { ok: false, failure: 'refused', message: (error as Error).message };
          }
        };
      },
    });
  }

  #doings(): string {
    const { kernel, libvirt, systemd, core } = this;
    const asked = libvirt.calls.filter(({ op }) => op !== 'facts' && op !== 'list').length;
    const journal = JSON.stringify([...core.parts.journal.uuids()].map((uuid) => core.parts.journal.of(uuid)));
    return `${kernel.writes.length} ${asked} ${systemd.calls.length} ${this.disks.looks} ${journal}`;
  }

  #newPid(): number {
    this.#nextPid += 100;
    return this.#nextPid;
  }

  #paths(guest: GuestOnTree, below: string): string[] {
    const all = (['cpu', 'memory', 'io', 'cpuset'] as const).map((one) => join(this.tree.domainDir(guest, one), below));
    return [...new Set(all)].filter((path) => this.#exists(path));
  }

  #exists(path: string): boolean {
    try {
      return this.kernel.group(path) !== null;
    } catch {
      return false;
    }
  }

  #removeGroups(guest: GuestOnTree): void {
    const all = (['cpu', 'memory', 'io', 'cpuset'] as const).map((one) => this.tree.weightDir(guest, one));
    for (const path of new Set(all)) if (this.#exists(path)) this.kernel.removeTree(path);
  }

  #fillCpus(root: string, group: string): void {
    let path = root;
    for (const part of group.split('/')) {
      path = join(path, part);
      if (this.kernel.group(path).cpus.size === 0) this.kernel.poke(join(path, 'cpuset.cpus'), 'all');
    }
  }
}

function scheduler(parameters: Extract<TuneCall, { call: 'scheduler' }>['parameters']): TuneCall {
  return { call: 'scheduler', parameters };
}

/** libvirt escapes what XML reserves, and has no slash in a name. */
function pidFileName(name: string): string {
  return name.replaceAll('&', '&amp;').replaceAll('"', '&quot;');
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Of the event loop. */
export async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}

function fail(message: string): never {
  throw new Error(message);
}

/** A pair that no other process of the bench has. */
function labelOfItsOwn(pid: number): string {
  return `system_u:system_r:svirt_t:s0:c${pid % 500},c${500 + (Math.floor(pid / 500) % 500)}`;
}
