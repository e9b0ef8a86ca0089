/**
 * The QEMU system emulators of this host, from /proc. Made to be asked every few seconds: of a process that is known, only
 * `stat` is read (4 µs). What its command line means is the caller's matter (`describe`), asked once for each program
 * that a process runs. Processes that vanish, hide or cannot be read are data. Source: proc(5).
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { basename } from 'node:path';
import { inSlices } from '../slices.js';
import { type CommandLine, readCommandLine } from './command-line.js';
import { failure, readSmallFile, type SmallFile } from './read-small.js';

/** QEMU's program names: upstream's, Red Hat's, Proxmox's; the dot is Nix's for a wrapped program. */
const QEMU_PROGRAM = /^(?:\.?qemu-system-|qemu-kvm$|kvm$)/;
/** What the kernel appends to the path of a program that a package upgrade has replaced. */
const DELETED = ' (deleted)';

export interface QemuCommand extends CommandLine {
  /** Path of the program as its process sees it, or its first word when the kernel does not tell. */
  readonly executable: string;
}

export interface QemuProcess<T> {
  readonly pid: number;
  /** Field 22 of `stat`, clock ticks since boot. With the pid it is the process's identity. */
  readonly startTicks: bigint;
  readonly parentPid: number;
  readonly threadCount: number;
  readonly description: T;
}

export interface QemuScan<T> {
  /** Ascending by pid. */
  readonly processes: readonly QemuProcess<T>[];
  /** Why some processes could not be told this time (too many open files …); null when all could. Those known stay listed. */
  readonly problem: string | null;
}

export interface QemuProcessesOptions<T> {
  readonly procRoot: string;
  /** Null: not one that the caller wants to hear of again. */
  describe(command: QemuCommand, pid: number): T | null;
}

/** As much of `stat` as is used. */
interface Stat {
  /** Start time, and where the program's code and stack begin: another program in the same process has others. */
  readonly identity: string;
  readonly comm: string;
  readonly dead: boolean;
  readonly parentPid: number;
  readonly threadCount: number;
  readonly startTicks: string;
}

interface Known<T> {
  readonly identity: string;
  readonly found: QemuProcess<T> | null;
}

type Verdict<T> =
  | { readonly kind: 'qemu'; readonly description: T }
  | { readonly kind: 'other'; readonly forGood: boolean }
  | { readonly kind: 'unknown'; readonly reason: string };

export class QemuProcesses<T> {
  readonly #options: QemuProcessesOptions<T>;
  #known = new Map<number, Known<T>>();
  #running: Promise<QemuScan<T>> | null = null;

  constructor(options: QemuProcessesOptions<T>) {
    this.#options = options;
  }

  /** Looks through all processes in slices of a few milliseconds. A second call joins one that is under way. */
  scan(): Promise<QemuScan<T>> {
    this.#running ??= this.#scan().finally(() => {
      this.#running = null;
    });
    return this.#running;
  }

  async #scan(): Promise<QemuScan<T>> {
    let names: string[];
    try {
      names = readdirSync(this.#options.procRoot);
    } catch (error) {
      return { processes: [...this.#known.values()].flatMap(({ found }) => found ?? []), problem: messageOf(error) };
    }
    const next = new Map<number, Known<T>>();
    let problem: string | null = null;
    await inSlices(names, (name) => {
      const pid = Number(name);
      if (!Number.isSafeInteger(pid)) return;
      const reason = this.#look(pid, next);
      problem ??= reason;
    });
    this.#known = next;
    const processes = [...next.values()].flatMap(({ found }) => found ?? []).sort((a, b) => a.pid - b.pid);
    return { processes, problem };
  }

  /** Puts what is known of the process now into `next`; gives the reason when nothing can be said. */
  #look(pid: number, next: Map<number, Known<T>>): string | null {
    const known = this.#known.get(pid);
    const file = readSmallFile(`${this.#options.procRoot}/${pid}/stat`);
    if (file.kind === 'unknown') {
      if (known !== undefined) next.set(pid, known);
      return file.reason;
    }
    const stat = file.kind === 'text' ? parseStat(file.text) : null;
    if (stat === null || stat.dead) return null;
    if (known?.identity === stat.identity) {
      next.set(pid, { identity: known.identity, found: known.found && refreshed(known.found, stat) });
      return null;
    }
    const verdict = this.#inspect(pid, stat);
    if (verdict.kind === 'qemu') {
      const { parentPid, threadCount } = stat;
      const found = { pid, startTicks: BigInt(stat.startTicks), parentPid, threadCount, ...verdict };
      next.set(pid, { identity: stat.identity, found });
    } else if (verdict.kind === 'other' && verdict.forGood) next.set(pid, { identity: stat.identity, found: null });
    if (verdict.kind !== 'unknown') return null;
    if (known?.found?.startTicks === BigInt(stat.startTicks)) next.set(pid, known);
    return verdict.reason;
  }

  #inspect(pid: number, stat: Stat): Verdict<T> {
    const executable = this.#executable(pid);
    if (executable.kind === 'unknown') return executable;
    if (executable.kind === 'text' && !QEMU_PROGRAM.test(basename(executable.text))) {
      // A wrapper script with QEMU's name may become QEMU without looking different.
      return { kind: 'other', forGood: !QEMU_PROGRAM.test(stat.comm) };
    }
    const command = readCommandLine(`${this.#options.procRoot}/${pid}/cmdline`);
    if (command.kind === 'unknown') return command;
    if (command.kind !== 'words') return { kind: 'other', forGood: false };
    const [called = ''] = command.argv;
    // A kernel thread has no command line; a program that has just been started does not have it yet.
    if (called === '') return { kind: 'other', forGood: executable.kind !== 'text' && stat.parentPid <= 2 };
    if (executable.kind !== 'text' && !QEMU_PROGRAM.test(basename(called))) return { kind: 'other', forGood: true };
    const { argv, cut } = command;
    try {
      const path = executable.kind === 'text' ? executable.text : called;
      const description = this.#options.describe({ executable: path, argv, cut }, pid);
      return description === null ? { kind: 'other', forGood: true } : { kind: 'qemu', description };
    } catch (error) {
      // One command line that nobody thought of must not keep the others from being found.
      return { kind: 'unknown', reason: `process ${pid} cannot be described: ${messageOf(error)}` };
    }
  }

  #executable(pid: number): SmallFile {
    try {
      const path = readlinkSync(`${this.#options.procRoot}/${pid}/exe`);
      return { kind: 'text', text: path.endsWith(DELETED) ? path.slice(0, -DELETED.length) : path };
    } catch (error) {
      return failure(error);
    }
  }
}

/** Of the host's own boot, for identities that no reboot repeats; empty when the kernel does not tell. */
export function readBootId(procRoot: string): string {
  const file = readSmallFile(`${procRoot}/sys/kernel/random/boot_id`);
  return file.kind === 'text' ? file.text.trim() : '';
}

function refreshed<T>(found: QemuProcess<T>, { parentPid, threadCount }: Stat): QemuProcess<T> {
  const same = found.parentPid === parentPid && found.threadCount === threadCount;
  return same ? found : { ...found, parentPid, threadCount };
}

/** The command's name may hold spaces and parentheses: fields are counted from the last `)`. */
function parseStat(text: string): Stat | null {
  const end = text.lastIndexOf(')');
  const fields = text.slice(end + 2).split(' ', 26);
  const [state = '', parent = ''] = fields;
  const startTicks = fields[19] ?? '';
  if (!/^\d+$/.test(startTicks)) return null;
  const comm = text.slice(text.indexOf('(') + 1, end);
  return {
    identity: `${startTicks} ${fields[23]} ${fields[25]} ${comm}`,
    comm,
    dead: state === 'Z' || state === 'X',
    parentPid: Number(parent),
    threadCount: Number(fields[17]),
    startTicks,
  };
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
