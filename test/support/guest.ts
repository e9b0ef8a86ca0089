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
import { type CpuGroups, cpuGroups } from './kernel-view.js';
import { sleep, waitUntil } from './wait.js';

/** The libvirtd that runs the guests, and where its files are. */
export interface Libvirt {
  readonly uri: string;
  /** Its run directory as this process sees it: pid files are in `qemu/`. */
  readonly runDir: string;
}

export interface GuestOptions {
  readonly name: string;
  readonly uuid?: string;
  /** Default 1. */
  readonly vcpus?: number;
  /** Burn CPU on every vCPU (default), or halt. */
  readonly burn?: boolean;
  /** CPU list that all vCPU threads are bound to. */
  readonly cpuset?: string;
  /** A whole `<cputune>` element. */
  readonly cputuneXml?: string;
  /** A whole `<metadata>` element. */
  readonly metadataXml?: string;
  readonly title?: string;
  /** Transient (default), or defined and then started. */
  readonly persistent?: boolean;
}

export class Guest {
  readonly name: string;
  readonly uuid: string;
  readonly vcpus: number;
  readonly #libvirt: Libvirt;
  readonly #imagePath: string;
  readonly #xmlPath: string;
  readonly #persistent: boolean;

  /** `imageDir` must be reachable for the user that libvirt runs QEMU as. Makes the disk; `start` makes the guest. */
  constructor(libvirt: Libvirt, imageDir: string, options: GuestOptions) {
    this.name = options.name;
    this.uuid = options.uuid ?? randomUUID();
    this.vcpus = options.vcpus ?? 1;
    this.#libvirt = libvirt;
    this.#imagePath = join(imageDir, `${this.uuid}.img`);
    this.#persistent = options.persistent ?? false;
    this.#xmlPath = join(imageDir, `${this.uuid}.xml`);
    writeFileSync(this.#xmlPath, domainXml(this, this.#imagePath, options));
    writeFileSync(this.#imagePath, bootDisk(options.burn === false ? 'idle' : 'burn'));
    chmodSync(this.#imagePath, 0o666);
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
      await this.#virshOk(['create', this.#xmlPath]);
      return;
    }
    await this.#virshOk(['define', this.#xmlPath]);
    await this.#virshOk(['start', this.uuid]);
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

  virsh(args: readonly string[]): Promise<CommandResult> {
    return execute('virsh', ['-q', '-c', this.#libvirt.uri, ...args]);
  }

  /** `virsh schedinfo` as it prints it. */
  async schedinfo(): Promise<string> {
    return output('virsh', ['-q', '-c', this.#libvirt.uri, 'schedinfo', this.uuid]);
  }

  async #virshOk(args: readonly string[]): Promise<void> {
    const { code, stderr } = await this.virsh(args);
    if (code !== 0) throw new Error(`virsh ${args.join(' ')} (${this.name}): ${stderr.trim()}`);
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

/** 16 MiB, one disk, no network, no USB, no balloon: about 35 MiB of QEMU and no threads that stir. */
function domainXml({ name, uuid, vcpus }: Guest, imagePath: string, options: GuestOptions): string {
  const cpuset = options.cpuset === undefined ? '' : ` cpuset='${options.cpuset}'`;
  return `<domain type='qemu'>
  <name>${escapeXml(name)}</name>
  <uuid>${uuid}</uuid>
  ${options.title === undefined ? '' : `<title>${escapeXml(options.title)}</title>`}
  ${options.metadataXml ?? ''}
  <memory unit='MiB'>16</memory>
  <vcpu placement='static'${cpuset}>${vcpus}</vcpu>
  ${options.cputuneXml ?? ''}
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <features><acpi/><apic/></features>
  <devices>
    <disk type='file' device='disk'>
      <driver name='qemu' type='raw'/>
      <source file='${imagePath}'/>
      <target dev='vda' bus='virtio'/>
    </disk>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>
`;
}

function escapeXml(text: string): string {
  return text.replace(/[<>&'"]/g, (character) => `&#${character.charCodeAt(0)};`);
}
