// Puts in place what a fresh clone lacks: the npm packages of the lock file, and on Debian, as root, the host packages
// that the host lane and the demo use. Needs Node and npm alone. Installs nothing that is there already.
import { accessSync, constants, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { run, SetupError } from './child.mjs';

export const ROOT = fileURLToPath(new URL('..', import.meta.url));

/**
 * What the host lane and the demo need, found by file and not by package, so that other distributions serve too.
 * `files`: any of them will do; a bare name is looked up in PATH and the sbin directories.
 */
export const HOST_TOOLS = {
  qemu: { files: ['qemu-system-x86_64'], packages: ['qemu-system-x86'] },
  libvirtd: { files: ['libvirtd'], packages: ['libvirt-daemon-system'] },
  virsh: { files: ['virsh'], packages: ['libvirt-clients'] },
  'libvirt QEMU driver': {
    files: [
      '/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so',
      '/usr/lib/aarch64-linux-gnu/libvirt/connection-driver/libvirt_driver_qemu.so',
      '/usr/lib64/libvirt/connection-driver/libvirt_driver_qemu.so',
    ],
    packages: ['libvirt-daemon-driver-qemu'],
  },
  promtool: { files: ['promtool'], packages: ['prometheus'] },
  inotifywait: { files: ['inotifywait'], packages: ['inotify-tools'] },
  'dbus-daemon': { files: ['dbus-daemon'], packages: ['dbus-daemon'] },
  ip: { files: ['ip'], packages: ['iproute2'] },
  'mkfs.btrfs': { files: ['mkfs.btrfs'], packages: ['btrfs-progs'] },
  mmdebstrap: { files: ['mmdebstrap'], packages: ['mmdebstrap'] },
  'mkfs.ext4': { files: ['mkfs.ext4'], packages: ['e2fsprogs'] },
  ssh: { files: ['ssh'], packages: ['openssh-client'] },
  flock: { files: ['flock'], packages: ['util-linux'] },
  setpriv: { files: ['setpriv'], packages: ['util-linux'] },
};

export const DEMO_TOOLS = ['qemu'];
/** Without them the demo's guests are bare QEMU processes. */
export const DEMO_LIBVIRT_TOOLS = ['libvirtd', 'virsh', 'libvirt QEMU driver'];
/** For the VM lane. */
export const VM_TOOLS = ['qemu', 'mmdebstrap', 'mkfs.ext4', 'ssh', 'flock', 'setpriv'];
export const TEST_TOOLS = Object.keys(HOST_TOOLS).filter((name) => name === 'qemu' || !VM_TOOLS.includes(name));

/** Names of the tools that are not on this machine. */
export function missingTools(names) {
  return names.filter((name) => !HOST_TOOLS[name].files.some(isThere));
}

function isThere(file) {
  if (file.startsWith('/')) return existsSync(file);
  const directories = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/bin', '/bin'];
  return directories.some((directory) => isExecutable(join(directory, file)));
}

function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** Runs `npm ci` unless node_modules already holds exactly what the lock file lists. */
export async function ensureNpmPackages({ signal, say = console.error } = {}) {
  if (nodeModulesAreCurrent()) return;
  say('Installing npm packages (npm ci) …');
  // No install scripts: koffi, the only package that has one, works from the binary inside its package.
  const npm = await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: ROOT,
    signal,
  });
  if (npm.code !== 0)
    throw new SetupError(`npm ci failed (exit code ${npm.code}); is the npm registry reachable?`, npm.output);
}

/** npm writes `node_modules/.package-lock.json` last, so an interrupted install never looks complete. */
function nodeModulesAreCurrent() {
  const wanted = readPackages(join(ROOT, 'package-lock.json'));
  const installed = readPackages(join(ROOT, 'node_modules', '.package-lock.json'));
  if (wanted === null || installed === null) return false;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === '') return true;
    const found = installed[path];
    if (found === undefined) return entry.optional === true;
    return found.version === entry.version && existsSync(join(ROOT, path));
  });
}

function readPackages(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8')).packages;
  } catch {
    return null;
  }
}

/**
 * Installs the Debian packages of the missing tools. Never fails for what it cannot do: the reason comes back.
 * @returns {Promise<string | null>} null when every tool is there, else why not.
 */
export async function ensureHostTools(names, { signal, say = console.error } = {}) {
  const missing = missingTools(names);
  if (missing.length === 0) return null;
  const packages = [...new Set(missing.flatMap((name) => HOST_TOOLS[name].packages))];
  const byHand = `missing: ${missing.join(', ')} (Debian: apt-get install --no-install-recommends ${packages.join(' ')})`;
  if (process.platform !== 'linux') return `this is not Linux; ${byHand}`;
  if (!isThere('apt-get')) return `not a Debian host, install it by hand; ${byHand}`;
  if (process.getuid() !== 0) return `not root, so nothing can be installed; ${byHand}`;
  say(`Installing Debian packages: ${packages.join(' ')} …`);
  const failure = await aptInstall(packages, { signal, say });
  if (failure !== null) return failure;
  const still = missingTools(names);
  return still.length === 0 ? null : `the packages are installed, yet there is no ${still.join(', ')}`;
}

async function aptInstall(packages, { signal, say }) {
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C.UTF-8' };
  const apt = ['-q', '-y', '-o', 'DPkg::Lock::Timeout=120', 'install', '--no-install-recommends'];
  const update = await run('apt-get', ['-q', 'update'], { env, signal });
  if (update.code !== 0) return `apt-get update failed:\n${update.output}`;
  const download = await run('apt-get', [...apt, '--download-only', ...packages], { env, signal });
  if (download.code !== 0) return `apt-get could not download the packages:\n${download.output}`;
  // From here on an interrupt would leave dpkg half configured: it waits until the ten seconds or so are over.
  const mayStartServices = forbidServiceStarts();
  const waiting = () => say('Interrupted: waiting for dpkg to finish …');
  signal?.addEventListener('abort', waiting, { once: true });
  try {
    const install = await run('apt-get', [...apt, ...packages], { env });
    if (install.code !== 0) return `apt-get install failed:\n${install.output}`;
  } finally {
    signal?.removeEventListener('abort', waiting);
    mayStartServices();
  }
  signal?.throwIfAborted();
  return null;
}

/**
 * Packages such as prometheus start a service when installed; policy-rc.d is Debian's way to say no. One that is
 * there already is left alone. Gives the function that takes it away again.
 */
function forbidServiceStarts() {
  const path = '/usr/sbin/policy-rc.d';
  try {
    writeFileSync(path, '#!/bin/sh\nexit 101\n', { mode: 0o755, flag: 'wx' });
  } catch {
    return () => {};
  }
  return () => rmSync(path, { force: true });
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  try {
    await ensureNpmPackages();
    const reason = await ensureHostTools(TEST_TOOLS);
    if (reason !== null) console.error(`Host packages: ${reason}`);
  } catch (error) {
    console.error(error instanceof SetupError ? error.message : error);
    process.exitCode = 1;
  }
}
