/**
 * What one file of the host lane works in: a directory, a libvirtd of its own, guests and daemons, all of them gone
 * afterwards, also on failure and on a signal. What a killed run left behind is removed by the next. In a VM of the tests' own
 * the libvirtd is the system's (`lab-kind.ts`).
 */
import { randomBytes, randomUUID } from 'node:crypto';
import { chmodSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Cleanup, stopOnSignals } from './cleanup.js';
import { Daemon, type DaemonOptions } from './daemon.js';
import { Guest, type GuestOptions } from './guest.js';
import { LAB_PARENT, ON_SYSTEM } from './lab-kind.js';
import { endProcesses, own, removeGroups, removeLeftovers } from './leftovers.js';
import { PrivateLibvirtd } from './private-libvirtd.js';
import { type LabLibvirtd, SharedLibvirtd } from './shared-libvirtd.js';

const PREFIX = 'virtslad-lab-';

export interface LabDaemonOptions {
  readonly policies: Readonly<Record<string, string>>;
  /** Guests that it may manage; default: every guest named in this lab so far. */
  readonly guests?: readonly string[];
  readonly mode?: DaemonOptions['mode'];
  readonly libvirtUri?: string;
}

export class Lab {
  /** Part of every guest's name, so that no guest of another run or of anybody else can be meant. */
  readonly suffix: string;
  readonly directory: string;
  readonly libvirtd: LabLibvirtd;
  readonly cleanup = new Cleanup();
  readonly #uuids = new Map<string, string>();
  readonly #imageDir: string;
  readonly #removeSignalHandlers: () => void;
  #daemons = 0;
  static readonly #open = new Set<Lab>();

  /** A lab with a libvirtd that answers. Close it in `after`. */
  static async open(): Promise<Lab> {
    await removeLeftovers(PREFIX, (name) => name.slice(PREFIX.length).split('-')[0] ?? null, LAB_PARENT);
    const lab = new Lab();
    try {
      await lab.libvirtd.start();
      return lab;
    } catch (error) {
      await lab.close();
      throw error;
    }
  }

  private constructor() {
    this.suffix = randomBytes(3).toString('hex');
    this.directory = mkdtempSync(join(LAB_PARENT, `${PREFIX}${this.suffix}-`));
    chmodSync(this.directory, 0o755);
    this.cleanup.defer(`remove ${this.directory}`, () => rmSync(this.directory, { recursive: true, force: true }));
    this.cleanup.defer('remove cgroups left behind', () => removeGroups(this.suffix));
    this.cleanup.defer('end processes left behind', () => endProcesses(this.directory));
    own(this.directory);
    this.#imageDir = join(this.directory, 'images');
    mkdirSync(this.#imageDir, { mode: 0o755 });
    this.libvirtd = ON_SYSTEM ? new SharedLibvirtd(this.cleanup) : new PrivateLibvirtd(this.directory, this.cleanup);
    this.#removeSignalHandlers = stopOnSignals(() => this.close());
    Lab.#open.add(this);
  }

  /** The full name of the guest that tests call `short`. */
  guestName(short: string): string {
    return `${short}-${this.suffix}`;
  }

  /** Known before the guest exists, so that a daemon can be told of guests to come. */
  uuid(short: string): string {
    const uuid = this.#uuids.get(short) ?? randomUUID();
    this.#uuids.set(short, uuid);
    return uuid;
  }

  /** A guest that does not run yet. */
  guest(options: GuestOptions): Guest {
    const name = this.guestName(options.name);
    const guest = new Guest(this.libvirtd, this.#imageDir, { ...options, name, uuid: this.uuid(options.name) });
    this.cleanup.defer(`destroy ${name}`, () => guest.destroy());
    return guest;
  }

  async startGuest(options: GuestOptions): Promise<Guest> {
    const guest = this.guest(options);
    await guest.start();
    return guest;
  }

  /** A daemon that does not run yet. */
  daemon({ policies, guests = [...this.#uuids.keys()], mode, libvirtUri }: LabDaemonOptions): Daemon {
    this.#daemons += 1;
    const directory = join(this.directory, `daemon-${this.#daemons}`);
    mkdirSync(directory, { mode: 0o755 });
    const daemon = new Daemon(directory, {
      policies,
      libvirtUri: libvirtUri ?? this.libvirtd.uri,
      runLibvirt: this.libvirtd.runDir,
      manageUuids: guests.map((short) => this.uuid(short)),
      ...(mode === undefined ? {} : { mode }),
    });
    this.cleanup.defer('kill the daemon', async () => {
      await daemon.kill('SIGKILL');
      // Seen only when a test fails: the runner shows the output of the process then.
      console.log(`── the daemon's last words\n${daemon.lastWords(40)}`);
    });
    return daemon;
  }

  async startDaemon(options: LabDaemonOptions): Promise<Daemon> {
    const daemon = this.daemon(options);
    await daemon.start();
    return daemon;
  }

  /** Those that this process has open; a file whose end is the process's own need not ask for it. */
  static async closeAll(): Promise<void> {
    for (const lab of Lab.#open) await lab.close();
  }

  /** Ends everything, once; throws when something would not go. */
  async close(): Promise<void> {
    Lab.#open.delete(this);
    const failures = await this.cleanup.run();
    this.#removeSignalHandlers();
    if (failures.length > 0) throw new AggregateError(failures, failures.map((failure) => failure.message).join('\n'));
  }
}
