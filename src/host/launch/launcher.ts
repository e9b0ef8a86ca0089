/**
 * `virtslad launch` becomes `virtslad-launch`, on hosts with SELinux: only a file of a type of its own leads into the
 * domain that may choose a guest's label. In place and with the same words, so that it stays one process.
 */
import { existsSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { type Problem, VirtsladError } from '../../errors.js';
import { verbIndex } from '../../launch/launcher-words.js';
import { readRequest } from '../../launch/request.js';
import { parseLabel } from '../../svirt/label.js';
import { readProcessLabel } from '../selinux/process-label.js';
import { become, endOnSignals } from './become.js';
import { readLastWords, readOwnProcess } from './own-process.js';

/** The two executable files, side by side. */
const MAIN = 'main.js';
const LAUNCHER = 'launch.js';
/** There while SELinux is. */
const SELINUXFS_FILE = '/sys/fs/selinux/enforce';

/** Whether this process is `virtslad` where `virtslad-launch` is wanted. */
export function wantsLauncher(): boolean {
  return existsSync(SELINUXFS_FILE) && basename(ownFile()) === MAIN;
}

/** The file that node was started with; empty when it is gone, as during an upgrade. */
function ownFile(): string {
  const [, script = ''] = process.argv;
  return existsSync(script) ? realpathSync(script) : '';
}

/**
 * Comes back only when the process was asked to end meanwhile. `qemu`: the guest's command, for the descriptors that it
 * names.
 * @throws VirtsladError LAUNCH_LABEL
 */
export async function becomeLauncher(qemu: readonly string[], signal: AbortSignal): Promise<void> {
  const launcher = join(dirname(ownFile()), LAUNCHER);
  const given = process.argv.slice(2);
  const at = verbIndex(given, 'launch');
  const exact = readLastWords(given);
  if (at < 0 || exact === null) throw new VirtsladError(problem(launcher, 'its own words cannot be told'));
  endOnSignals();
  // A signal that came before is heard now or never.
  await nextTurn();
  await nextTurn();
  if (signal.aborted) return;
  const read = readRequest(qemu);
  const { errno } = become({
    path: launcher,
    words: [Buffer.from(launcher), ...exact.filter((_, index) => index !== at)],
    environment: readOwnProcess().environment,
    descriptors: read.ok ? read.request.descriptors : [],
    label: null,
  });
  throw new VirtsladError(problem(launcher, errno));
}

function problem(launcher: string, reason: string): Problem {
  const label = parseLabel(readProcessLabel('/proc', 'self') ?? '');
  const domain = label.ok ? label.label.type : 'its domain';
  const daemon = domain === 'virtslad_t';
  return {
    code: 'LAUNCH_LABEL',
    message: daemon
      ? `virtslad launch runs in the daemon's domain, virtslad_t, which starts no guests (${reason})`
      : `virtslad launch cannot become virtslad-launch from ${domain} (${reason})`,
    where: launcher,
    fix: daemon
      ? 'write virtslad-launch in place of virtslad launch: units and systemd-run start it in a domain of its own'
      : `see that the file is there and may be run: chmod 755, restorecon; ausearch -m avc says what the policy denies`,
  };
}
