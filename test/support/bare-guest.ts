/**
 * A small real QEMU without libvirt, under software emulation, made for a test or the demo and gone with it. By default in
 * cgroups of its own, one in each v1 tree (or one in v2's); it joins them before it becomes QEMU, as a service would.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type BareTree, groupPaths, makeGroup, removeGroup, TREES } from './bare-groups.js';
import { type BootProgram, bootDisk } from './boot-sector.js';
import { waitUntil } from './wait.js';

export { type BareTree, removeBareLeftovers } from './bare-groups.js';

/** Its main loop, call_rcu and one for vCPUs. */
const RUNNING_THREADS_MIN = 3;

export interface BareGuestOptions {
  readonly name: string;
  /** Null: none on the command line. Default: a new one. */
  readonly uuid?: string | null;
  /** Default 1. */
  readonly vcpus?: number;
  /** Burn CPU on every vCPU (default), or halt. */
  readonly burn?: boolean;
  /** What it does instead. */
  readonly program?: BootProgram;
  /** `debug-threads=on` (default): QEMU names its vCPU threads. */
  readonly debugThreads?: boolean;
  /** v1 trees in which it gets a group of its own; default all. On v2 any makes one group for all controllers. */
  readonly ownGroups?: readonly BareTree[];
  /** Default `tcg`. */
  readonly accel?: string;
  /** Default 16. */
  readonly memoryMebibytes?: number;
  /** Of its disk; default: QEMU's. Only `none` bypasses the host's page cache, and so is seen by a limit of cgroup v1. */
  readonly cache?: 'none' | 'writeback';
  /** More options for QEMU. */
  readonly extra?: readonly string[];
}

export class BareGuest {
  readonly name: string;
  readonly uuid: string | null;
  readonly vcpus: number;
  /** Its groups, tree → directory; one entry `unified` on v2. */
  readonly groups: ReadonlyMap<string, string>;
  readonly #argv: readonly string[];
  readonly #imagePath: string;
  #child: ChildProcess | null = null;
  #stderr = '';

  /** Makes the disk in `directory`, whose path must be on the command line of nothing else; `start` makes the guest. */
  constructor(directory: string, options: BareGuestOptions) {
    this.name = options.name;
    this.uuid = options.uuid === undefined ? randomUUID() : options.uuid;
    this.vcpus = options.vcpus ?? 1;
    this.#imagePath = join(directory, `bare-${randomUUID()}.img`);
    writeFileSync(this.#imagePath, bootDisk(options.program ?? { kind: options.burn === false ? 'idle' : 'burn' }));
    const debugThreads = options.debugThreads === false ? '' : ',debug-threads=on';
    const cache = options.cache === undefined ? '' : `,cache=${options.cache}`;
    this.#argv = [
      ...['-name', `${this.name.replaceAll(',', ',,')}${debugThreads}`],
      ...(this.uuid === null ? [] : ['-uuid', this.uuid]),
      ...['-machine', 'pc', '-accel', options.accel ?? 'tcg', '-smp', String(this.vcpus)],
      ...['-m', String(options.memoryMebibytes ?? 16)],
      ...['-nodefaults', '-no-user-config', '-display', 'none'],
      ...['-drive', `file=${this.#imagePath},format=raw,if=virtio${cache}`],
      ...(options.extra ?? []),
    ];
    this.groups = groupPaths(options.ownGroups ?? TREES, randomUUID().slice(0, 8));
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined) throw new Error(`bare guest ${this.name} does not run`);
    return pid;
  }

  /** Returns when QEMU has made its machine: by then it runs threads of its own. */
  async start(): Promise<void> {
    for (const path of this.groups.values()) makeGroup(path);
    const join = [...this.groups.values()].map((path) => `echo $$ > ${path}/cgroup.procs`).join('\n');
    const child = spawn('sh', ['-euc', `${join}\nexec "$@"`, 'sh', 'qemu-system-x86_64', ...this.#argv], {
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    });
    this.#child = child;
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    await waitUntil(
      `bare guest ${this.name} to run`,
      () => {
        if (child.exitCode !== null) throw new Error(`QEMU exited with ${child.exitCode}: ${this.#stderr}`);
        return (
          readText(`/proc/${child.pid}/comm`).startsWith('qemu') &&
          countOf(`/proc/${child.pid}/task`) >= RUNNING_THREADS_MIN
        );
      },
      { seconds: 20 },
    );
  }

  /** Kills QEMU, waits until it is gone, removes its groups and its disk. No error if it is gone already. */
  async destroy(): Promise<void> {
    const child = this.#child;
    if (child !== null && child.exitCode === null && child.signalCode === null) {
      const gone = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await gone;
    }
    this.#child = null;
    for (const path of this.groups.values()) {
      // The kernel lets go of a group some moments after its last process.
      await waitUntil(`group ${path} to be free`, () => removeGroup(path), { seconds: 5 });
    }
    rmSync(this.#imagePath, { force: true });
  }
}

function countOf(directory: string): number {
  return existsSync(directory) ? readdirSync(directory).length : 0;
}

function readText(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
