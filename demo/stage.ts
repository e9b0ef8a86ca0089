/**
 * What the demo plays on beside its guests: a directory, and a daemon that may touch these guests alone. Everything is
 * entered for clean-up before it is made.
 */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { removeBareLeftovers } from '../test/support/bare-groups.js';
import type { Cleanup } from '../test/support/cleanup.js';
import { Daemon } from '../test/support/daemon.js';
import { endProcesses, own, PARENT, removeLeftovers } from '../test/support/leftovers.js';
import { ROOT } from '../test/support/paths.js';
import { SYSTEM_LIBVIRT } from '../test/support/system-libvirtd.js';
import type { DemoGuest } from './guests.js';

const PREFIX = 'virtslad-demo';
const DEFAULT_PORT = 19177;

/** A directory of this run alone, its path short enough to type. */
export async function makeDirectory(cleanup: Cleanup): Promise<string> {
  await removeLeftovers(PREFIX, () => null);
  removeBareLeftovers();
  const directory = makeShort() ?? mkdtempSync(join(PARENT, `${PREFIX}-`));
  cleanup.defer(`remove ${directory}`, () => rmSync(directory, { recursive: true, force: true }));
  cleanup.defer('end processes left behind', () => endProcesses(directory));
  chmodSync(directory, 0o755);
  own(directory);
  mkdirSync(imageDirOf(directory), { mode: 0o755 });
  return directory;
}

/** Where the guests' disks are. */
export function imageDirOf(directory: string): string {
  return join(directory, 'images');
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

/** The daemon with a copy of the shipped policies, so that they can be edited; not started. */
export async function makeDaemon(
  directory: string,
  guests: readonly DemoGuest[],
  libvirtUri: string,
  cleanup: Cleanup,
): Promise<Daemon> {
  const shipped = join(ROOT, 'policies');
  const names = readdirSync(shipped).filter((name) => name.endsWith('.yaml'));
  const port = (await isTaken(DEFAULT_PORT)) ? null : DEFAULT_PORT;
  const daemon = new Daemon(directory, {
    policies: Object.fromEntries(names.map((name) => [name, readFileSync(join(shipped, name), 'utf8')])),
    libvirtUri,
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
