/**
 * A libvirtd of the test's own, unprivileged and with every path of its own, that a test may stop, kill and start again
 * without touching the host's. Serves libvirt's built-in test driver over a real socket.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { accessSync, chmodSync, chownSync, existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { libraryMissing } from './library.js';

const LIBVIRTD = '/usr/sbin/libvirtd';
/** libvirtd as root is the host's libvirtd; as anyone else it keeps to directories of that user. */
const NOBODY = 65534;

/** Why there cannot be one; false when there can. */
export function libvirtdMissing(): string | false {
  try {
    accessSync(LIBVIRTD);
  } catch {
    return `${LIBVIRTD} is not installed`;
  }
  return libraryMissing();
}

export interface PrivateLibvirtd {
  readonly uri: string;
  start(): Promise<void>;
  /** Sends a signal; SIGTERM and SIGKILL resolve when the process has ended. */
  signal(signal: 'SIGTERM' | 'SIGKILL' | 'SIGSTOP' | 'SIGCONT'): Promise<void>;
  remove(): Promise<void>;
}

export function privateLibvirtd(): PrivateLibvirtd {
  const dir = mkdtempSync(join(tmpdir(), 'libvirtd-'));
  chmodSync(dir, 0o711);
  const root = process.getuid?.() === 0;
  for (const name of ['run', 'home']) {
    mkdirSync(join(dir, name), { mode: 0o700 });
    if (root) chownSync(join(dir, name), NOBODY, NOBODY);
  }
  const socket = join(dir, 'run/libvirt/libvirt-sock');
  let daemon: ChildProcess | null = null;
  let ended: Promise<unknown> = Promise.resolve();
  const signal: PrivateLibvirtd['signal'] = async (name) => {
    daemon?.kill(name);
    if (name === 'SIGTERM' || name === 'SIGKILL') await ended;
  };
  return {
    uri: `test+unix:///default?socket=${socket}`,
    async start() {
      rmSync(socket, { force: true });
      daemon = spawn(LIBVIRTD, ['--pid-file', join(dir, 'run/pid')], {
        ...(root && { uid: NOBODY, gid: NOBODY }),
        stdio: 'ignore',
        env: { PATH: process.env.PATH, XDG_RUNTIME_DIR: join(dir, 'run'), HOME: join(dir, 'home') },
      });
      ended = new Promise((resolve) => daemon?.once('exit', resolve));
      for (let i = 0; i < 500 && !existsSync(socket); i++) await new Promise((resolve) => setTimeout(resolve, 10));
    },
    signal,
    async remove() {
      await signal('SIGCONT');
      await signal('SIGKILL');
      rmSync(dir, { recursive: true, force: true });
    },
  };
}
