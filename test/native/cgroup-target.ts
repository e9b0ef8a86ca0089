/** A kernel on which the contract's steps are run: the real one, below a group made for it, or the emulated one. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants, existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { type CgroupFiles, KERNEL_FILES } from '../../src/host/cgroup/kernel-files.js';
import type { CgroupEmulator } from '../fakes/cgroup-emulator.js';
import type { Step } from './cgroup-contract.js';

export interface Target {
  readonly base: string;
  readonly files: CgroupFiles;
  make(path: string): void;
  remove(path: string): void;
  enter(path: string): Promise<void>;
  fill(path: string, bytes: number): Promise<void>;
  /** Ends processes and removes the groups below the base. */
  clean(): Promise<void>;
}

/** Each step in words, with what came of it. */
export async function transcriptOf(
  target: Target,
  steps: readonly Step[],
  words: Readonly<Record<string, string>>,
): Promise<string[]> {
  const lines: string[] = [];
  for (const step of steps) {
    if ('make' in step) target.make(join(target.base, step.make));
    else if ('remove' in step) target.remove(join(target.base, step.remove));
    else if ('enter' in step) await target.enter(join(target.base, step.enter));
    else if ('fill' in step) await target.fill(join(target.base, step.fill), step.bytes);
    else if ('read' in step) lines.push(`${step.read}: ${readAt(target, step.read, words)}`);
    else if ('shape' in step) {
      lines.push(`${step.shape}: ${readAt(target, step.shape, words).replace(/\d+(?:\.\d+)?/g, '#')}`);
    } else if ('keys' in step || 'values' in step) lines.push(numbersAt(target, step, words));
    else if ('files' in step) lines.push(`${step.files} has ${filesAt(target, step.files, step.of).join(' ')}`);
    else {
      const text = step.text.replace(/\$(\w+)/g, (_, word: string) => words[`$${word}`] ?? word);
      const outcome = errnoOf(() => writeAt(target, step.write, text));
      // What a usage or a count reads changes by itself.
      const after = /usage|stat$/.test(step.write) ? '' : ` → ${readAt(target, step.write, words)}`;
      lines.push(`${step.write} ← ${JSON.stringify(step.text)}: ${outcome}${after}`);
    }
  }
  return lines;
}

function writeAt({ files, base }: Target, file: string, text: string): void {
  inDirectory(files, join(base, dirname(file)), (directory) => {
    const fd = files.openFile(directory, basename(file), constants.O_WRONLY | constants.O_NOFOLLOW);
    try {
      files.write(fd, text);
    } finally {
      files.close(fd);
    }
  });
}

/** Of a file of one number a line; the numbers themselves only where they are asked for. */
function numbersAt(
  target: Target,
  step: Extract<Step, { readonly of: readonly string[] }> & ({ readonly keys: string } | { readonly values: string }),
  words: Readonly<Record<string, string>>,
): string {
  const [file, exact] = 'keys' in step ? [step.keys, false] : [step.values, true];
  const text = readAt(target, file, words).replaceAll('\\n', '\n').replaceAll('"', '');
  const found = step.of.map((key) => {
    const number = new RegExp(`^${key} (\\d+)$`, 'm').exec(text)?.[1];
    return `${key} ${number === undefined ? 'is missing' : exact ? number : '#'}`;
  });
  return `${file}: ${found.join(', ')}`;
}

function filesAt({ files, base }: Target, group: string, names: readonly string[]): readonly string[] {
  const directory = files.openDirectory(join(base, group));
  try {
    return names.filter((name) => files.has(directory, name));
  } finally {
    files.close(directory);
  }
}

/** What it reads, with the names of devices and CPUs put back; of the switches of all disks that of `$spare`. */
function readAt({ files, base }: Target, file: string, words: Readonly<Record<string, string>>): string {
  let text = '';
  const outcome = errnoOf(() =>
    inDirectory(files, join(base, dirname(file)), (directory) => {
      const fd = files.openFile(directory, basename(file), constants.O_RDONLY);
      try {
        text = files.read(fd);
      } finally {
        files.close(fd);
      }
    }),
  );
  if (basename(file) === 'io.cost.qos')
    text = text.split('\n').filter((line) => line.startsWith(`${words.$spare} `))[0] ?? '';
  const named = text.replaceAll(words.$disk ?? '-', '$disk').replaceAll(words.$spare ?? '-', '$spare');
  return outcome === 'ok' ? JSON.stringify(named) : outcome;
}

function inDirectory(files: CgroupFiles, path: string, work: (directory: number) => void): void {
  const directory = files.openDirectory(path);
  try {
    work(directory);
  } finally {
    files.close(directory);
  }
}

export function errnoOf(work: () => void): string {
  try {
    work();
    return 'ok';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === undefined) throw error;
    return code;
  }
}

/** Holds memory of its own, so much of it, and says when it does. */
const FILLER =
  'const held = Buffer.alloc(Number(process.argv[1]), 1); console.log("full"); setInterval(() => held, 1e6);';
/** Moves itself before it becomes what it is to be: memory is charged where a process is when it asks for it. */
const MOVE = 'echo $$ > "$0/cgroup.procs" && exec "$@"';

export class KernelTarget implements Target {
  readonly base: string;
  readonly files = KERNEL_FILES;
  readonly #children: ChildProcess[] = [];

  constructor(base: string) {
    this.base = base;
  }

  make(path: string): void {
    mkdirSync(path);
    // v1 cpuset groups begin without memory nodes, and take no process.
    inherit(path, 'cpuset.mems');
  }

  remove(path: string): void {
    rmdirSync(path);
  }

  async enter(path: string): Promise<void> {
    await this.#run(path, ['sh', '-c', 'echo there; exec sleep 300']);
  }

  async fill(path: string, bytes: number): Promise<void> {
    await this.#run(path, [process.execPath, '-e', FILLER, String(bytes)]);
  }

  async clean(): Promise<void> {
    for (const child of this.#children.splice(0)) {
      const ended = child.exitCode !== null || child.signalCode !== null ? null : once(child, 'exit');
      child.kill('SIGKILL');
      await ended;
    }
    const below = (path: string): string[] =>
      readdirSync(path, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .flatMap(({ name }) => [...below(join(path, name)), join(path, name)]);
    for (const path of below(this.base)) await removed(path);
  }

  async #run(path: string, command: readonly string[]): Promise<void> {
    const child = spawn('sh', ['-c', MOVE, path, ...command], { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#children.push(child);
    await Promise.race([
      once(child.stdout, 'data'),
      once(child, 'exit').then(() => Promise.reject(new Error(`${command[0]} did not stay in ${path}`))),
    ]);
  }
}

/** A group empties a moment after its last process died. */
async function removed(path: string): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    if (errnoOf(() => rmdirSync(path)) === 'ok') return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  rmdirSync(path);
}

export class EmulatedTarget implements Target {
  readonly base: string;
  readonly files: CgroupEmulator;

  constructor(emulator: CgroupEmulator, base: string) {
    this.files = emulator;
    this.base = base;
    emulator.make(base);
  }

  make(path: string): void {
    this.files.mkdir(path);
  }

  remove(path: string): void {
    this.files.rmdir(path);
  }

  async enter(path: string): Promise<void> {
    this.files.enter(path, 4242);
  }

  async fill(path: string, bytes: number): Promise<void> {
    this.files.enter(path, 4243);
    this.files.group(path).pinnedBytes += BigInt(bytes);
  }

  async clean(): Promise<void> {
    for (const name of [...this.files.group(this.base).children.keys()]) this.files.removeTree(join(this.base, name));
  }
}

/** The value of the group above, where there is one: on v1 a new cpuset is empty. */
export function inherit(path: string, file: string): void {
  if (!existsSync(join(path, file))) return;
  const text = readFileSync(join(dirname(path), file), 'utf8').trim();
  if (text !== '') writeFileSync(join(path, file), text, { flag: 'r+' });
}
