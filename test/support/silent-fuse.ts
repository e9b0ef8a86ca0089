/**
 * File systems that never answer: FUSE mounts whose server, this process, reads no request. Any look at a file on one
 * hangs until it is dropped. In a mount namespace of the calling thread's own, which ends with it; threads started later
 * are in it too. Source: fuse(4), mount(2), unshare(2).
 */
import { closeSync, mkdirSync, openSync } from 'node:fs';
import { lastErrno, requireLibrary } from '../../src/host/ffi.js';

const CLONE_NEWNS = 0x20000;
const MS_NOSUID_NODEV = 6;
const MS_REC_PRIVATE = 0x4000 | 0x40000;
const MNT_DETACH = 2;

interface Calls {
  unshare(flags: number): number;
  mount(source: string, target: string, type: string, flags: number, data: string | null): number;
  umount2(target: string, flags: number): number;
}

let calls: Calls | undefined;

export interface SilentMount {
  readonly directory: string;
  /** Every call that hangs on it comes back with an error. */
  abort(): void;
  /** Aborts, and takes the mount away. */
  drop(): void;
}

/** Why there can be no such mount here; null when there can, and this thread has a mount namespace of its own now. */
export function enterPrivateMounts(): string | null {
  if (process.getuid?.() !== 0) return 'mounts need root';
  const libc = requireLibrary('libc.so.6');
  calls = {
    unshare: libc.bind('unshare', 'int', ['int']) as Calls['unshare'],
    mount: libc.bind('mount', 'int', ['str', 'str', 'str', 'ulong', 'str']) as Calls['mount'],
    umount2: libc.bind('umount2', 'int', ['str', 'int']) as Calls['umount2'],
  };
  try {
    closeSync(openSync('/dev/fuse', 'r+'));
  } catch (error) {
    return `/dev/fuse cannot be opened: ${(error as NodeJS.ErrnoException).code}`;
  }
  if (calls.unshare(CLONE_NEWNS) !== 0) return `no mount namespace of its own can be had: errno ${lastErrno()}`;
  const failed = calls.mount('none', '/', 'none', MS_REC_PRIVATE, null) !== 0;
  return failed ? `the mounts cannot be made private: errno ${lastErrno()}` : null;
}

/** After enterPrivateMounts has given null. Makes the directory. */
export function mountSilently(directory: string): SilentMount {
  const { mount, umount2 } = calls ?? raise('enterPrivateMounts comes first');
  mkdirSync(directory, { recursive: true });
  let fd: number | null = openSync('/dev/fuse', 'r+');
  const data = `fd=${fd},rootmode=40000,user_id=0,group_id=0`;
  if (mount('virtslad-test', directory, 'fuse', MS_NOSUID_NODEV, data) !== 0) {
    closeSync(fd);
    raise(`mount of FUSE failed with errno ${lastErrno()}`);
  }
  // The last descriptor of a connection aborts it as it closes.
  const abort = (): void => {
    if (fd !== null) closeSync(fd);
    fd = null;
  };
  return {
    directory,
    abort,
    drop: () => {
      abort();
      umount2(directory, MNT_DETACH);
    },
  };
}

function raise(reason: string): never {
  throw new Error(reason);
}
