/**
 * The C references: compiled on the spot, each a process that makes one round when it is told to and answers with what
 * that cost it. Without a compiler there are none, and whatever compares with them is `not run`.
 */
import { type ChildProcessWithoutNullStreams, execFileSync, spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { ROOT } from '../test/support/paths.js';
import { NotRun } from './result.js';
import { scratch } from './scratch.js';

/** Compiles `bench/c/NAME.c`. @throws NotRun without a compiler */
export function compileReference(name: string, libraries: readonly string[] = []): string {
  const directory = join(scratch(), 'c');
  mkdirSync(directory, { recursive: true });
  const program = join(directory, name);
  try {
    execFileSync('cc', ['-O2', '-o', program, join(ROOT, 'bench', 'c', `${name}.c`), ...libraries], { stdio: 'pipe' });
  } catch (error) {
    const { code, stderr, message } = error as NodeJS.ErrnoException & { stderr?: Buffer };
    throw new NotRun(code === 'ENOENT' ? 'there is no C compiler' : `cc ${name}.c: ${stderr?.toString() ?? message}`);
  }
  return program;
}

/** A reference that runs. */
export class Reference {
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #answers: AsyncIterator<string>;

  constructor(program: string, args: readonly string[]) {
    this.#child = spawn(program, args);
    this.#child.stdin.on('error', () => undefined);
    this.#answers = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** One round, and the numbers of its answer. */
  async round(word = 'go'): Promise<number[]> {
    this.#child.stdin.write(`${word}\n`);
    return this.answer();
  }

  /** The numbers of the next line that it prints. */
  async answer(): Promise<number[]> {
    const { value, done } = await this.#answers.next();
    if (done === true) throw new Error(`the reference ended: ${this.#child.spawnargs.join(' ')}`);
    return value.split(' ').map(Number);
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}
