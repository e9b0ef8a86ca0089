/**
 * How a guest is tuned, found and read without virtslad: every limit that libvirt knows of, as virsh prints it, and the
 * kernel's files and queues behind it. For comparisons byte for byte.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { output } from './command.js';
import { controllerGroup } from './controller-group.js';
import type { Guest } from './guest.js';
import { readCpuFiles } from './kernel-view.js';

const FILES = {
  memory:
    /^memory\.(?:limit_in_bytes|memsw\.limit_in_bytes|soft_limit_in_bytes|max|high|low|min|swap\.max|swappiness)$/,
  blkio:
    /^(?:blkio\.throttle\.(?:read|write)_(?:bps|iops)_device|blkio\.(?:bfq\.)?weight|io\.max|io\.(?:bfq\.)?weight)$/,
  cpuset: /^cpuset\.(?:cpus|mems)$/,
} as const;

/** Fields of a disk's throttle that are not 0, as libvirt reads them from QEMU. */
export async function diskThrottle(guest: Guest, target: string): Promise<Readonly<Record<string, string>>> {
  const text = await ask(guest, 'blkdeviotune', target);
  const fields = [...text.matchAll(/^(\w+)\s*: (\S+)$/gm)].map(([, name = '', value = '']) => [name, value] as const);
  return Object.fromEntries(fields.filter(([name, value]) => value !== '0' && name !== 'group_name'));
}

/** What virsh says of every limit of a running guest. */
export async function libvirtView(guest: Guest): Promise<Readonly<Record<string, string>>> {
  const view: Record<string, string> = {};
  for (const command of ['schedinfo', 'memtune', 'blkiotune', 'vcpupin', 'emulatorpin']) {
    view[command] = await ask(guest, command);
  }
  for (const target of await guest.disks()) view[`blkdeviotune ${target}`] = await ask(guest, 'blkdeviotune', target);
  for (const { tap } of await guest.interfaces()) {
    if (tap !== null) view[`domiftune ${tap}`] = await ask(guest, 'domiftune', tap);
  }
  return view;
}

/** Every control file of its groups, path → text, and the queues of its taps. */
export async function kernelTuning(guest: Guest): Promise<Readonly<Record<string, string>>> {
  const view: Record<string, string> = { ...readCpuFiles(guest.groups) };
  for (const [controller, names] of Object.entries(FILES)) {
    const { directory } = controllerGroup(guest.pid, controller as keyof typeof FILES);
    const own = basename(directory) === 'emulator' ? dirname(directory) : directory;
    const below = readdirSync(own, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    for (const group of [own, ...below.map(({ name }) => join(own, name))]) {
      for (const file of readdirSync(group).filter((name) => names.test(name))) {
        view[join(group, file)] = readFileSync(join(group, file), 'latin1');
      }
    }
  }
  for (const { tap } of await guest.interfaces()) if (tap !== null) view[tap] = await tapQueues(tap);
  return view;
}

/** Queues, classes and filters of a tap, without the handles that the kernel makes up (from 8001: on). */
export async function tapQueues(tap: string): Promise<string> {
  if (!existsSync(`/sys/class/net/${tap}`)) return '';
  const parts = [
    ['qdisc', 'show', 'dev', tap],
    ['class', 'show', 'dev', tap],
    ['filter', 'show', 'dev', tap, 'parent', 'ffff:'],
  ];
  const texts = await Promise.all(parts.map((args) => output('tc', args)));
  return texts.join('').replace(/\b[89a-f][\da-f]{3}: /g, '');
}

function ask(guest: Guest, command: string, ...args: readonly string[]): Promise<string> {
  return guest.virshOk([command, guest.uuid, ...args]);
}
