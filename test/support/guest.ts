/**
 * Small real guests under software emulation, made for a test or the demo and gone with it. A guest is one libvirt
 * domain of type qemu that boots a disk of one sector.
 */
import { randomUUID } from 'node:crypto';
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bootDisk } from './boot-sector.js';
import { type CommandResult, execute, output } from './command.js';
import { vcpuDemandSeconds } from './cpu-time.js';
import {
  diskXml,
  domainXml,
  type GuestInterface,
  type GuestOptions,
  interfaceXml,
  type NamedDisk,
} from './guest-xml.js';
import { type CpuGroups, cpuGroups } from './kernel-view.js';
import { sleep, waitUntil } from './wait.js';

export type { GuestDisk, GuestInterface, GuestOptions } from './guest-xml.js';

/** The libvirtd that runs the guests, and where its files are. */
export interface Libvirt {
  readonly uri: string;
  /** Its run directory as this process sees it: pid files are in `qemu/`. */
  readonly runDir: string;
}

export class Guest {
  readonly name: string;
  readonly uuid: string;
  readonly #libvirt: Libvirt;
  readonly #imagePath: string;
  readonly #xmlPath: string;
  readonly #persistent: boolean;
  #vcpus: number;

  /** `imageDir` must be reachable for the user that libvirt runs QEMU as. Makes the disk; `start` makes the guest. */
  constructor(libvirt: Libvirt, imageDir: string, options: GuestOptions) {
    this.name = options.name;
    this.uuid = options.uuid ?? randomUUID();
    this.#vcpus = options.vcpus ?? 1;
    this.#libvirt = libvirt;
    this.#imagePath = join(imageDir, `${this.uuid}.img`);
    this.#persistent = options.persistent ?? false;
    this.#xmlPath = join(imageDir, `${this.uuid}.xml`);
    writeFileSync(this.#xmlPath, domainXml(this, this.#imagePath, options));
    const program = options.program ?? { kind: options.burn === false ? 'idle' : 'burn' };
    writeFileSync(this.#imagePath, bootDisk(program, options.bootDisk?.bytes));
    chmodSync(this.#imagePath, 0o666);
  }

  /** Online now. */
  get vcpus(): number {
    return this.#vcpus;
  }

  /** The QEMU process now; throws when the guest does not run. */
  get pid(): number {
    const pid = readPid(this.#libvirt, this.uuid);
    if (pid === null) throw new Error(`guest ${this.name} does not run`);
    return pid;
  }

  get groups(): CpuGroups {
    return cpuGroups(this.pid);
  }

  /** Returns when libvirt reports the guest as running. */
  async start(): Promise<void> {
    if (!this.#persistent) {
      await this.virshOk(['create', this.#xmlPath]);
      return;
    }
    await this.virshOk(['define', this.#xmlPath]);
    await this.virshOk(['start', this.uuid]);
  }

  /** Waits until every vCPU always wants a CPU, whether it gets one or not: the BIOS is over, the boot sector spins. */
  async waitUntilBusy({ seconds = 30, signal }: { seconds?: number; signal?: AbortSignal } = {}): Promise<void> {
    const { pid } = this;
    await waitUntil(
      `guest ${this.name} to be busy`,
      async () => {
        const [began, before] = [performance.now(), vcpuDemandSeconds(pid)];
        await sleep(0.5);
        const elapsedSeconds = (performance.now() - began) / 1000;
        return vcpuDemandSeconds(pid) - before > 0.9 * this.vcpus * elapsedSeconds;
      },
      { seconds, ...(signal === undefined ? {} : { signal }) },
    );
  }

  /** Kills QEMU and waits until libvirt has noticed; a persistent guest is undefined too. No error if it is gone. */
  async destroy(): Promise<void> {
    const pid = readPid(this.#libvirt, this.uuid);
    // Ten times faster than `virsh destroy`, which asks QEMU nicely first.
    if (pid !== null) process.kill(pid, 'SIGKILL');
    await waitUntil(
      `libvirt to see guest ${this.name} end`,
      async () => pid === null || !/^\d+$/.test((await this.virsh(['domid', this.uuid])).stdout.trim()),
      { seconds: 20, everyMs: 50 },
    );
    if (this.#persistent) await this.virsh(['undefine', this.uuid]);
    for (const path of [this.#imagePath, this.#xmlPath]) rmSync(path, { force: true });
  }

  /** Adds a disk to the running guest; libvirt has it on return. */
  async plugDisk(disk: NamedDisk): Promise<void> {
    await this.#plug(diskXml(disk));
  }

  /** Returns when libvirt has let go of it, for which a virtio disk needs a guest that burns. */
  async unplugDisk(target: string): Promise<void> {
    await this.virshOk(['detach-disk', this.uuid, target, '--live']);
    const isGone = async (): Promise<boolean> => !(await this.#list('domblklist')).some(([name]) => name === target);
    await waitUntil(`guest ${this.name} to let go of disk ${target}`, isGone, { seconds: 10 });
  }

  /** Its interfaces now, in the order of the XML; without a tap (user-mode network) `tap` is null. */
  async interfaces(): Promise<{ readonly tap: string | null; readonly type: string; readonly mac: string }[]> {
    const rows = await this.#list('domiflist');
    return rows.map(([tap = '-', type = '', , , mac = '']) => ({ tap: tap === '-' ? null : tap, type, mac }));
  }

  /** Name of its only or first tap; throws when it has none. */
  async tap(): Promise<string> {
    const tap = (await this.interfaces()).find((each) => each.tap !== null)?.tap;
    if (tap === undefined || tap === null) throw new Error(`guest ${this.name} has no tap`);
    return tap;
  }

  async plugInterface(device: GuestInterface): Promise<void> {
    await this.#plug(interfaceXml(device));
  }

  /** Returns when libvirt has let go of it, for which it needs a guest that burns. */
  async unplugInterface(mac: string): Promise<void> {
    const type = (await this.interfaces()).find((each) => each.mac === mac)?.type ?? '';
    await this.virshOk(['detach-interface', this.uuid, type, '--mac', mac, '--live']);
    const isGone = async (): Promise<boolean> => !(await this.interfaces()).some((each) => each.mac === mac);
    await waitUntil(`guest ${this.name} to let go of interface ${mac}`, isGone, { seconds: 10 });
  }

  /** Plugs vCPUs in, `count` altogether, `maxVcpus` at most. Never fewer: QEMU cannot take them out under emulation. */
  async plugVcpus(count: number): Promise<void> {
    await this.virshOk(['setvcpus', this.uuid, String(count), '--live']);
    this.#vcpus = count;
  }

  /** Saves it to a file and goes on from there: a new process, new groups, a new libvirt id. */
  async saveAndRestore(): Promise<void> {
    const path = `${this.#imagePath}.saved`;
    await this.virshOk(['save', this.uuid, path]);
    await this.virshOk(['restore', path]);
    rmSync(path);
  }

  /** Targets of its disks and drives now. */
  async disks(): Promise<string[]> {
    return (await this.#list('domblklist')).map(([target = '']) => target);
  }

  virsh(args: readonly string[]): Promise<CommandResult> {
    return execute('virsh', ['-q', '-c', this.#libvirt.uri, ...args]);
  }

  /** Gives what virsh prints; throws with its error. */
  async virshOk(args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.virsh(args);
    if (code !== 0) throw new Error(`virsh ${args.join(' ')} (${this.name}): ${stderr.trim()}`);
    return stdout;
  }

  /** `virsh schedinfo` as it prints it. */
  async schedinfo(): Promise<string> {
    return output('virsh', ['-q', '-c', this.#libvirt.uri, 'schedinfo', this.uuid]);
  }

  async #plug(deviceXml: string): Promise<void> {
    const path = `${this.#xmlPath}.device`;
    writeFileSync(path, deviceXml);
    try {
      await this.virshOk(['attach-device', this.uuid, path, '--live']);
    } finally {
      rmSync(path);
    }
  }

  /** The rows of one of virsh's tables. */
  async #list(command: 'domblklist' | 'domiflist'): Promise<string[][]> {
    const text = await output('virsh', ['-q', '-c', this.#libvirt.uri, command, this.uuid]);
    return text.split('\n').flatMap((line) => (line.trim() === '' ? [] : [line.trim().split(/\s+/)]));
  }
}

/** Pid files are named after the guest, but not byte for byte (libvirt escapes quotes): the process knows its uuid. */
function readPid({ runDir }: Libvirt, uuid: string): number | null {
  const directory = join(runDir, 'qemu');
  for (const name of existsSync(directory) ? readdirSync(directory) : []) {
    if (!name.endsWith('.pid')) continue;
    const pid = readOrEmpty(join(directory, name)).trim();
    if (/^\d+$/.test(pid) && readOrEmpty(`/proc/${pid}/cmdline`).includes(`\0-uuid\0${uuid}\0`)) return Number(pid);
  }
  return null;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
