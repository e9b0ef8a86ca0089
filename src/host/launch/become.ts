/**
 * Becomes another program in place: the pid stays, so signals and the exit code are QEMU's own. What Node changed in this
 * process is put back first. Everything here is synchronous and on the main thread, because a label for the next program
 * belongs to one thread. Source: execve(2), proc(5) (attr/exec), close_range(2), signal(7).
 */
import { closeSync, constants, openSync, readdirSync, writeSync } from 'node:fs';
import { getSystemErrorName } from 'node:util';
import { lastErrno, type NativeLibrary, requireLibrary } from '../ffi.js';
import { openFilesGiven } from './own-process.js';
import { STDIO_AT_START } from './stdio-flags.js';

export interface Program {
  /** Absolute. */
  readonly path: string;
  /** With the program's own name first. */
  readonly words: readonly Buffer[];
  readonly environment: readonly Buffer[];
  /** Descriptors beside 0, 1 and 2 that it gets. */
  readonly descriptors: readonly number[];
  /** SELinux label that it shall wear; null: what the policy gives. */
  readonly label: string | null;
}

/** Nothing is open, limited or ignored that was not before; the label alone does not go with a failure. */
export type NotBecome =
  | { readonly step: 'label'; readonly errno: string }
  | { readonly step: 'exec'; readonly errno: string };

/** fcntl.h, signal.h, linux/close_range.h, asm-generic/resource.h: the same on every architecture that runs KVM. */
const F_SETFD = 2;
const F_SETFL = 4;
const CLOSE_RANGE_CLOEXEC = 4;
const RLIMIT_NOFILE = 7;
const SIG_SETMASK = 2;
/** Node ignores these; the next program would too. SIGXFSZ and SIGPIPE. */
const IGNORED_BY_NODE = [13, 25];
/** SIGHUP, SIGINT, SIGTERM: heard by Node until now. */
const HEARD_BY_NODE = [1, 2, 15];
/** `sigset_t` of glibc and musl. */
const SIGNAL_SET_BYTES = 128;

/**
 * From here a signal ends the process at once: Node would hear of it when it is too late. What was heard before comes
 * through the event loop, so look there once more.
 */
export function endOnSignals(): void {
  const libc = requireLibrary('libc.so.6');
  for (const signal of HEARD_BY_NODE) defaultAction(libc, signal);
}

/** Comes back only when it fails. @throws VirtsladError NATIVE_LIBRARY_MISSING */
export function become(program: Program): NotBecome {
  const libc = requireLibrary('libc.so.6');
  const execve = bind(libc, 'execve', ['void *', 'void *', 'void *']);
  const words = stringArray(libc, program.words);
  const environment = stringArray(libc, program.environment);
  const path = cString(Buffer.from(program.path));
  if (program.label !== null) {
    const errno = setNextLabel(program.label);
    if (errno !== null) return { step: 'label', errno };
  }
  for (const signal of IGNORED_BY_NODE) defaultAction(libc, signal);
  bind(libc, 'sigprocmask', ['int', 'void *', 'void *'])(SIG_SETMASK, new Uint8Array(SIGNAL_SET_BYTES), null);
  handOnDescriptors(libc, program.descriptors);
  const files = openFilesGiven();
  if (files !== null) {
    bind(libc, 'setrlimit', ['int', 'void *'])(RLIMIT_NOFILE, new BigUint64Array([files.soft, files.hard]));
  }
  execve(path, words, environment);
  return { step: 'exec', errno: errnoName(lastErrno()) };
}

/** Node has no name for this one. */
const ENOEXEC = 8;

function errnoName(errno: number): string {
  return errno === ENOEXEC ? 'ENOEXEC' : getSystemErrorName(-errno);
}

/** Checked by the kernel when it is written: a label that the policy does not know is refused here. */
function setNextLabel(label: string): string | null {
  let fd: number | null = null;
  try {
    fd = openSync('/proc/thread-self/attr/exec', constants.O_WRONLY);
    writeSync(fd, label);
    return null;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'EIO';
  } finally {
    if (fd !== null) closeSync(fd);
  }
}

/** Node marks what it was given, stdin, stdout and stderr too, to be closed when another program is run. */
function handOnDescriptors(libc: NativeLibrary, kept: readonly number[]): void {
  // Variadic in C; with whole numbers that makes no difference to the call on x86-64, arm64, ppc64, s390x and riscv64.
  const fcntl = bind(libc, 'fcntl', ['int', 'int', 'int']);
  if (!closeOnExecFrom3(libc)) {
    for (const name of readdirSync('/proc/self/fd')) if (Number(name) > 2) fcntl(Number(name), F_SETFD, 1);
  }
  for (const fd of kept) if (fd > 2) fcntl(fd, F_SETFD, 0);
  for (const { fd, flags } of STDIO_AT_START) {
    fcntl(fd, F_SETFD, 0);
    fcntl(fd, F_SETFL, flags);
  }
}

/** Linux 5.11, glibc 2.34. */
function closeOnExecFrom3(libc: NativeLibrary): boolean {
  try {
    return bind(libc, 'close_range', ['uint', 'uint', 'int'])(3, 2 ** 32 - 1, CLOSE_RANGE_CLOEXEC) === 0;
  } catch {
    return false;
  }
}

function defaultAction(libc: NativeLibrary, signal: number): void {
  (libc.bind('signal', 'void *', ['int', 'void *']) as (signal: number, action: null) => unknown)(signal, null);
}

type Argument = number | Uint8Array | BigUint64Array | null;

function bind(libc: NativeLibrary, name: string, parameters: readonly ('int' | 'uint' | 'void *')[]) {
  return libc.bind(name, 'int', parameters) as (...args: Argument[]) => number;
}

/** `char *const []`: copies in C memory, which the next program's birth frees. */
function stringArray(libc: NativeLibrary, strings: readonly Buffer[]): BigUint64Array {
  const strdup = libc.bind('strdup', 'void *', ['void *']) as (text: Uint8Array) => bigint;
  return new BigUint64Array([...strings.map((text) => strdup(cString(text))), 0n]);
}

function cString(text: Buffer): Uint8Array {
  return Buffer.concat([text, Buffer.from([0])]);
}
