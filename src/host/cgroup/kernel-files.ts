/**
 * What is asked of the cgroup file system, and the kernel's own as node:fs gives it. Whoever stands in for the kernel
 * (an emulator in tests) offers the same: descriptors, and failures as errors with an errno in `code`.
 */
import {
  closeSync,
  constants,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readSync,
  write,
  writeSync,
} from 'node:fs';

export interface CgroupFiles {
  /** Descriptor of a directory, never through a symbolic link; a name without `/` is looked up below an open one. */
  openDirectory(path: string, below?: number): number;
  inodeOf(directory: number): bigint;
  /** Descriptor of a file below an open directory; `flags` as for open(2). */
  openFile(directory: number, name: string, flags: number): number;
  /** The text from its start in one read(2), without the last newline. */
  read(fd: number): string;
  /** The same to its end, however many reads that takes. */
  readAll(fd: number): string;
  /** One write(2). */
  write(fd: number, text: string): void;
  /** The same without waiting for it here: for what the kernel may keep waiting. Absent: nothing ever waits. */
  writeLater?(fd: number, text: string): Promise<void>;
  /** True when the directory has such a file; false for any other answer. */
  has(directory: number, name: string): boolean;
  list(directory: number): readonly { readonly name: string; isDirectory(): boolean }[];
  close(fd: number): void;
}

const buffer = Buffer.allocUnsafe(64 * 1024);
const LINE_FEED = 10;
/** A piece that leaves half a page empty, where a line is a pid, was the last. */
const SURELY_LAST = 2048;

/**
 * Files are reached through the directory's descriptor: one that was removed and made again under the same name can
 * never be read or written by mistake, the old descriptor answers ENOENT or ENODEV.
 */
export const KERNEL_FILES: CgroupFiles = {
  openDirectory: (path, below) =>
    openSync(
      below === undefined ? path : at(below, path),
      constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW,
    ),
  inodeOf: (directory) => fstatSync(directory, { bigint: true }).ino,
  openFile: (directory, name, flags) => openSync(at(directory, name), flags),
  read: readText,
  readAll,
  write: (fd, text) => void writeSync(fd, text),
  writeLater: (fd, text) =>
    new Promise((resolve, reject) => {
      write(fd, text, (error) => (error === null ? resolve() : reject(error)));
    }),
  has: (directory, name) => existsSync(at(directory, name)),
  list: (directory) => readdirSync(`/proc/self/fd/${directory}`, { withFileTypes: true }),
  close: closeSync,
};

function at(directory: number, name: string): string {
  return `/proc/self/fd/${directory}/${name}`;
}

/** All of a small kernel file from its start, without the last newline. */
export function readText(fd: number): string {
  let length = readSync(fd, buffer, 0, buffer.length, 0);
  if (length > 0 && buffer[length - 1] === LINE_FEED) length--;
  return buffer.toString('latin1', 0, length);
}

/** Lists of processes and threads come in pieces of up to 4 KiB, whatever room there is (fs/seq_file.c). */
function readAll(fd: number): string {
  let text = '';
  for (let position = 0; ; ) {
    const length = readSync(fd, buffer, 0, buffer.length, position);
    text += buffer.toString('latin1', 0, length);
    position += length;
    if (length < SURELY_LAST) return text.endsWith('\n') ? text.slice(0, -1) : text;
  }
}
