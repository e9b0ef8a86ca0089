/**
 * The cgroup file system of a kernel in memory, for tests without root and for v2 where the host has v1: the parsing,
 * ranges, rounding, formats and errno of every file that virtslad reads or writes, checked against real kernels by
 * `test/native/cgroup.test.ts`. Stands in for `KERNEL_FILES`. What the kernel would refuse can be added as faults.
 */
import { constants } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import type { CgroupFiles } from '../../src/host/cgroup/kernel-files.js';
import { filesOf } from './cgroup-emulator-files.js';
import { type EmulatedFile, EmulatedGroup, isThreadable, type Machine, type Mount } from './cgroup-emulator-group.js';
import { kernelError } from './cgroup-emulator-text.js';

export interface Fault {
  /** The file's name, or what its full path matches. */
  readonly file: string | RegExp;
  /** `open`: of a directory. */
  readonly operation: 'read' | 'write' | 'open';
  readonly errno: string;
}

export interface EmulatedWrite {
  readonly path: string;
  readonly text: string;
  /** Null: taken. */
  readonly errno: string | null;
}

/** These are said when a file is opened, all others when it is read or written. */
const AT_OPEN = ['EACCES', 'EPERM', 'EROFS', 'EMFILE', 'ENOENT'];
const WRITING = constants.O_WRONLY | constants.O_RDWR;

type Open =
  | { readonly kind: 'directory'; readonly path: string; readonly group: EmulatedGroup | null }
  | {
      readonly kind: 'file';
      readonly path: string;
      readonly group: EmulatedGroup;
      readonly file: EmulatedFile;
      readonly flags: number;
    };

export class CgroupEmulator implements CgroupFiles {
  /** Every write through the port, in order. */
  readonly writes: EmulatedWrite[] = [];
  readonly #machine: Machine;
  readonly #groups = new Map<string, EmulatedGroup>();
  readonly #open = new Map<number, Open>();
  readonly #faults = new Set<Fault>();
  /** Far from what the system gives, so that one is never taken for the other. */
  #nextDescriptor = 1_000_000;
  #nextInode = 1n;

  constructor(mounts: readonly Mount[], machine: Partial<Machine> = {}) {
    this.#machine = {
      cpus: 8,
      pageBytes: 4096,
      disks: ['8:0'],
      swapAccounting: true,
      bfq: false,
      peak: true,
      nonBlocking: true,
      ...machine,
    };
    for (const mount of mounts) this.#add(mount.root, null, mount);
  }

  // ── what a test does to the host ──

  /** The group at a path, made with all above it; on v2 those pass on every controller that they have. */
  make(path: string, { threaded = false } = {}): EmulatedGroup {
    const known = this.#groups.get(path);
    if (known !== undefined) return known;
    if (dirname(path) === path) throw kernelError('ENOENT', 'mkdir');
    const parent = this.make(dirname(path));
    for (const controller of parent.controllers) {
      if (!threaded || isThreadable(controller)) parent.passedOn.add(controller);
    }
    const group = this.mkdir(path);
    group.threaded = threaded;
    return group;
  }

  mkdir(path: string): EmulatedGroup {
    const parent = this.#groups.get(dirname(path));
    if (this.#groups.has(path)) throw kernelError('EEXIST', 'mkdir');
    if (parent === undefined) throw kernelError('ENOENT', 'mkdir');
    const group = this.#add(path, parent, parent.mount);
    parent.children.set(basename(path), group);
    return group;
  }

  rmdir(path: string): void {
    const group = this.group(path);
    if (group.children.size > 0 || group.populated) throw kernelError('EBUSY', 'rmdir');
    group.removed = true;
    group.parent?.children.delete(basename(path));
    this.#groups.delete(path);
  }

  /** As libvirt does when a guest ends. */
  removeTree(path: string): void {
    const group = this.group(path);
    for (const name of [...group.children.keys()]) this.removeTree(join(path, name));
    group.processes.clear();
    group.threads.clear();
    this.rmdir(path);
  }

  /** @throws when there is none */
  group(path: string): EmulatedGroup {
    const group = this.#groups.get(path);
    if (group === undefined) throw kernelError('ENOENT', path);
    return group;
  }

  /** A thread of a process, by default its main one, comes to live in the group. */
  enter(path: string, pid: number, tid = pid): void {
    const group = this.group(path);
    group.threads.add(tid);
    let domain = group;
    while (domain.threaded && domain.parent !== null) domain = domain.parent;
    domain.processes.add(pid);
  }

  /** What `cat` shows, without the last newline. */
  peek(path: string): string {
    return chomp(this.#file(this.group(dirname(path)), basename(path)).read?.(this.group(dirname(path))) ?? '');
  }

  /** Somebody else writes: no fault is met and no write is noted. @throws as the kernel refuses */
  poke(path: string, text: string): void {
    const group = this.group(dirname(path));
    this.#writeFile(group, this.#file(group, basename(path)), text, false);
  }

  /** From now on the kernel answers so. @returns what ends it */
  fault(fault: Fault): () => void {
    this.#faults.add(fault);
    return () => void this.#faults.delete(fault);
  }

  get openDescriptors(): number {
    return this.#open.size;
  }

  // ── what stands in for the kernel ──

  openDirectory(path: string, below?: number): number {
    const full = below === undefined ? path : join(this.#directory(below).path, path);
    this.#meet('open', full, true);
    if (below !== undefined && this.#directory(below).group?.removed === true) throw kernelError('ENOENT', 'open');
    const group = this.#groups.get(full) ?? null;
    if (group === null && this.#mountsBelow(full).length === 0) throw kernelError('ENOENT', 'open');
    return this.#give({ kind: 'directory', path: full, group });
  }

  inodeOf(directory: number): bigint {
    return this.#directory(directory).group?.inode ?? 0n;
  }

  openFile(directory: number, name: string, flags: number): number {
    if ((flags & (constants.O_CREAT | constants.O_TRUNC)) !== 0) throw new Error(`${name} opened to be made anew`);
    const { path, group: start } = this.#directory(directory);
    const full = join(path, name);
    this.#meet((flags & WRITING) === 0 ? 'read' : 'write', full, true);
    let group = start;
    for (const level of name.split('/').slice(0, -1)) group = group?.children.get(level) ?? null;
    if (group === null || group.removed) throw kernelError('ENOENT', 'open');
    return this.#give({ kind: 'file', path: full, group, file: this.#file(group, basename(name)), flags });
  }

  read(fd: number): string {
    const { path, group, file } = this.#opened(fd);
    this.#meet('read', path, false);
    if (group.removed) throw kernelError('ENODEV', 'read');
    if (file.read === undefined) throw kernelError('EINVAL', 'read');
    return chomp(file.read(group));
  }

  readAll(fd: number): string {
    return this.read(fd);
  }

  write(fd: number, text: string): void {
    const { path, group, file, flags } = this.#opened(fd);
    try {
      if ((flags & WRITING) === 0) throw kernelError('EBADF');
      this.#meet('write', path, false);
      if (group.removed) throw kernelError('ENODEV');
      this.#writeFile(group, file, text, (flags & constants.O_NONBLOCK) !== 0);
      this.writes.push({ path, text, errno: null });
    } catch (error) {
      this.writes.push({ path, text, errno: (error as NodeJS.ErrnoException).code ?? null });
      throw error;
    }
  }

  has(directory: number, name: string): boolean {
    const { group } = this.#directory(directory);
    return group !== null && !group.removed && filesOf(group).has(name);
  }

  list(directory: number): readonly { readonly name: string; isDirectory(): boolean }[] {
    const { path, group } = this.#directory(directory);
    this.#meet('read', path, false);
    if (group?.removed === true) return [];
    const directories = group === null ? this.#mountsBelow(path) : [...group.children.keys()];
    const files = group === null ? [] : [...filesOf(group).keys()];
    return [
      ...files.map((name) => ({ name, isDirectory: () => false })),
      ...directories.map((name) => ({ name, isDirectory: () => true })),
    ];
  }

  close(fd: number): void {
    if (!this.#open.delete(fd)) throw kernelError('EBADF', 'close');
  }

  #add(path: string, parent: EmulatedGroup | null, mount: Mount): EmulatedGroup {
    const group = new EmulatedGroup(path, parent, mount, this.#machine, this.#nextInode++);
    this.#groups.set(path, group);
    return group;
  }

  #writeFile(group: EmulatedGroup, file: EmulatedFile, text: string, nonBlocking: boolean): void {
    if (text === '') return;
    if (file.write === undefined) throw kernelError('EINVAL');
    file.write(group, text, nonBlocking);
  }

  #file(group: EmulatedGroup, name: string): EmulatedFile {
    const file = filesOf(group).get(name);
    if (file === undefined) throw kernelError('ENOENT', 'open');
    return file;
  }

  #meet(operation: Fault['operation'], path: string, opening: boolean): void {
    for (const fault of this.#faults) {
      const hit = typeof fault.file === 'string' ? basename(path) === fault.file : fault.file.test(path);
      if (!hit || fault.operation !== operation) continue;
      // A file that was open before is met when it is read.
      if (operation === 'write' && opening !== AT_OPEN.includes(fault.errno)) continue;
      throw kernelError(fault.errno, operation);
    }
  }

  #mountsBelow(path: string): string[] {
    return [...this.#groups.values()]
      .filter(({ parent, mount }) => parent === null && dirname(mount.root) === path)
      .map(({ mount }) => basename(mount.root));
  }

  #give(open: Open): number {
    const descriptor = this.#nextDescriptor++;
    this.#open.set(descriptor, open);
    return descriptor;
  }

  #directory(fd: number): Open & { kind: 'directory' } {
    const open = this.#open.get(fd);
    if (open?.kind !== 'directory') throw kernelError('EBADF', 'openat');
    return open;
  }

  #opened(fd: number): Open & { kind: 'file' } {
    const open = this.#open.get(fd);
    if (open?.kind !== 'file') throw kernelError('EBADF', 'read');
    return open;
  }
}

function chomp(text: string): string {
  return text.endsWith('\n') ? text.slice(0, -1) : text;
}
