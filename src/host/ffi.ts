/**
 * The door to native code: takes the name of a shared library, gives its functions as typed JavaScript functions.
 * The only file that imports koffi. koffi itself and every library are loaded on first use, so that the daemon starts,
 * and says what it lacks, on a host without them.
 */
import { createRequire } from 'node:module';
import type koffiModule from 'koffi';
import { VirtsladError } from '../errors.js';

type Koffi = typeof koffiModule;

/** A C pointer; null is NULL. Passed back to C as it came, never computed with. */
export type Pointer = bigint | null;

/** A C type as koffi names it. `owned string` is a `char *` that the caller has to free; it is copied, then freed. */
export type NativeType = 'void' | 'int' | 'uint' | 'ulong' | 'longlong' | 'str' | 'void *' | 'owned string';

export interface NativeLibrary {
  /** Binds one function. A wrong signature is undefined behaviour: nothing here can check it. */
  bind(name: string, result: NativeType, parameters: readonly NativeType[]): (...args: never[]) => unknown;
  /** The address of a function, to be handed to C as a callback that never enters JavaScript. */
  address(name: string): Pointer;
}

/** What came of loading a library. A missing one is data: each caller decides what it can do without. */
export type LoadedLibrary =
  | { readonly ok: true; readonly library: NativeLibrary }
  | { readonly ok: false; readonly reason: string };

/** Loads a shared library by its soname. The dynamic linker counts references: loading twice is cheap. */
export function loadLibrary(soname: string): LoadedLibrary {
  const ffi = loadKoffi();
  if (typeof ffi === 'string') return { ok: false, reason: ffi };
  try {
    const handle = ffi.load(soname);
    return {
      ok: true,
      library: {
        bind: (name, result, parameters) =>
          handle.func(name, nativeType(ffi, result), [...parameters]) as (...args: never[]) => unknown,
        address: (name) => handle.symbol(name) as Pointer,
      },
    };
  } catch (error) {
    return { ok: false, reason: `${soname} cannot be loaded: ${firstLine(error)}` };
  }
}

/**
 * The same for callers that cannot go on without it.
 * @throws VirtsladError NATIVE_LIBRARY_MISSING
 */
export function requireLibrary(soname: string): NativeLibrary {
  const loaded = loadLibrary(soname);
  if (loaded.ok) return loaded.library;
  throw new VirtsladError({
    code: 'NATIVE_LIBRARY_MISSING',
    message: loaded.reason,
    fix: `install the package that provides ${soname} (and the npm package koffi with its prebuilt binary)`,
  });
}

/**
 * Makes a JavaScript function callable from C, with the parameters given and no result. It must only ever be called on
 * the thread that registered it: koffi hands calls from other threads to that thread's event loop and waits, which
 * aborts the process when there is no such loop any more.
 */
export function registerCallback(
  parameters: readonly NativeType[],
  callback: (...args: never[]) => void,
): { readonly pointer: Pointer; unregister(): void } {
  const ffi = koffi();
  const pointer = ffi.register(callback, ffi.pointer(ffi.proto('void', [...parameters])));
  return { pointer, unregister: () => ffi.unregister(pointer) };
}

/** Copies `length` bytes out of C memory. */
export function readBytes(pointer: Pointer, length: number): Uint8Array {
  const bytes = new Uint8Array(new ArrayBuffer(pointer === null ? 0 : length));
  if (bytes.length > 0) memory().memcpy(bytes, pointer, bytes.length);
  return bytes;
}

/** Copies an array of `length` pointers out of C memory. */
export function readPointers(pointer: Pointer, length: number): Pointer[] {
  const addresses = new BigUint64Array(new ArrayBuffer(pointer === null ? 0 : length * 8));
  if (addresses.length > 0) memory().memcpy(addresses, pointer, addresses.byteLength);
  return Array.from(addresses, (address) => (address === 0n ? null : address));
}

/** Copies a NUL-terminated UTF-8 string out of C memory. */
export function readString(pointer: Pointer): string {
  return pointer === null ? '' : Buffer.from(readBytes(pointer, memory().strlen(pointer))).toString('utf8');
}

/** free(3). */
export function freeMemory(pointer: Pointer): void {
  if (pointer !== null) koffi().free(pointer);
}

/** errno of the last bound call on this thread. */
export function lastErrno(): number {
  return koffi().errno();
}

interface Memory {
  memcpy(to: ArrayBufferView, from: Pointer, bytes: number): Pointer;
  strlen(string: Pointer): number;
}

let boundMemory: Memory | undefined;

/** C's own copying: koffi.decode (3.3.4) keeps some 50 bytes of every array that it decodes. */
function memory(): Memory {
  if (boundMemory === undefined) {
    const libc = requireLibrary('libc.so.6');
    boundMemory = {
      memcpy: libc.bind('memcpy', 'void *', ['void *', 'void *', 'ulong']) as Memory['memcpy'],
      strlen: libc.bind('strlen', 'ulong', ['void *']) as Memory['strlen'],
    };
  }
  return boundMemory;
}

let loaded: Koffi | undefined;

function koffi(): Koffi {
  const ffi = loadKoffi();
  if (typeof ffi !== 'string') return ffi;
  throw new VirtsladError({
    code: 'NATIVE_LIBRARY_MISSING',
    message: ffi,
    fix: 'run `npm ci` on this platform, so that koffi gets its prebuilt binary',
  });
}

/** koffi, or why there is none. */
function loadKoffi(): Koffi | string {
  if (loaded !== undefined) return loaded;
  try {
    loaded = createRequire(import.meta.url)('koffi') as Koffi;
    return loaded;
  } catch (error) {
    return `koffi cannot be loaded: ${firstLine(error)}`;
  }
}

function nativeType(ffi: Koffi, type: NativeType) {
  return type === 'owned string' ? ffi.disposable('str') : type;
}

function firstLine(error: unknown): string {
  return (error instanceof Error ? error.message : String(error)).split('\n', 1)[0] ?? '';
}
