/** `virtslad launch` as a child process, over policy, state and run directories of its own, without a daemon. */
import { type ChildProcess, type StdioOptions, spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { VIRTSLAD } from './paths.js';
import { waitUntil } from './wait.js';

/** proc(5): bit 0 is signal 1. */
const SIGTERM_BIT = 14n;

export interface LaunchEnd {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface LaunchBenchOptions {
  readonly policy: string;
  /** More flags for every launch. */
  readonly flags?: readonly string[];
}

export class LaunchBench {
  readonly stateDir: string;
  readonly policyDir: string;
  readonly flags: readonly string[];
  readonly #children = new Set<Launched>();

  /** `directory` must exist and be root's alone. */
  constructor(directory: string, { policy, flags = [] }: LaunchBenchOptions) {
    this.stateDir = join(directory, 'launch-state');
    this.policyDir = join(directory, 'launch-policies');
    for (const path of [this.stateDir, this.policyDir]) mkdirSync(path, { mode: 0o755 });
    writeFileSync(join(this.policyDir, '10-launch.yaml'), policy, { mode: 0o644 });
    const dirs = [
      '--policy-dir',
      this.policyDir,
      '--state-dir',
      this.stateDir,
      '--run-dir',
      join(directory, 'launch-run'),
    ];
    this.flags = [...dirs, '--libvirt-uri', 'none', ...flags];
  }

  /** `before`: a program that runs it, with its words. Later flags count. */
  launch(flags: readonly string[], qemu: readonly string[], options: LaunchSpawn = {}): Launched {
    const words = [process.execPath, VIRTSLAD, 'launch', ...this.flags, ...flags, '--', ...qemu];
    const launched = new Launched([...(options.before ?? []), ...words], options);
    this.#children.add(launched);
    return launched;
  }

  /** Kills what still runs. */
  async close(): Promise<void> {
    for (const child of this.#children) await child.kill('SIGKILL');
  }
}

export interface LaunchSpawn {
  readonly before?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** A descriptor that it inherits as number 3. */
  readonly third?: number;
  /** What it reads, and then the end. */
  readonly input?: string;
  /** Directory in which it reads and writes files in place of pipes; emptied of them at its end. */
  readonly filesIn?: string;
}

export class Launched {
  readonly end: Promise<LaunchEnd>;
  readonly #child: ChildProcess;
  readonly #files: StdioFiles | null;
  #stderr = '';
  #stdout = '';

  constructor([file = '', ...words]: readonly string[], { env, cwd, third, input, filesIn }: LaunchSpawn) {
    this.#files = filesIn === undefined ? null : new StdioFiles(filesIn, input ?? '');
    const pipes = [input === undefined ? 'ignore' : 'pipe', 'pipe', 'pipe'] as const;
    const stdio: StdioOptions = [...(this.#files?.descriptors ?? pipes), ...(third === undefined ? [] : [third])];
    this.#child = spawn(file, words, {
      stdio,
      ...(env && { env }),
      ...(cwd && { cwd }),
    });
    this.#child.stdout?.setEncoding('latin1').on('data', (text: string) => {
      this.#stdout += text;
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text;
    });
    this.#child.stdin?.on('error', () => undefined).end(input);
    this.end = new Promise((resolve) => {
      this.#child.once('close', (code, signal) => {
        const [stdout, stderr] = [this.#files?.stdout() ?? this.#stdout, this.stderr];
        this.#files?.remove();
        this.#stderr = stderr;
        resolve({ code, signal, stdout, stderr });
      });
    });
  }

  /** As far as it has come. */
  get stderr(): string {
    return this.#files?.stderr() ?? this.#stderr;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Returns in the moment in which the process is QEMU. */
  async untilQemu(seconds = 30): Promise<void> {
    await waitUntil(
      'the process to be QEMU',
      () => {
        if (this.#child.exitCode !== null) throw new Error(`not started (${this.#child.exitCode}): ${this.stderr}`);
        return readFileSync(`/proc/${this.pid}/comm`, 'latin1').startsWith('qemu');
      },
      { seconds, everyMs: 2 },
    );
  }

  /** Returns when the process is a QEMU that ends by itself on SIGTERM; until then the signal kills it. */
  async untilEnds(seconds = 30): Promise<void> {
    await this.untilQemu(seconds);
    const caught = () =>
      /^SigCgt:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${this.pid}/status`, 'latin1'))?.[1] ?? '0';
    await waitUntil('QEMU to listen to SIGTERM', () => (BigInt(`0x${caught()}`) >> SIGTERM_BIT) % 2n === 1n, {
      seconds,
    });
  }

  async kill(signal: NodeJS.Signals): Promise<LaunchEnd> {
    this.#child.kill(signal);
    return this.end;
  }
}

/** Wear the label of the directory, and not the range of this process as its pipes do. */
class StdioFiles {
  readonly descriptors: readonly number[];
  readonly #paths: readonly string[];

  constructor(directory: string, input: string) {
    this.#paths = ['in', 'out', 'err'].map((name) => join(directory, `launched-${randomUUID()}.${name}`));
    const [stdin = '', stdout = '', stderr = ''] = this.#paths;
    writeFileSync(stdin, input);
    this.descriptors = [openSync(stdin, 'r'), openSync(stdout, 'a'), openSync(stderr, 'a')];
  }

  stdout(): string {
    return readFileSync(this.#paths[1] ?? '', 'utf8');
  }

  /** Null once they are removed. */
  stderr(): string | null {
    const path = this.#paths[2] ?? '';
    return existsSync(path) ? readFileSync(path, 'utf8') : null;
  }

  remove(): void {
    for (const fd of this.descriptors) closeSync(fd);
    for (const path of this.#paths) rmSync(path, { force: true });
  }
}
