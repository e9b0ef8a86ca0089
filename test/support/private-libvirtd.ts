/**
 * A libvirtd for one test file: in a mount namespace of its own, with its own configuration, state, sockets and logs.
 * The host's libvirtd, its guests and its files are never touched, so this one may be stopped, restarted and frozen.
 * Only the kernel is shared: QEMU processes and cgroups are the host's. Needs root.
 *
 * /dev is a small one without /dev/kvm: with a KVM device that libvirt cannot use, it probes QEMU anew at every start
 * of a guest, which takes half a minute. Guests are of type qemu, so nothing is lost.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Cleanup } from './cleanup.js';
import { execute } from './command.js';
import type { LabLibvirtd } from './shared-libvirtd.js';
import { waitUntil } from './wait.js';

/** Directory of the private copy → what it is mounted over. */
const PRIVATE_DIRECTORIES = {
  etc: '/etc/libvirt',
  run: '/run/libvirt',
  lib: '/var/lib/libvirt',
  cache: '/var/cache/libvirt',
  log: '/var/log/libvirt',
};

const NAMESPACE_SCRIPT = `
lab=$1
mount -t tmpfs -o mode=0755 tmpfs "$lab/dev"
for node in null zero full random urandom tty; do
  : > "$lab/dev/$node"
  mount --bind "/dev/$node" "$lab/dev/$node"
done
if [ -e /dev/net/tun ]; then
  mkdir "$lab/dev/net"
  : > "$lab/dev/net/tun"
  mount --bind /dev/net/tun "$lab/dev/net/tun"
fi
mkdir "$lab/dev/pts" "$lab/dev/shm"
mount --bind /dev/pts "$lab/dev/pts"
ln -s pts/ptmx "$lab/dev/ptmx"
mount -t tmpfs -o mode=1777 tmpfs "$lab/dev/shm"
mount --move "$lab/dev" /dev
${Object.entries(PRIVATE_DIRECTORIES)
  .map(([name, target]) => `mount --bind "$lab/${name}" ${target}`)
  .join('\n')}
exec libvirtd -f /etc/libvirt/libvirtd.conf -p "$lab/libvirtd.pid"
`;

const LIBVIRTD_CONF = `auth_unix_rw = "none"
`;

/** Output goes to plain files, so no virtlogd is needed; no security driver, so that the tests need none either. */
const QEMU_CONF = `stdio_handler = "file"
security_driver = "none"
namespaces = []
`;

export class PrivateLibvirtd implements LabLibvirtd {
  readonly uri: string;
  readonly runDir: string;
  readonly #directory: string;
  #child: ChildProcess | null = null;
  #stopping = false;

  /** `directory` must exist, empty, and be reachable for all users. Its path must be short: sockets have 107 bytes. */
  constructor(directory: string, cleanup: Cleanup) {
    this.#directory = directory;
    this.runDir = join(directory, 'run');
    this.uri = `qemu:///system?socket=${join(this.runDir, 'libvirt-sock')}`;
    for (const name of [...Object.keys(PRIVATE_DIRECTORIES), 'dev']) mkdirSync(join(directory, name), { mode: 0o755 });
    writeFileSync(join(directory, 'etc', 'libvirtd.conf'), LIBVIRTD_CONF);
    writeFileSync(join(directory, 'etc', 'qemu.conf'), QEMU_CONF);
    for (const target of Object.values(PRIVATE_DIRECTORIES)) {
      if (existsSync(target)) continue;
      mkdirSync(target, { recursive: true, mode: 0o755 });
      cleanup.defer(`remove ${target}`, () => rmdirSync(target));
    }
    cleanup.defer('stop the private libvirtd', () => this.stop());
  }

  /** Starts it and waits until it answers. */
  async start(): Promise<void> {
    const log = openSync(join(this.#directory, 'log', 'libvirtd.log'), 'a');
    const args = ['--mount', '--propagation', 'private', 'sh', '-euc', NAMESPACE_SCRIPT, 'sh', this.#directory];
    const child = spawn('unshare', args, { detached: true, stdio: ['ignore', log, log] });
    this.#child = child;
    child.once('exit', (code, signal) => {
      // Seen only when a test fails: the runner shows the output of the process then.
      if (!this.#stopping)
        console.log(`── the private libvirtd ended by itself: ${signal ?? code}\n${this.log.slice(-2000)}`);
    });
    await waitUntil('the private libvirtd to answer', () => child.exitCode !== null || this.answers(), { seconds: 30 });
    if (child.exitCode !== null)
      throw new Error(`the private libvirtd exited with code ${child.exitCode}\n${this.log}`);
  }

  async answers(): Promise<boolean> {
    const { code } = await execute('virsh', ['-q', '-c', this.uri, 'version', '--daemon']);
    return code === 0;
  }

  /** SIGTERM, or SIGKILL for a crash; the guests run on. */
  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    const child = this.#child;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const gone = new Promise((resolve) => child.once('exit', resolve));
    this.#stopping = true;
    child.kill('SIGCONT');
    child.kill(signal);
    await gone;
    this.#stopping = false;
  }

  async restart(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    await this.stop(signal);
    await this.start();
  }

  /** Connections stay open and nothing is answered until `thaw`. */
  freeze(): void {
    this.#child?.kill('SIGSTOP');
  }

  thaw(): void {
    this.#child?.kill('SIGCONT');
  }

  get log(): string {
    return readFileSync(join(this.#directory, 'log', 'libvirtd.log'), 'utf8');
  }
}
