/**
 * Counts writes to files with inotify (`inotifywait`), as a witness apart from virtslad: IN_MODIFY comes with every
 * write(2) to a cgroup file, also when the value stays the same.
 */
import { type ChildProcessByStdio, spawn } from 'node:child_process';
import type { Readable } from 'node:stream';
import { waitUntil } from './wait.js';

export class WriteWatch {
  /** Paths in the order of the writes. */
  readonly writes: string[] = [];
  readonly #child: ChildProcessByStdio<null, Readable, Readable>;

  /** Returns once the watches stand. Files directly in these directories are watched. */
  static async start(directories: readonly string[]): Promise<WriteWatch> {
    const watch = new WriteWatch(directories);
    let said = '';
    watch.#child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    await waitUntil('inotifywait to watch', () => said.includes('Watches established'), { seconds: 10 });
    return watch;
  }

  private constructor(directories: readonly string[]) {
    this.#child = spawn('inotifywait', ['-m', '-e', 'modify', '--format', '%w%f', ...directories], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let rest = '';
    this.#child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (rest + text).split('\n');
      rest = lines.pop() ?? '';
      this.writes.push(...lines);
    });
  }

  async stop(): Promise<void> {
    const gone = new Promise((resolve) => this.#child.once('close', resolve));
    this.#child.kill('SIGTERM');
    await gone;
  }
}
