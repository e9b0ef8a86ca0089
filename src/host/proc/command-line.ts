/** A process's command line as words, from /proc/PID/cmdline: NUL after each (proc(5)). Only the start of a huge one. */
import { closeSync, openSync, readSync } from 'node:fs';
import { failure, type Unreadable } from './read-small.js';

/** Over ten times the longest seen of a guest with two hundred disks. */
export const COMMAND_LINE_BYTES_MAX = 512 * 1024;
const CHUNK_BYTES = 16 * 1024;

export interface CommandLine {
  /** UTF-8; what is none is replaced. The first is the program as it was called. */
  readonly argv: readonly string[];
  /** The end is missing: it is longer than {@link COMMAND_LINE_BYTES_MAX}. */
  readonly cut: boolean;
}

export function readCommandLine(path: string): ({ readonly kind: 'words' } & CommandLine) | Unreadable {
  let fd: number;
  try {
    fd = openSync(path, 'r');
  } catch (error) {
    return failure(error);
  }
  try {
    const chunks: Buffer[] = [];
    let length = 0;
    while (length <= COMMAND_LINE_BYTES_MAX) {
      const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
      const read = readSync(fd, chunk, 0, CHUNK_BYTES, length);
      if (read === 0) break;
      chunks.push(chunk.subarray(0, read));
      length += read;
    }
    const cut = length > COMMAND_LINE_BYTES_MAX;
    const argv = Buffer.concat(chunks).toString('utf8', 0, COMMAND_LINE_BYTES_MAX).split('\0');
    // After the last NUL comes nothing, or a word of which the end is missing.
    if (cut || argv.at(-1) === '') argv.pop();
    return { kind: 'words', argv, cut };
  } catch (error) {
    return failure(error);
  } finally {
    closeSync(fd);
  }
}
