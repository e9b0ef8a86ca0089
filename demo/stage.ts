/**
 * What the demo plays on: three guests of its own under the host's libvirtd, and a daemon that may touch these three
 * alone. Everything is entered for clean-up before it is made.
 */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import type { Cleanup } from '../test/support/cleanup.js';
import { output } from '../test/support/command.js';
import { Daemon } from '../test/support/daemon.js';
import { Guest } from '../test/support/guest.js';
import { readCpuFiles } from '../test/support/kernel-view.js';
import { endProcesses, own, PARENT, removeLeftovers } from '../test/support/leftovers.js';
import { ROOT } from '../test/support/paths.js';
import { SYSTEM_LIBVIRT } from '../test/support/system-libvirtd.js';

const PREFIX = 'virtslad-demo';
const DEFAULT_PORT = 19177;

/** A directory of this run alone, its path short enough to type. */
export async function makeDirectory(cleanup: Cleanup): Promise<string> {
  await removeLeftovers(PREFIX, () => null);
  const directory = makeShort() ?? mkdtempSync(join(PARENT, `${PREFIX}-`));
  cleanup.defer(`remove ${directory}`, () => rmSync(directory, { recursive: true, force: true }));
  cleanup.defer('end processes left behind', () => endProcesses(directory));
  chmodSync(directory, 0o755);
  own(directory);
  return directory;
}

function makeShort(): string | null {
  const directory = join(PARENT, PREFIX);
  try {
    mkdirSync(directory, { mode: 0o755 });
    return directory;
  } catch {
    return null;
  }
}

/** db-1, web-1 and batch-1, or the next number of which this host has none. Not started. */
export async function makeGuests(directory: string, cleanup: Cleanup): Promise<readonly Guest[]> {
  const taken = (await output('virsh', ['-q', '-c', SYSTEM_LIBVIRT.uri, 'list', '--all', '--name'])).split('\n');
  const roles = ['db', 'web', 'batch'];
  let number = 1;
  while (roles.some((role) => taken.includes(`${role}-${number}`))) number += 1;
  const imageDir = join(directory, 'images');
  mkdirSync(imageDir, { mode: 0o755 });
  return roles.map((role) => {
    // Two vCPUs for the database make a host of two cores tight: four vCPUs want to run all the time.
    const vcpus = role === 'db' && availableParallelism() > 1 ? 2 : 1;
    const guest = new Guest(SYSTEM_LIBVIRT, imageDir, { name: `${role}-${number}`, vcpus });
    cleanup.defer(`destroy ${guest.name}`, () => guest.destroy());
    return guest;
  });
}

/** The daemon with a copy of the shipped policies, so that they can be edited; not started. */
export async function makeDaemon(directory: string, guests: readonly Guest[], cleanup: Cleanup): Promise<Daemon> {
  const shipped = join(ROOT, 'policies');
  const names = readdirSync(shipped).filter((name) => name.endsWith('.yaml'));
  const port = (await isTaken(DEFAULT_PORT)) ? null : DEFAULT_PORT;
  const daemon = new Daemon(directory, {
    policies: Object.fromEntries(names.map((name) => [name, readFileSync(join(shipped, name), 'utf8')])),
    libvirtUri: SYSTEM_LIBVIRT.uri,
    runLibvirt: SYSTEM_LIBVIRT.runDir,
    manageUuids: guests.map(({ uuid }) => uuid),
    ...(port === null ? {} : { port }),
  });
  cleanup.defer('stop the daemon', async () => {
    const { code } = await daemon.kill('SIGTERM');
    if (code !== 0 && code !== null) throw new Error(`it ended with code ${code}\n${daemon.lastWords(20)}`);
  });
  return daemon;
}

function isTaken(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host: '127.0.0.1', port });
    socket.once('connect', () => resolve(socket.destroy() !== undefined));
    socket.once('error', () => resolve(false));
  });
}

/** All CPU settings of the guests as the kernel has them, for a comparison byte for byte. */
export function readSettings(guests: readonly Guest[]): string {
  return JSON.stringify(guests.map((guest) => readCpuFiles(guest.groups)));
}
