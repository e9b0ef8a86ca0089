// The image of the VM lane in three layers: the base (Debian, from a mirror, minutes), the policy (SELinux modules
// compiled and linked, seconds), both cached, and the run (virtslad and its tests installed, seconds), made at each run.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../bootstrap.mjs';
import { run, SetupError } from '../child.mjs';
import { cacheDirectory, hashOf, keepLayer } from './vm-cache.mjs';

const SCRIPTS = join(ROOT, 'test', 'vm', 'image');
const SELINUX_SOURCES = join(ROOT, 'packaging', 'selinux');
/** Mounts and loop devices of a script go with its namespace, and that with this process, however it ends. */
const NAMESPACE = [
  'setpriv',
  '--pdeathsig',
  'KILL',
  'unshare',
  '--mount',
  '--propagation',
  'private',
  '--pid',
  '--fork',
  '--kill-child',
  '--mount-proc',
];
const NO_MIRROR =
  /Could not resolve|Unable to connect|Could not connect|Failed to fetch|Connection (?:failed|timed out)/;

/** The packages cannot be fetched: a reason to skip, not a failure. */
export class NoMirror extends Error {}

/**
 * @returns {Promise<{ image: string, kernel: string, initrd: string, directory: string }>}
 */
export async function ensureBase({ signal, say }) {
  const script = join(SCRIPTS, 'base.sh');
  const directory = join(cacheDirectory(), `base-${hashOf([readFileSync(script), process.arch])}`);
  const base = {
    directory,
    image: join(directory, 'base.img'),
    kernel: join(directory, 'vmlinuz'),
    initrd: join(directory, 'initrd'),
  };
  if (!existsSync(directory)) {
    say('Making the base image of the VM: Debian 12 by mmdebstrap, about two minutes …');
    const mirror = process.env.VIRTSLAD_VM_MIRROR ?? '';
    await underLock(directory, `mkdir "$new"; sh "$1" "$new" "$2"`, [script, mirror], signal);
  }
  keepLayer(directory, 'base-');
  return base;
}

/** @returns {Promise<string>} a tar file to unpack over the base */
export async function ensurePolicy(base, { signal, say }) {
  const sources = existsSync(SELINUX_SOURCES) ? readdirSync(SELINUX_SOURCES).sort() : [];
  const script = join(SCRIPTS, 'policy.sh');
  const cil = join(SCRIPTS, 'lane.cil');
  const inputs = [script, cil, ...sources.map((name) => join(SELINUX_SOURCES, name))];
  const path = join(base.directory, `policy-${hashOf(inputs.map((input) => readFileSync(input)))}.tar.gz`);
  if (!existsSync(path)) {
    say('Compiling the SELinux policy of the VM, some seconds …');
    const make = `sh "$1" "$2" "$3" "$4" "$new"`;
    await underLock(path, make, [script, base.image, SELINUX_SOURCES, cil], signal);
  }
  keepLayer(path, 'policy-');
  return path;
}

/** Makes `disk.img` in the directory of a run. */
export async function makeRunImage(directory, base, policy, publicKey, { signal }) {
  const image = join(directory, 'disk.img');
  const args = [join(SCRIPTS, 'run.sh'), base.image, policy, ROOT, process.execPath, publicKey, image];
  const made = await run(NAMESPACE[0], [...NAMESPACE.slice(1), 'sh', ...args], { signal });
  if (made.code !== 0) throw new SetupError('the image of the run could not be made', made.output);
  return image;
}

/** A tree as the run image has it, to push into a VM that runs: the installed virtslad and the tests. */
export async function makeInstalledTree(directory, { signal }) {
  rmSync(directory, { recursive: true, force: true });
  mkdirSync(directory, { recursive: true });
  const env = { ...process.env, DESTDIR: directory, SELINUX_MODULE: 'none' };
  const installed = await run('sh', [join(ROOT, 'packaging', 'install.sh')], { env, signal });
  if (installed.code !== 0) throw new SetupError('packaging/install.sh failed', installed.output);
  const tests = await run('sh', [join(SCRIPTS, 'tests.sh'), ROOT, join(directory, 'opt/virtslad-tests')], { signal });
  if (tests.code !== 0) throw new SetupError('the tests could not be copied', tests.output);
}

/** Runs a shell script that makes `$new`, which then becomes `path`, unless another process has made it meanwhile. */
async function underLock(path, script, args, signal) {
  const lock = join(cacheDirectory(), 'lock');
  const whole = `set -e; path=$0 new=$0.new; [ ! -e "$path" ] || exit 0; rm -rf "$new"; ${script}; mv "$new" "$path"`;
  const flock = ['flock', lock, 'sh', '-c', whole, path, ...args];
  const made = await run(NAMESPACE[0], [...NAMESPACE.slice(1), ...flock], { signal });
  if (made.code === 0) return;
  if (NO_MIRROR.test(made.output)) throw new NoMirror(`mmdebstrap cannot reach a mirror: ${lastError(made.output)}`);
  throw new SetupError(`a layer of the VM's image could not be made: ${path}`, made.output);
}

function lastError(text) {
  return text.match(/^E: .*$/m)?.[0] ?? text.trimEnd().split('\n').at(-1);
}
