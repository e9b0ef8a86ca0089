/**
 * The disk images that a QEMU process has open, from /proc/PID/fd and fdinfo: for guests without libvirt the only list
 * there is, for all others the one that holds backing images and follows snapshots and copies. Descriptors, mounts and
 * flags are told by the kernel without a look at the file; an open file is then looked at only on a local file system,
 * where its inode is in memory already. No path is followed, so neither links nor QEMU's own /dev can mislead.
 * Source: proc_pid_fd(5), proc_pid_fdinfo(5), open(2).
 */
import { constants, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join } from 'node:path';
import { type Files, NOT_NOW } from './bounded-files.js';
import { fileSystemFacts } from './file-system.js';
import type { ImageDevice, ImageDevices } from './image-device.js';
import { type Mount, MountTable } from './mount-table.js';

export interface OpenImage {
  /** As QEMU's mount namespace has it; where it lay if `deleted`. */
  readonly path: string;
  readonly deleted: boolean;
  /** `unknown`: on a file system that is not touched; most likely a file. */
  readonly kind: 'file' | 'block' | 'unknown';
  readonly mountId: number;
  readonly readOnly: boolean;
  /** O_DIRECT on every descriptor of it: cache mode none or directsync. */
  readonly direct: boolean;
  readonly device: ImageDevice;
}

export type OpenImages =
  | { readonly ok: true; readonly images: readonly OpenImage[] }
  /** `passing`: ask again later; otherwise the process is gone. */
  | { readonly ok: false; readonly reason: string; readonly passing: boolean };

export interface OpenImagesOptions {
  readonly files: Files;
  readonly devices: ImageDevices;
  readonly procRoot?: string;
}

/** Smaller files are no disks: pid files, mostly, which libvirt leaves open in QEMU. */
const IMAGE_BYTES_MIN = 512;
const DELETED = ' (deleted)';
/** fcntl.h of every architecture that runs KVM. */
const O_ACCMODE = 3;
const O_PATH = 0o10000000;

/** One file, through one of the descriptors that lead to it. */
interface OpenFile {
  readonly fd: string;
  readonly path: string;
  readonly deleted: boolean;
  readonly mountId: number;
  readonly readOnly: boolean;
  readonly direct: boolean;
}

/** Sorted by path. The caller makes sure that the pid is still the same process. Never throws. */
export async function openImages(pid: number, options: OpenImagesOptions): Promise<OpenImages> {
  const { devices, procRoot = '/proc' } = options;
  const directory = join(procRoot, String(pid));
  const images: OpenImage[] = [];
  try {
    const open = openFiles(directory);
    if (open.length === 0) return { ok: true, images };
    const mounts = new MountTable(readFileSync(join(directory, 'mountinfo'), 'utf8'));
    for (const file of open) {
      // A descriptor that was handed over may be of a mount that only the daemon's namespace has.
      const mount = mounts.byId(file.mountId) ?? devices.mounts().byId(file.mountId);
      const image = await describe(file, join(directory, 'fd', file.fd), mount, options);
      if (image === 'cannot be told') return { ok: false, reason: NOT_NOW.reason, passing: true };
      if (image !== 'no image') images.push(image);
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ESRCH') return { ok: false, reason: 'the process is gone', passing: false };
    return { ok: false, reason: `its descriptors cannot be read: ${code}`, passing: true };
  }
  return { ok: true, images: images.sort((a, b) => (a.path < b.path ? -1 : 1)) };
}

/** What is open for reading, or for reading and writing, and has a path; logs and serial ports are open for writing only. */
function openFiles(directory: string): readonly OpenFile[] {
  const open = new Map<string, OpenFile>();
  for (const fd of readdirSync(join(directory, 'fd'))) {
    const target = orClosed(() => readlinkSync(join(directory, 'fd', fd)));
    if (target === null || !target.startsWith('/') || target.startsWith('/memfd:')) continue;
    const info = orClosed(() => readFileSync(join(directory, 'fdinfo', fd), 'latin1'));
    const flags = Number.parseInt(/^flags:\s*([0-7]+)$/m.exec(info ?? '')?.[1] ?? '', 8);
    const mountId = Number(/^mnt_id:\s*(\d+)$/m.exec(info ?? '')?.[1]);
    if (!Number.isSafeInteger(flags) || !Number.isSafeInteger(mountId)) continue;
    if ((flags & O_ACCMODE) === constants.O_WRONLY) continue;
    if ((flags & (constants.O_APPEND | constants.O_DIRECTORY | O_PATH)) !== 0) continue;
    const deleted = target.endsWith(DELETED);
    const path = deleted ? target.slice(0, -DELETED.length) : target;
    // From kernel 5.14: tells two deleted files of one name apart.
    const inode = /^ino:\s*(\d+)$/m.exec(info ?? '')?.[1] ?? '';
    const key = `${mountId} ${inode} ${target}`;
    const other = open.get(key);
    const readOnly = (flags & O_ACCMODE) === constants.O_RDONLY && (other?.readOnly ?? true);
    const direct = (flags & constants.O_DIRECT) !== 0 && (other?.direct ?? true);
    open.set(key, { fd: other?.fd ?? fd, path, deleted, mountId, readOnly, direct });
  }
  return [...open.values()];
}

async function describe(
  { path, deleted, mountId, readOnly, direct }: OpenFile,
  fdPath: string,
  mount: Mount | null,
  { files, devices }: OpenImagesOptions,
): Promise<OpenImage | 'no image' | 'cannot be told'> {
  const untouched = (reason: string): OpenImage => {
    return { path, deleted, kind: 'unknown', mountId, readOnly, direct, device: { ok: false, reason, passing: false } };
  };
  // The kernel's own mounts, for memory without a name, are in no table; those taken away with `umount --lazy` neither.
  if (mount === null) return deleted ? 'no image' : untouched('its file system is no longer mounted');
  // Guest memory: hugetlbfs cannot be written to, and QEMU unlinks its memory files.
  if (mount.type === 'hugetlbfs' || (deleted && mount.type === 'tmpfs')) return 'no image';
  const { local, noDevice } = fileSystemFacts(mount.type, mount.device);
  if (!local) return untouched(noDevice ?? `image on ${mount.type}`);
  const look = await files.stat(fdPath);
  if (look === NOT_NOW) return 'cannot be told';
  // Closed meanwhile.
  if (!look.ok) return 'no image';
  const { kind, sizeBytes } = look.value;
  if (kind !== 'block' && (kind !== 'file' || sizeBytes < IMAGE_BYTES_MIN)) return 'no image';
  const device = await devices.standsOn(path, mount, look.value);
  if (!device.ok && device.passing) return 'cannot be told';
  return { path, deleted, kind, mountId, readOnly, direct, device };
}

/** Null for a descriptor that was closed since it was listed. */
function orClosed<T>(read: () => T): T | null {
  try {
    return read();
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT') return null;
    throw error;
  }
}
