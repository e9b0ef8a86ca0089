/**
 * The demo's three guests: a database and a web server that burn CPU, and a tenant that reads its disk for ever. The same
 * three under the host's libvirtd or as QEMU processes of their own; the rest of the demo does not see which.
 */
import { closeSync, constants, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { BareGuest } from '../test/support/bare-guest.js';
import { READ_SMALL } from '../test/support/boot-sector.js';
import type { Cleanup } from '../test/support/cleanup.js';
import { output } from '../test/support/command.js';
import { vcpuDemandSeconds } from '../test/support/cpu-time.js';
import { diskCounters } from '../test/support/disk-rate.js';
import { Guest } from '../test/support/guest.js';
import { SYSTEM_LIBVIRT } from '../test/support/system-libvirtd.js';
import { sleep, waitUntil } from '../test/support/wait.js';
import { readsOfFirstDisk } from './qmp.js';
import { readSettings } from './settings.js';

export interface DemoGuest {
  readonly name: string;
  readonly uuid: string;
  readonly vcpus: number;
  readonly pid: number;
  /** It reads its disk all the time. */
  readonly reads: boolean;
  start(): Promise<void>;
  destroy(): Promise<void>;
  /** Reads of its disk so far, as QEMU has counted them: each was let through by every limit. */
  diskReads(): Promise<number>;
  /** Every setting that a policy can change, as text. */
  settings(): Promise<string>;
  /** Tree → cgroup of a guest without libvirt; null with it. */
  readonly groups: ReadonlyMap<string, string> | null;
}

interface Role {
  readonly role: string;
  readonly vcpus: number;
  readonly reads: boolean;
  readonly memoryMebibytes: number;
}

const ROLES: readonly Role[] = [
  // With two on a host of two cores the tenant would wait for a CPU and not for its disk, and reach no limit of reads.
  { role: 'db', vcpus: availableParallelism() > 2 ? 2 : 1, reads: false, memoryMebibytes: 16 },
  { role: 'web', vcpus: 1, reads: false, memoryMebibytes: 16 },
  // One vCPU reads, the other halts: together they are promised enough CPU to reach the limit of reads. Twice the memory
  // has to have room for QEMU itself, or the memory limit of its class would be refused.
  { role: 'tenant', vcpus: 2, reads: true, memoryMebibytes: 256 },
];
/** More than the BIOS itself makes. */
const BIOS_READS = 20;
/** libvirt's name for the boot disk. */
const DISK = 'vda';

/** db-1, web-1 and tenant-1, or the next number of which this host has none. Not started. */
export async function makeGuests(bare: boolean, imageDir: string, cleanup: Cleanup): Promise<readonly DemoGuest[]> {
  const taken = await takenNames(bare);
  let number = 1;
  while (ROLES.some(({ role }) => taken.has(`${role}-${number}`))) number += 1;
  return ROLES.map((role) => {
    const name = `${role.role}-${number}`;
    const guest = bare ? makeBare(name, role, imageDir) : makeLibvirts(name, role, imageDir);
    cleanup.defer(`destroy ${name}`, () => guest.destroy());
    return guest;
  });
}

/** Of libvirt's guests, running or not, and of every process that looks like QEMU. */
async function takenNames(bare: boolean): Promise<Set<string>> {
  const list = ['-q', '-c', SYSTEM_LIBVIRT.uri, 'list', '--all', '--name'];
  const names = bare ? [] : (await output('virsh', list)).split('\n');
  for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry))) {
    const name = /\0-name\0(?:guest=)?([^,\0]+)/.exec(readOrEmpty(`/proc/${pid}/cmdline`))?.[1];
    if (name !== undefined) names.push(name);
  }
  return new Set(names);
}

function makeLibvirts(name: string, { vcpus, reads, memoryMebibytes }: Role, imageDir: string): DemoGuest {
  const program = reads ? { program: READ_SMALL } : {};
  const guest = new Guest(SYSTEM_LIBVIRT, imageDir, { name, vcpus, memoryMebibytes, ...program });
  return {
    name,
    uuid: guest.uuid,
    vcpus,
    reads,
    groups: null,
    get pid() {
      return guest.pid;
    },
    start: () => guest.start(),
    destroy: () => guest.destroy(),
    diskReads: async () => (await diskCounters(guest, DISK)).reads,
    settings: async () => {
      const { stdout } = await guest.virsh(['blkdeviotune', guest.uuid, DISK]);
      return JSON.stringify([readSettings(guest.pid), stdout]);
    },
  };
}

function makeBare(name: string, { vcpus, reads, memoryMebibytes }: Role, imageDir: string): DemoGuest {
  const socket = join(imageDir, `${name}.qmp`);
  const guest = new BareGuest(imageDir, {
    name,
    vcpus,
    memoryMebibytes,
    ...(reads ? { program: READ_SMALL } : {}),
    // Else its reads end in the host's page cache, where no cgroup limits them.
    ...(canBypassCache(imageDir) ? { cache: 'none' } : {}),
    extra: ['-qmp', `unix:${socket},server=on,wait=off`],
  });
  return {
    name,
    uuid: guest.uuid ?? '',
    vcpus,
    reads,
    groups: guest.groups,
    get pid() {
      return guest.pid;
    },
    start: () => guest.start(),
    destroy: () => guest.destroy(),
    diskReads: () => readsOfFirstDisk(socket),
    settings: async () => JSON.stringify(readSettings(guest.pid)),
  };
}

/** A tmpfs cannot before Linux 6.6. */
function canBypassCache(directory: string): boolean {
  const path = join(directory, 'direct');
  try {
    closeSync(openSync(path, constants.O_CREAT | constants.O_RDWR | constants.O_DIRECT, 0o600));
    return true;
  } catch {
    return false;
  } finally {
    rmSync(path, { force: true });
  }
}

/** Waits until its vCPUs always want a CPU, whether they get one or not, and its disk is read where it is to be. */
export async function waitUntilBusy(guest: DemoGuest, signal: AbortSignal): Promise<void> {
  await waitUntil(
    `guest ${guest.name} to be busy`,
    async () => {
      if (guest.reads) return (await guest.diskReads()) > BIOS_READS;
      const [began, before] = [performance.now(), vcpuDemandSeconds(guest.pid)];
      await sleep(0.5, signal);
      const elapsedSeconds = (performance.now() - began) / 1000;
      return vcpuDemandSeconds(guest.pid) - before > 0.9 * guest.vcpus * elapsedSeconds;
    },
    { seconds: 30, everyMs: 100, signal },
  );
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
