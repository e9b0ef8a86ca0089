/**
 * One cgroup directory, held open, so that whatever is read or written belongs to this very directory or to none. A
 * file that is read again and again stays open (a read is one pread); each kept descriptor costs 3.8 KB of kernel memory,
 * so the first look keeps none.
 */
import { constants } from 'node:fs';
import { type CgroupFiles, KERNEL_FILES } from './kernel-files.js';

export { readText } from './kernel-files.js';

/** In place of a descriptor: was read once. */
const SEEN = -1;

export class Group {
  readonly path: string;
  readonly inode: bigint;
  readonly #system: CgroupFiles;
  #directory: number;
  readonly #files = new Map<string, number>();

  private constructor(path: string, directory: number, system: CgroupFiles) {
    this.path = path;
    this.#directory = directory;
    this.#system = system;
    this.inode = system.inodeOf(directory);
  }

  /** Null when there is no such directory. @throws when that cannot be told (too many open files …) */
  static open(path: string, system: CgroupFiles = KERNEL_FILES): Group | null {
    return openedOrNull(() => new Group(path, system.openDirectory(path), system));
  }

  /** A group right below this one, found through this very directory; null when there is none. @throws as {@link open} */
  openChild(name: string): Group | null {
    if (this.#directory < 0) return null;
    const path = `${this.path}/${name}`;
    return openedOrNull(() => new Group(path, this.#system.openDirectory(name, this.#directory), this.#system));
  }

  /** The file's text without its last newline; null when the group or the file is gone or unreadable. */
  read(name: string): string | null {
    const kept = this.#files.get(name);
    if (kept === undefined) {
      const text = this.readOnce(name);
      if (text !== null) this.#files.set(name, SEEN);
      return text;
    }
    try {
      if (kept !== SEEN) return this.#system.read(kept);
      const fd = this.openFile(name, constants.O_RDONLY | constants.O_NOFOLLOW);
      this.#files.set(name, fd);
      return this.#system.read(fd);
    } catch {
      this.#forget(name);
      return null;
    }
  }

  /** Like {@link read}, however long the text is, without keeping a descriptor: for files that are read seldom. */
  readOnce(name: string): string | null {
    try {
      const fd = this.openFile(name, constants.O_RDONLY | constants.O_NOFOLLOW);
      try {
        return this.#system.readAll(fd);
      } finally {
        this.#system.close(fd);
      }
    } catch {
      return null;
    }
  }

  /** A descriptor that the caller closes with {@link closeFile}. @throws an error with an errno in `code` */
  openFile(name: string, flags: number): number {
    if (this.#directory < 0) throw Object.assign(new Error(`${this.path} was closed`), { code: 'ENOENT' });
    return this.#system.openFile(this.#directory, name, flags);
  }

  /** One write(2). `write.ts` alone calls it. @throws as {@link openFile} */
  writeTo(fd: number, text: string): void {
    this.#system.write(fd, text);
  }

  /** The same, by a thread of its own. `write.ts` alone calls it. Rejects as {@link openFile} throws. */
  async writeLaterTo(fd: number, text: string): Promise<void> {
    if (this.#system.writeLater === undefined) this.#system.write(fd, text);
    else await this.#system.writeLater(fd, text);
  }

  closeFile(fd: number): void {
    this.#system.close(fd);
  }

  /** False only when the group is there and has no such file. */
  offers(name: string): boolean {
    if (this.#directory < 0 || this.#system.has(this.#directory, name)) return true;
    try {
      const names = this.#system.list(this.#directory);
      return names.length === 0 || names.some((entry) => entry.name === name);
    } catch {
      return true;
    }
  }

  /** Names of the groups below; empty when the group is gone. */
  children(): string[] {
    if (this.#directory < 0) return [];
    try {
      return this.#system
        .list(this.#directory)
        .filter((entry) => entry.isDirectory())
        .map((entry) => entry.name);
    } catch {
      return [];
    }
  }

  /** False once the directory was removed: an open one that is gone lists nothing. What cannot be told counts as there. */
  exists(): boolean {
    if (this.#directory < 0) return false;
    try {
      return this.#system.list(this.#directory).length > 0;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      return code !== 'ENOENT' && code !== 'ENODEV';
    }
  }

  close(): void {
    for (const name of [...this.#files.keys()]) this.#forget(name);
    if (this.#directory >= 0) this.#system.close(this.#directory);
    this.#directory = -1;
  }

  #forget(name: string): void {
    const fd = this.#files.get(name);
    this.#files.delete(name);
    if (fd !== undefined && fd !== SEEN) this.#system.close(fd);
  }
}

function openedOrNull(open: () => Group): Group | null {
  try {
    return open();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENODEV' || code === 'ENOTDIR' || code === 'ELOOP') return null;
    throw error;
  }
}
