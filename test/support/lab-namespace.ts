/**
 * Device nodes, mounts and commands for a lab's libvirtd, whose mount namespace and small /dev are its own. They are gone
 * with that libvirtd: after a restart they must be made again. Guests keep the namespace in which they were started.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { output } from './command.js';
import { ON_SYSTEM } from './lab-kind.js';

/** Runs a shell script in the mount namespace of the libvirtd of that lab directory; `args` are $1, $2 … */
export async function runInNamespace(labDirectory: string, script: string, args: readonly string[]): Promise<void> {
  if (ON_SYSTEM) throw new Error('the system’s libvirtd has no namespace of its own');
  const pid = readFileSync(join(labDirectory, 'libvirtd.pid'), 'utf8').trim();
  await output('nsenter', ['--target', pid, '--mount', 'sh', '-euc', script, 'sh', ...args]);
}

/**
 * Makes a device of the host, such as /dev/loop3, known under the same path. Mode 0666: the guests may open it. The system's
 * libvirtd knows it anyway, and opens it for the guests.
 */
export async function exposeDevice(labDirectory: string, path: string, mode: '0600' | '0666' = '0666'): Promise<void> {
  if (ON_SYSTEM) return;
  const script = `
mkdir -p "$(dirname "$1")"
[ -e "$1" ] || mknod -m ${mode} "$1" "$2" "0x$3" "0x$4"`;
  const [kind = '', major = '', minor = ''] = (await output('stat', ['-L', '-c', '%F/%t/%T', path])).trim().split('/');
  await runInNamespace(labDirectory, script, [path, kind.startsWith('block') ? 'b' : 'c', major, minor]);
}
