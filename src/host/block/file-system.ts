/**
 * What a file system's type says, before anything on it is touched: whether a look at a file may wait for a server or
 * for another process, whether a block device of this host is behind it, and whether the kernel charges buffered writes
 * to the cgroup that made them. Pure. Types as in /proc/PID/mountinfo.
 */
import { isAnonymous } from './device-number.js';

/** Wait for a server that may be dead. */
const NETWORK = new Set([
  ...['9p', 'afs', 'beegfs', 'ceph', 'cifs', 'coda', 'davfs', 'glusterfs', 'gpfs', 'lustre', 'ncpfs', 'nfs', 'nfs4'],
  ...['orangefs', 'panfs', 'pvfs2', 'smb3', 'smbfs', 'vboxsf', 'virtiofs', 'wekafs'],
]);
/** On a block device of this host, but a look at a file may wait for the other hosts' locks. */
const CLUSTER = new Set(['gfs2', 'ocfs2']);
/** In memory: a look at a file never waits. */
const MEMORY = new Set(['devtmpfs', 'hugetlbfs', 'proc', 'ramfs', 'rootfs', 'sysfs', 'tmpfs']);
/** Local, with anonymous device numbers. */
const LAYERED = new Set(['bcachefs', 'overlay', 'zfs']);

/** cgroup-v2.rst, Writeback: "ext2, ext4, btrfs, f2fs, and xfs"; ext3 is mounted by ext4's code. */
const CHARGES_WRITEBACK = new Set(['btrfs', 'ext2', 'ext3', 'ext4', 'f2fs', 'xfs']);

export interface FileSystemFacts {
  /** A look at a file waits for nothing but this host's disks. */
  readonly local: boolean;
  /** Why no block device can be named; null when its own device or its devices can. */
  readonly noDevice: string | null;
}

/** `device`: the mount's, `0:n` when it has none. An unknown type without a device is taken for a network's. */
export function fileSystemFacts(type: string, device: string): FileSystemFacts {
  const without = (local: boolean, why: string): FileSystemFacts => ({ local, noDevice: `image on ${type}: ${why}` });
  if (NETWORK.has(type)) return without(false, 'no host block device');
  if (/^fuse(?:blk|ctl)?(?:\.|$)/.test(type)) return without(false, 'no host block device');
  if (type === 'autofs') return without(false, 'not mounted');
  if (CLUSTER.has(type)) return without(false, 'a cluster file system is not looked into');
  if (type === 'btrfs' || !isAnonymous(device)) return { local: true, noDevice: null };
  if (MEMORY.has(type)) return without(true, 'no host block device');
  if (LAYERED.has(type)) return without(true, 'its block devices cannot be told');
  return without(false, 'no host block device is known behind it');
}

/**
 * Whether buffered writes count against the guest that made them, under cgroup v2 with the memory and io controllers in
 * one tree; cgroup v1 never does so. `type` null: the image is a block device, which does.
 */
export function chargesWriteback(type: string | null): boolean {
  return type === null || CHARGES_WRITEBACK.has(type);
}
