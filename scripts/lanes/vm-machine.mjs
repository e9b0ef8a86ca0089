// One VM: QEMU under software emulation, reached by one ssh connection that stays open. /dev/kvm is never used: one that
// opens may still not run a stock kernel.
import { spawn } from 'node:child_process';
import { closeSync, existsSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { lastLines, run, SetupError } from '../child.mjs';
import { endProcessesOf } from './vm-cache.mjs';

const MEMORY_MEBIBYTES = 3072;
const CPUS = 2;
/** Without AVX, which is dear to emulate and which the C library prefers where it is. */
const CPU_MODEL = 'Nehalem';
const BOOT_SECONDS = 400;
/** The disk for tests, /dev/vdb. */
const DATA_BYTES = 2 * 1024 ** 3;
const KERNEL_COMMAND_LINE = [
  'console=ttyS0 root=/dev/vda rw net.ifnames=0',
  'security=selinux selinux=1 enforcing=1',
  'audit=1 audit_backlog_limit=8192',
  // The console is the record of what the kernel said, also of a kernel that is dead.
  'loglevel=6 printk.devkmsg=on',
  // Worth a good part of the time of system calls under emulation.
  'mitigations=off',
].join(' ');

export class Machine {
  /** @param {string} directory of the run; holds disk.img and key */
  constructor(directory) {
    this.directory = directory;
    this.consoleLog = join(directory, 'console.log');
  }

  /** A VM that another process has booted and left running. */
  get runs() {
    const pid = readOrEmpty(join(this.directory, 'qemu.pid')).trim();
    return pid !== '' && readOrEmpty(`/proc/${pid}/cmdline`).includes(`${this.directory}/`);
  }

  get pid() {
    return Number(readOrEmpty(join(this.directory, 'qemu.pid')));
  }

  /** Starts QEMU and returns when ssh answers. `keep`: it outlives this process. */
  async boot({ kernel, initrd }, { signal, keep = false }) {
    const data = join(this.directory, 'data.img');
    closeSync(openSync(data, 'w'));
    truncateSync(data, DATA_BYTES);
    const port = await freePort();
    writeFileSync(join(this.directory, 'port'), String(port));
    const drive = (file, id) => `file=${file},format=raw,if=none,id=${id},cache=unsafe,discard=unmap`;
    const args = [
      ...['-name', `virtslad-vm-${port}`, '-machine', 'q35', '-accel', 'tcg,thread=multi', '-cpu', CPU_MODEL],
      ...['-m', String(MEMORY_MEBIBYTES), '-smp', String(CPUS)],
      ...['-kernel', kernel, '-initrd', initrd, '-append', KERNEL_COMMAND_LINE],
      ...['-drive', drive(join(this.directory, 'disk.img'), 'root'), '-device', 'virtio-blk-pci,drive=root'],
      ...['-drive', drive(data, 'data'), '-device', 'virtio-blk-pci,drive=data,serial=virtslad-data'],
      ...['-netdev', `user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:${port}-:22`, '-device', 'virtio-net-pci,netdev=n0'],
      ...[
        '-device',
        'virtio-rng-pci',
        '-chardev',
        `file,id=console,path=${this.consoleLog}`,
        '-serial',
        'chardev:console',
      ],
      ...['-monitor', 'none', '-display', 'none', '-no-reboot', '-pidfile', join(this.directory, 'qemu.pid')],
    ];
    const log = openSync(join(this.directory, 'qemu.log'), 'w');
    // Killed together with this process, whatever kills that.
    const qemu = ['qemu-system-x86_64', ...args];
    const [command, ...words] = keep ? qemu : ['setpriv', '--pdeathsig', 'KILL', ...qemu];
    const child = spawn(command, words, {
      detached: true,
      stdio: ['ignore', log, log],
    });
    closeSync(log);
    if (keep) child.unref();
    let ended = false;
    child.once('error', () => {
      ended = true;
    });
    child.once('exit', () => {
      ended = true;
    });
    try {
      await this.connect({ signal, seconds: BOOT_SECONDS, failed: () => ended });
    } catch (error) {
      signal.throwIfAborted();
      const said = lastLines(readOrEmpty(join(this.directory, 'qemu.log')) + readOrEmpty(this.consoleLog), 20);
      throw new SetupError(`the VM does not boot: ${error.message}`, said);
    }
  }

  /** Opens the one connection that all commands go through. It ends with this process. */
  async connect({ signal, seconds = 180, failed = () => false }) {
    const deadline = performance.now() + seconds * 1000;
    let master = null;
    while (performance.now() < deadline) {
      signal.throwIfAborted();
      if (failed()) throw new Error('QEMU ended');
      if (master === null || master.exitCode !== null || master.signalCode !== null) master = this.#startMaster();
      if ((await this.#check(signal)) === 0) return;
      await sleep(500);
    }
    throw new Error(`no answer after ${seconds} s`);
  }

  #startMaster() {
    const args = ['--pdeathsig', 'KILL', 'ssh', ...this.#sshOptions(), '-M', '-N', 'root@127.0.0.1'];
    const child = spawn('setpriv', args, { cwd: this.directory, detached: true, stdio: 'ignore' });
    child.unref();
    child.on('error', () => {});
    return child;
  }

  async #check(signal) {
    if (!existsSync(join(this.directory, this.#socket))) return 1;
    const args = [...this.#sshOptions(), '-O', 'check', 'root@127.0.0.1'];
    return (await run('ssh', args, { cwd: this.directory, signal })).code;
  }

  /** One for each process that uses the VM; relative, for paths of sockets are short. */
  get #socket() {
    return `ssh-${process.pid}`;
  }

  #sshOptions() {
    const options = {
      ControlPath: `./${this.#socket}`,
      IdentityFile: join(this.directory, 'key'),
      IdentitiesOnly: 'yes',
      Port: readOrEmpty(join(this.directory, 'port')).trim(),
      StrictHostKeyChecking: 'no',
      UserKnownHostsFile: '/dev/null',
      BatchMode: 'yes',
      ConnectTimeout: '30',
      LogLevel: 'ERROR',
    };
    return ['-F', 'none', ...Object.entries(options).flatMap(([name, value]) => ['-o', `${name}=${value}`])];
  }

  /** Starts a shell command in the guest as root; `stdio` as for spawn, `terminal` for a person. */
  spawn(command, { stdio = ['ignore', 'pipe', 'pipe'], terminal = false } = {}) {
    const args = [
      ...this.#sshOptions(),
      ...(terminal ? ['-t'] : ['-T']),
      'root@127.0.0.1',
      ...(command === '' ? [] : [command]),
    ];
    return spawn('ssh', args, { cwd: this.directory, stdio, detached: !terminal });
  }

  /** Runs it to its end; throws unless the exit code is 0. @returns {Promise<string>} its standard output */
  async output(command, { signal, input, seconds = 120 } = {}) {
    const child = this.spawn(command, { stdio: [input ?? 'ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text) => {
      stderr += text;
    });
    const stop = () => child.kill('SIGKILL');
    const limit = setTimeout(stop, seconds * 1000);
    signal?.addEventListener('abort', stop, { once: true });
    const code = await new Promise((resolve) => {
      child.once('error', () => resolve(127));
      child.once('close', resolve);
    });
    clearTimeout(limit);
    signal?.removeEventListener('abort', stop);
    signal?.throwIfAborted();
    if (code !== 0) throw new SetupError(`in the VM: ${command}: exit code ${code}`, stderr + stdout);
    return stdout;
  }

  /** At once; its disks are thrown away anyhow. */
  stop() {
    endProcessesOf(this.directory);
  }
}

async function freePort() {
  const server = createServer();
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function readOrEmpty(path) {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    return '';
  }
}
