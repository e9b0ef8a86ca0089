/**
 * One cgroup directory, held open. Files are reached through the directory's descriptor (/proc/self/fd/N/FILE), so a
 * directory that was removed and made again under the same name can never be read or written by mistake: the old
 * descriptor answers ENOENT or ENODEV. Hot files stay open; a read is one pread.
 */
import { closeSync, constants, fstatSync, openSync, readdirSync, readSync } from 'node:fs';

const buffer = Buffer.allocUnsafe(64 * 1024);

export class Group {
  readonly path: string;
  readonly inode: bigint;
  #directoryFd: number;
  readonly #files = new Map<string, number>();

  private constructor(path: string, directoryFd: number, inode: bigint) {
    this.path = path;
    this.#directoryFd = directoryFd;
    this.inode = inode;
  }

  /** Null when there is no such directory. @throws when that cannot be told (too many open files …) */
  static open(path: string): Group | null {
    let fd: number;
    try {
      fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENOTDIR' || code === 'ELOOP') return null;
      throw error;
    }
    return new Group(path, fd, fstatSync(fd, { bigint: true }).ino);
  }

  /** Path of a file below this very directory, whatever its name is by now. */
  fileAt(name: string): string {
    return `/proc/self/fd/${this.#directoryFd}/${name}`;
  }

  /** The file's text without its last newline; null when the group or the file is gone or unreadable. */
  read(name: string): string | null {
    if (this.#directoryFd < 0) return null;
    try {
      let fd = this.#files.get(name);
      if (fd === undefined) {
        fd = openSync(this.fileAt(name), constants.O_RDONLY | constants.O_NOFOLLOW);
        this.#files.set(name, fd);
      }
      return readText(fd);
    } catch {
      this.#forget(name);
      return null;
    }
  }

  /** Like {@link read}, without keeping a descriptor: for files that are read seldom. */
  readOnce(name: string): string | null {
    const text = this.read(name);
    this.#forget(name);
    return text;
  }

  /** Names of the groups below; empty when the group is gone. */
  children(): string[] {
    if (this.#directoryFd < 0) return [];
    try {
      return readdirSync(`/proc/self/fd/${this.#directoryFd}`, { withFileTypes: true })
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name);
    } catch {
      return [];
    }
  }

  /** False once the directory was removed: an open one that is gone lists nothing. What cannot be told counts as there. */
  exists(): boolean {
    if (this.#directoryFd < 0) return false;
    try {
      return readdirSync(`/proc/self/fd/${this.#directoryFd}`).length > 0;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return code !== 'ENOENT' && code !== 'ENODEV';
    }
  }

  close(): void {
    for (const name of [...this.#files.keys()]) this.#forget(name);
    if (this.#directoryFd >= 0) closeSync(this.#directoryFd);
    this.#directoryFd = -1;
  }

  #forget(name: string): void {
    const fd = this.#files.get(name);
    if (fd === undefined) return;
    this.#files.delete(name);
    closeSync(fd);
  }
}

/** All of a small kernel file from its start, without the last newline. */
export function readText(fd: number): string {
  let length = readSync(fd, buffer, 0, buffer.length, 0);
  if (length > 0 && buffer[length - 1] === 10) length--;
  return buffer.toString('latin1', 0, length);
}
