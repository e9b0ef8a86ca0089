/**
 * The host's own libvirtd as a lab's, run by systemd: guests are in scopes below machine.slice, with the security driver that
 * the host has. Only for a machine of the tests' own: it is stopped, restarted and frozen as they like. virtslad's own
 * service stays stopped for as long as the lab is open.
 */
import { execFileSync } from 'node:child_process';
import type { Cleanup } from './cleanup.js';
import { execute, output } from './command.js';
import type { Libvirt } from './guest.js';
import { SYSTEM_LIBVIRT } from './system-libvirtd.js';
import { waitUntil } from './wait.js';

const UNIT = 'libvirtd.service';
const SOCKETS = ['libvirtd.socket', 'libvirtd-ro.socket', 'libvirtd-admin.socket'];
const DAEMON = 'virtslad.service';

/** What tests do to the libvirtd of their lab, whichever it is. */
export interface LabLibvirtd extends Libvirt {
  start(): Promise<void>;
  answers(): Promise<boolean>;
  /** SIGTERM, or SIGKILL for a crash; the guests run on. */
  stop(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  restart(signal?: 'SIGTERM' | 'SIGKILL'): Promise<void>;
  /** Connections stay open and nothing is answered until `thaw`. */
  freeze(): void;
  thaw(): void;
}

export class SharedLibvirtd implements LabLibvirtd {
  readonly uri = SYSTEM_LIBVIRT.uri;
  readonly runDir = SYSTEM_LIBVIRT.runDir;
  readonly #cleanup: Cleanup;

  constructor(cleanup: Cleanup) {
    this.#cleanup = cleanup;
  }

  async start(): Promise<void> {
    // It may be about to start, for the lab before.
    if (/^activ/.test((await execute('systemctl', ['is-active', DAEMON])).stdout)) {
      await output('systemctl', ['stop', DAEMON]);
      const start = ['start', '--no-block', DAEMON];
      this.#cleanup.defer(`start ${DAEMON}`, () => output('systemctl', start).then(() => undefined));
    }
    await output('systemctl', ['start', ...SOCKETS, UNIT]);
    await waitUntil('libvirtd to answer', () => this.answers(), { seconds: 30 });
  }

  async answers(): Promise<boolean> {
    const { code } = await execute('virsh', ['-q', '-c', this.uri, 'version', '--daemon']);
    return code === 0;
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    // Its sockets too, or the next who asks starts it.
    await output('systemctl', ['stop', ...SOCKETS]);
    if (signal === 'SIGKILL') await output('systemctl', ['kill', '--signal=SIGKILL', UNIT]);
    await output('systemctl', ['stop', UNIT]);
  }

  async restart(signal: 'SIGTERM' | 'SIGKILL' = 'SIGTERM'): Promise<void> {
    if (signal === 'SIGKILL') await this.stop(signal);
    await output('systemctl', ['restart', UNIT]);
    await this.start();
  }

  freeze(): void {
    execFileSync('systemctl', ['kill', '--signal=SIGSTOP', UNIT]);
  }

  thaw(): void {
    execFileSync('systemctl', ['kill', '--signal=SIGCONT', UNIT]);
  }
}
