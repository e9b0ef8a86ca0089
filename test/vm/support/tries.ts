/**
 * A program that tries what the daemon must not be able to do, and writes what came of each try as JSON. The test of the
 * confined daemon runs it in the daemon's domain, as root with all capabilities: what stops it is the SELinux policy alone.
 *   node tries.js PID_OF_A_QEMU IMAGE_OF_IT SOCKET_OF_IT RESULT_FILE
 */
import { type ExecFileException, execFile } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { closeSync, constants, mkdirSync, openSync, readFileSync, rmdirSync, writeFileSync, writeSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { pathToFileURL } from 'node:url';
import { promisify } from 'node:util';

export interface TryResult {
  readonly name: string;
  /** `done`, an errno, or the last line of what a program said. */
  readonly outcome: string;
}

const run = promisify(execFile);

async function outcomeOf(act: () => unknown): Promise<string> {
  try {
    await act();
    return 'done';
  } catch (error) {
    const { code, stderr, message } = error as ExecFileException & { stderr?: string };
    if (typeof code === 'string') return code;
    return (stderr || message).trim().split('\n').at(-1) ?? '';
  }
}

function write(path: string, text: string): void {
  const fd = openSync(path, constants.O_WRONLY);
  try {
    writeSync(fd, text);
  } finally {
    closeSync(fd);
  }
}

function open(path: string, flags: number): void {
  closeSync(openSync(path, flags));
}

function connectTo(options: { port: number; host: string } | { path: string }): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect(options, () => resolve(void socket.destroy()));
    socket.once('error', reject);
  });
}

function listenOn(port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once('error', reject);
    server.listen({ port, host: '127.0.0.1' }, () => server.close(() => resolve()));
  });
}

function bindUdp(): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = createSocket('udp4');
    socket.once('error', reject);
    socket.bind(0, '127.0.0.1', () => socket.close(() => resolve()));
  });
}

const { O_RDONLY, O_WRONLY } = constants;

/** What must work is tried too: else everything might be denied for some other reason. */
export function triesOn(pid: number, image: string, monitor: string): readonly [string, () => unknown][] {
  const other = 'system_u:object_r:etc_t:s0';
  const group = '/sys/fs/cgroup/machine.slice/virtslad-try';
  return [
    ['read its own policies', () => readFileSync('/etc/virtslad/virtslad.yaml')],
    ["read a guest's label", () => readFileSync(`/proc/${pid}/attr/current`)],
    ["read an image's label", () => run('stat', ['--format=%C', image])],
    ['ask whether SELinux enforces', () => readFileSync('/sys/fs/selinux/enforce')],

    ["write a guest's label", () => write(`/proc/${pid}/attr/current`, 'system_u:system_r:svirt_t:s0')],
    ['write its own label', () => write('/proc/self/attr/current', 'system_u:system_r:initrc_t:s0')],
    ['choose the label of a program', () => write('/proc/self/attr/exec', 'system_u:system_r:initrc_t:s0')],
    ['choose the label of new files', () => write('/proc/self/attr/fscreate', other)],
    ["change an image's type", () => run('chcon', ['-t', 'etc_t', image])],
    ["change an image's categories", () => run('chcon', ['-l', 's0:c1,c2', image])],
    ['change the label of /etc/passwd', () => run('chcon', ['-t', 'svirt_image_t', '/etc/passwd'])],

    ['read an image', () => open(image, O_RDONLY)],
    ['write an image', () => open(image, O_WRONLY)],
    ['read a disk of the host', () => open('/dev/vda', O_RDONLY)],
    ['read memory of a guest', () => open(`/proc/${pid}/mem`, O_RDONLY)],
    ['signal a guest', () => process.kill(pid, 'SIGUSR2')],
    ["talk to a guest's monitor", () => connectTo({ path: monitor })],

    ['connect to ssh', () => connectTo({ port: 22, host: '127.0.0.1' })],
    ['connect to its own port', () => connectTo({ port: 19177, host: '127.0.0.1' })],
    ['listen on another port', () => listenOn(19178)],
    ['send datagrams', bindUdp],

    ['write /etc/passwd', () => open('/etc/passwd', O_WRONLY)],
    ['read /etc/shadow', () => open('/etc/shadow', O_RDONLY)],
    ['write its own policies', () => open('/etc/virtslad/virtslad.yaml', O_WRONLY)],
    ['write its own code', () => open('/usr/lib/virtslad/dist/main.js', O_WRONLY)],
    ['write into /tmp', () => writeFileSync('/tmp/virtslad-try', '')],
    ['write a sysctl', () => open('/proc/sys/vm/swappiness', O_WRONLY)],
    ['write to sysfs', () => open('/sys/kernel/mm/ksm/run', O_WRONLY)],
    ['make SELinux permissive', () => write('/sys/fs/selinux/enforce', '0')],
    [
      'make a cgroup',
      () => {
        mkdirSync(group);
        rmdirSync(group);
      },
    ],

    ['run QEMU', () => run('qemu-system-x86_64', ['--version'])],
    ['run the launcher', () => run('/usr/local/lib/virtslad-launch-try')],
    ['load a kernel module', () => run('/usr/sbin/modprobe', ['dummy'])],
    ['read its policies through a shell', () => run('/bin/sh', ['-c', 'exec cat /etc/virtslad/virtslad.yaml'])],
  ];
}

if (import.meta.url === pathToFileURL(process.env.VIRTSLAD_TRIES ?? '').href) {
  const [, , pid = '', image = '', monitor = '', resultFile = ''] = process.argv;
  const results: TryResult[] = [];
  for (const [name, act] of triesOn(Number(pid), image, monitor)) results.push({ name, outcome: await outcomeOf(act) });
  writeFileSync(resultFile, JSON.stringify(results));
}
