/**
 * The host's own libvirtd, for the demo: used as it is when it runs, else started and stopped again. Gives a guest's
 * home at qemu:///system. With systemd its units are used, else the daemons themselves.
 */
import { existsSync, readFileSync } from 'node:fs';
import type { Cleanup } from './cleanup.js';
import { execute, output } from './command.js';
import type { Libvirt } from './guest.js';
import { waitUntil } from './wait.js';

export const SYSTEM_LIBVIRT: Libvirt = { uri: 'qemu:///system', runDir: '/run/libvirt' };

const UNITS = ['libvirtd', 'virtlogd', 'virtlockd'].flatMap((name) =>
  ['.service', '.socket', '-ro.socket', '-admin.socket'].map((suffix) => name + suffix),
);

/** True when it had to be started; then `cleanup` stops it. */
export async function ensureSystemLibvirtd(cleanup: Cleanup): Promise<boolean> {
  if (await answers()) return false;
  if (existsSync('/run/systemd/system')) await startUnits(cleanup);
  else await startDaemons(cleanup);
  await waitUntil('libvirtd to answer', answers, { seconds: 60, everyMs: 200 });
  return true;
}

async function answers(): Promise<boolean> {
  return (await execute('virsh', ['-q', '-c', SYSTEM_LIBVIRT.uri, 'version', '--daemon'])).code === 0;
}

async function startUnits(cleanup: Cleanup): Promise<void> {
  const before = await activeUnits();
  cleanup.defer('stop libvirtd', async () => {
    const started = (await activeUnits()).filter((unit) => !before.includes(unit));
    if (started.length > 0) await output('systemctl', ['stop', ...started]);
  });
  await output('systemctl', ['start', 'libvirtd.service']);
}

async function activeUnits(): Promise<string[]> {
  const states = (await execute('systemctl', ['is-active', ...UNITS])).stdout.trim().split('\n');
  return UNITS.filter((_, index) => states[index] === 'active');
}

async function startDaemons(cleanup: Cleanup): Promise<void> {
  for (const name of ['virtlogd', 'libvirtd']) {
    if (runningPid(name) !== null) continue;
    cleanup.defer(`stop ${name}`, () => stopDaemon(name));
    await output(name, ['-d']);
  }
}

async function stopDaemon(name: string): Promise<void> {
  const pid = runningPid(name);
  if (pid === null) return;
  process.kill(pid, 'SIGTERM');
  await waitUntil(`${name} to end`, () => runningPid(name) !== pid, { seconds: 20 });
}

/** From its pid file, if that process lives and is it. */
function runningPid(name: string): number | null {
  const pid = readOrEmpty(`/run/${name}.pid`).trim();
  return pid !== '' && readOrEmpty(`/proc/${pid}/comm`).trim() === name ? Number(pid) : null;
}

function readOrEmpty(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
