/**
 * The host's own libvirtd, for the demo: used as it is when it runs, else started and stopped again. Gives a guest's
 * home at qemu:///system, or says why there can be none. With systemd its units are used, else the daemons themselves.
 */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { promisify } from 'node:util';
import type { Cleanup } from './cleanup.js';
import { execute, output } from './command.js';
import type { Libvirt } from './guest.js';
import { waitUntil } from './wait.js';

const run = promisify(execFile);

export const SYSTEM_LIBVIRT: Libvirt = { uri: 'qemu:///system', runDir: '/run/libvirt' };

const UNITS = ['libvirtd', 'virtlogd', 'virtlockd'].flatMap((name) =>
  ['.service', '.socket', '-ro.socket', '-admin.socket'].map((suffix) => name + suffix),
);

/** What became of it; `reason` is for people, in one line. */
export type LibvirtdOutcome =
  | { readonly usable: true; readonly started: boolean }
  | { readonly usable: false; readonly reason: string };

/** One that takes longer over a question as small as this is of no use. */
const ANSWER_SECONDS = 20;
const START_SECONDS = 30;

/** What had to be started, `cleanup` stops. Throws only when the signal does. */
export async function ensureSystemLibvirtd(cleanup: Cleanup, signal: AbortSignal): Promise<LibvirtdOutcome> {
  const first = await ask(signal);
  if (first === 'answers') return { usable: true, started: false };
  if (first === 'hangs') return { usable: false, reason: `libvirtd does not answer within ${ANSWER_SECONDS} s` };
  try {
    if (existsSync('/run/systemd/system')) await startUnits(cleanup);
    else await startDaemons(cleanup);
    const answers = async (): Promise<boolean> => (await ask(signal)) === 'answers';
    await waitUntil('libvirtd to answer', answers, { seconds: START_SECONDS, everyMs: 200, signal });
    return { usable: true, started: true };
  } catch (error) {
    signal.throwIfAborted();
    return {
      usable: false,
      reason: `libvirtd does not start: ${(error as Error).message.replace(/\s+/g, ' ').trim()}`,
    };
  }
}

async function ask(signal: AbortSignal): Promise<'answers' | 'refuses' | 'hangs'> {
  const args = ['-q', '-c', SYSTEM_LIBVIRT.uri, 'version', '--daemon'];
  try {
    await run('virsh', args, { timeout: ANSWER_SECONDS * 1000, killSignal: 'SIGKILL', signal });
    return 'answers';
  } catch (error) {
    signal.throwIfAborted();
    return (error as { readonly killed?: boolean }).killed === true ? 'hangs' : 'refuses';
  }
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
