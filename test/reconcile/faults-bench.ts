/**
 * The core on a host of its own, for fault tests: the real inventory, plan, apply, journal and reconciler, a libvirt in
 * memory that writes the kernel as the real one does, a /proc of plain files, and CPU groups that are either the
 * kernel's own (v1, below a group made for the test) or plain files (v2 under systemd, for what only libvirt writes).
 * `boot` starts a daemon's core on it; booting again is a restart after kill -9.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Core as AssembledCore, assemble } from '../../src/assemble.js';
import type { Config } from '../../src/config/types.js';
import type { Hierarchy } from '../../src/host/cgroup/layout.js';
import type { Clock } from '../../src/host/clock.js';
import type { SchedulerParameters, TuneCall } from '../../src/host/libvirt/client.js';
import type { Log } from '../../src/log.js';
import { compile } from '../../src/policy/compile.js';
import type { LoadResult } from '../../src/policy/loader.js';
import { type FakeDomainOptions, FakeLibvirt } from '../fakes/fake-libvirt.js';
import { NO_SELINUX } from '../fakes/fake-security.js';
import { HostTree } from '../fixtures/host-tree.js';

const V1 = '/sys/fs/cgroup/cpu';

/** Why the kernel's own groups cannot be used here; false when they can. */
export const NO_REAL_GROUPS: string | false =
  process.getuid?.() !== 0 ? 'needs root' : existsSync(join(V1, 'cpu.shares')) ? false : 'needs the v1 cpu controller';

export interface Core extends AssembledCore {
  readonly log: { readonly level: string; readonly event: string; readonly fields: Record<string, unknown> }[];
}

export interface BootOptions {
  readonly manageNames?: readonly string[];
  readonly sample?: () => Promise<void>;
  /** Do not ask libvirt yet. */
  readonly blind?: boolean;
}

export class Bench {
  readonly tree: HostTree;
  readonly stateDir: string;
  readonly killSwitch: string;
  readonly libvirt: FakeLibvirt;
  readonly hierarchy: Hierarchy;
  policy = '';
  mode: 'enforce' | 'observe' = 'enforce';
  /** Added to the monotonic clock. */
  aheadMs = 0;
  readonly clock: Clock = { nowMs: () => Date.now(), monotonicMs: () => performance.now() + this.aheadMs };
  readonly #real: string | null;
  readonly #pids = new Map<string, number>();
  #nextPid = 70_001;
  #core: Core | null = null;

  /** `real`: the kernel's v1 groups. `files`: plain files laid out as v2 under systemd. */
  constructor(kind: 'real' | 'files') {
    this.tree = new HostTree(kind === 'real' ? 'v1' : 'v2-nested');
    this.stateDir = join(this.tree.root, 'state');
    this.killSwitch = join(this.tree.root, 'stop');
    mkdirSync(this.stateDir);
    this.#real =
      kind === 'real'
        ? join(V1, `machine-virtslad-test-${process.pid}-${Math.random().toString(36).slice(2, 8)}`)
        : null;
    if (this.#real !== null) mkdirSync(join(this.#real, 'machine'), { recursive: true });
    this.hierarchy = this.#real === null ? { version: 2, root: this.tree.cgroup } : { version: 1, root: this.#real };
    this.libvirt = new FakeLibvirt({ onTune: (uuid, calls) => this.#libvirtWrites(uuid, calls) });
    this.libvirt.onEvent((event) => this.#core?.events.onLibvirt(event));
  }

  /** A running guest, with its process and groups. @returns its uuid */
  addGuest(options: FakeDomainOptions): string {
    const uuid = this.libvirt.define(options);
    this.startGuest(uuid, options);
    return uuid;
  }

  startGuest(uuid: string, { name, vcpus = 1 }: FakeDomainOptions): void {
    const pid = this.#nextPid++;
    this.#pids.set(uuid, pid);
    const id = this.libvirt.startDomain(uuid);
    this.tree.addGuest({ pid, uuid, name, id, vcpus }, { startTicks: pid });
    if (this.#real === null) return;
    const group = join('/machine', `qemu-${id}-${name}.libvirt-qemu`);
    this.tree.write(join(this.tree.proc, String(pid), 'cgroup'), `1:cpu:${group}/emulator`);
    mkdirSync(join(this.#real, group, 'emulator'), { recursive: true });
    for (let vcpu = 0; vcpu < vcpus; vcpu++) mkdirSync(join(this.#real, group, `vcpu${vcpu}`));
  }

  /** The guest's own group. */
  directory(uuid: string): string {
    const pid = this.#pids.get(uuid);
    const text = readFileSync(join(this.tree.proc, String(pid), 'cgroup'), 'utf8').trim();
    const path =
      text
        .split('\n')
        .find((line) => /cpu|^0::/.test(line))
        ?.split(':')[2] ?? '';
    return join(this.hierarchy.root, path, '..');
  }

  quota(uuid: string, vcpu = 0): string {
    return readFileSync(join(this.directory(uuid), `vcpu${vcpu}`, 'cpu.cfs_quota_us'), 'utf8').trim();
  }

  /** Somebody writes the quota by hand. */
  setQuota(uuid: string, quotaUsec: number, vcpu = 0): void {
    writeFileSync(join(this.directory(uuid), `vcpu${vcpu}`, 'cpu.cfs_quota_us'), String(quotaUsec));
  }

  weight(uuid: string): string {
    return readFileSync(this.weightFile(uuid), 'utf8').trim();
  }

  weightFile(uuid: string): string {
    return this.#real === null
      ? join(this.directory(uuid), '..', 'cpu.weight')
      : join(this.directory(uuid), 'cpu.shares');
  }

  /** The policy whose one class every guest has; null: a set that no guest matches. */
  setClass(cpu: string | null): void {
    const body = cpu ?? 'limit: 50%';
    const match = cpu === null ? '{ name: nobody }' : '{ any: true }';
    this.policy = `version: 1\nclasses:\n  gold:\n    cpu: { ${body} }\nassignments:\n  - { class: gold, match: ${match} }\n`;
  }

  load(): LoadResult {
    return compile([{ path: '10.yaml', text: this.policy }]);
  }

  /** A daemon's core, as `daemon.ts` begins it; what ran before is dead. */
  async boot(options: BootOptions = {}): Promise<Core> {
    await this.kill();
    await this.libvirt.start(new AbortController().signal);
    const core = this.#assemble(options);
    await core.parts.journal.load({ readOnly: false }).catch(() => undefined);
    await core.parts.handsOff.load({ readOnly: false }).catch(() => undefined);
    await core.parts.generations.loadAccepted();
    this.#core = core;
    if (this.policy !== '') await core.parts.generations.reload();
    if (options.blind === true) return core;
    core.reconciler.start();
    await core.reconciler.resync();
    await core.reconciler.full();
    return core;
  }

  async kill(): Promise<void> {
    const core = this.#core;
    this.#core = null;
    // What hangs for ever is left to itself, as kill -9 leaves it.
    await Promise.race([core?.reconciler.stop(), pause(500)]);
    core?.parts.inventory.close();
  }

  /** Full cycles and libvirt's answers, until nothing is under way. */
  async settle(): Promise<void> {
    const core = this.#core;
    if (core === null) return;
    for (let round = 0; round < 4; round++) {
      await core.reconciler.full();
      await core.parts.teller.idle();
      // Records that go are saved in the background: a disk that is slow for a moment is waited for.
      await core.parts.journal.idle();
      await pause(15);
    }
  }

  async remove(): Promise<void> {
    await this.kill();
    await pause(5);
    if (this.#real !== null) removeGroups(this.#real);
    this.tree.remove();
  }

  #assemble(options: BootOptions): Core {
    const log: Core['log'] = [];
    const say =
      (level: string) =>
      (event: string, fields: object): void => {
        log.push({ level, event, fields: { ...fields } });
      };
    const logger: Log = { debug: say('debug'), info: say('info'), warn: say('warn'), error: say('error') };
    const { clock, libvirt, hierarchy } = this;
    const config = this.configOf({ manage: { uuids: null, names: options.manageNames ?? null } });
    const core = assemble({
      config,
      log: logger,
      version: 'test',
      write: true,
      watch: false,
      onCycle: () => undefined,
      instead: {
        clock,
        libvirt,
        hierarchies: { cpu: hierarchy },
        loadPolicies: async () => this.load(),
        security: { status: { read: () => NO_SELINUX } },
        ...(options.sample && { sample: options.sample }),
      },
    });
    return { ...core, log };
  }

  /** The configuration of a daemon or a command on this host; give what differs. */
  configOf(changes: Partial<Config> = {}): Config {
    const { stateDir, killSwitch, mode, tree } = this;
    return {
      configFile: null,
      policyDir: tree.root,
      stateDir,
      runDir: tree.root,
      mode,
      libvirtUri: 'qemu:///system',
      listenAddress: '127.0.0.1:0',
      killSwitch,
      paths: { cgroup: tree.cgroup, proc: tree.proc, runLibvirt: tree.runLibvirt, libvirtSave: tree.root },
      log: { level: 'error', format: 'json' },
      cycleSeconds: 5,
      blastRadius: { percent: 20, domains: 5 },
      manage: { uuids: null, names: null },
      ...changes,
    };
  }

  /** libvirt sets the groups itself when it is told parameters. */
  #libvirtWrites(uuid: string, calls: readonly TuneCall[]): void {
    for (const call of calls) if (call.call === 'scheduler') this.#schedulerWrites(uuid, call.parameters);
  }

  #schedulerWrites(uuid: string, { cpu_shares, vcpu_quota, vcpu_period }: SchedulerParameters): void {
    const directory = this.directory(uuid);
    if (cpu_shares !== undefined) writeFileSync(this.weightFile(uuid), String(cpu_shares));
    for (const name of readdirSync(directory).filter((one) => /^vcpu\d+$/.test(one))) {
      const at = join(directory, name);
      if (this.#real === null) continue;
      if (vcpu_period !== undefined) writeFileSync(join(at, 'cpu.cfs_period_us'), String(vcpu_period));
      if (vcpu_quota !== undefined) writeFileSync(join(at, 'cpu.cfs_quota_us'), String(vcpu_quota));
    }
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Groups are removed from the leaves up; their files go with them. */
function removeGroups(path: string): void {
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeGroups(join(path, entry.name));
  }
  rmdirSync(path);
}
