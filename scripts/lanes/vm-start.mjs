// Starts a VM of the lane from a built checkout: says why not where it cannot be, makes the layers of its image, boots it.
import { randomBytes } from 'node:crypto';
import { rmSync, statfsSync } from 'node:fs';
import { totalmem } from 'node:os';
import { join } from 'node:path';
import { ensureHostTools, VM_TOOLS } from '../bootstrap.mjs';
import { run, SetupError } from '../child.mjs';
import { cacheDirectory, makeRunDirectory, own, removeLeftovers, runDirectory } from './vm-cache.mjs';
import { ensureBase, ensurePolicy, makeRunImage } from './vm-image.mjs';
import { Machine } from './vm-machine.mjs';
import { noteSent } from './vm-sync.mjs';

const NEEDED_MEMORY_BYTES = 5e9;
const NEEDED_DISK_BYTES = 8e9;

/** @returns {Promise<string | null>} why there can be no VM here; null when there can */
export async function whyNoVm({ signal, say }) {
  if (process.platform !== 'linux' || process.arch !== 'x64') return 'needs Linux on x86-64';
  if (process.getuid() !== 0) return 'needs root: it makes and mounts an image';
  if (totalmem() < NEEDED_MEMORY_BYTES) return 'needs 5 GB of memory';
  const { bavail, bsize } = statfsSync(cacheDirectory());
  if (bavail * bsize < NEEDED_DISK_BYTES) return `needs 8 GB of disk space at ${cacheDirectory()}`;
  return ensureHostTools(VM_TOOLS, { signal, say });
}

/** A VM of that name which another process left running; null when there is none. */
export async function findVm(name, { signal }) {
  const machine = new Machine(runDirectory(name));
  if (!machine.runs) return null;
  await machine.connect({ signal });
  return machine;
}

/**
 * Boots a VM from what is built now. Throws NoMirror when there is no base and no way to make one.
 * @param {{ name?: string, keep?: boolean, signal: AbortSignal, say: (text: string) => void }} options `keep`: the VM
 *   outlives this process, under that name
 */
export async function startVm({ name = randomBytes(4).toString('hex'), keep = false, signal, say }) {
  removeLeftovers();
  const base = await ensureBase({ signal, say });
  const policy = await ensurePolicy(base, { signal, say });
  const directory = makeRunDirectory(name);
  const machine = new Machine(directory);
  try {
    const key = join(directory, 'key');
    const made = await run('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'virtslad-vm', '-f', key], { signal });
    if (made.code !== 0) throw new SetupError('ssh-keygen failed', made.output);
    await step('image made', say, () => makeRunImage(directory, base, policy, `${key}.pub`, { signal }));
    await step('booted', say, () => machine.boot(base, { signal, keep }));
    if (keep) own(directory, machine.pid);
    noteSent(machine, policy);
    return machine;
  } catch (error) {
    stopVm(machine);
    throw error;
  }
}

/** Ends it and removes all that was its own. */
export function stopVm(machine) {
  machine.stop();
  rmSync(machine.directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 });
}

/** Waits until systemd has started all that it starts. @returns {Promise<string>} the units that failed; mostly empty */
export async function waitUntilUp(machine, { signal }) {
  const command = 'systemctl is-system-running --wait >/dev/null; systemctl --failed --plain --no-legend';
  return (await machine.output(command, { signal, seconds: 400 })).trim();
}

async function step(what, say, action) {
  const began = performance.now();
  await action();
  say(`   ${what} in ${((performance.now() - began) / 1000).toFixed(0)} s`);
}
