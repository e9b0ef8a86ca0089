/**
 * Room for the image of a saved guest: takes the directory that libvirt saves to, gives the bytes that are free there, and how
 * many a guest needs at most.
 */
import { statfs } from 'node:fs/promises';
import type { Hardware } from '../../domains/types.js';

/** Of the system's libvirtd. No setting of libvirt moves it. */
export const SAVE_DIRECTORY = '/var/lib/libvirt/qemu/save';

export type FreeSpace =
  | { readonly ok: true; readonly freeBytes: number }
  | { readonly ok: false; readonly reason: string };

const MEBIBYTE = 1024 ** 2;
/** The state of the devices, and libvirt's head of the file. */
const DEVICE_BYTES = 64 * MEBIBYTE;
/** Memory of a video device, which is saved too: 16 MiB by default, more for several heads. */
const VIDEO_BYTES = 64 * MEBIBYTE;

/** What root keeps for itself is not counted. A file system that does not answer in time is one that cannot be saved to. */
export async function readSaveSpace(directory = SAVE_DIRECTORY, deadlineMs = 2000): Promise<FreeSpace> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<FreeSpace>((resolve) => {
    timer = setTimeout(() => resolve({ ok: false, reason: `${directory} does not answer` }), deadlineMs);
  });
  const read = statfs(directory).then(
    ({ bavail, bsize }): FreeSpace => ({ ok: true, freeBytes: bavail * bsize }),
    (error: Error): FreeSpace => ({ ok: false, reason: error.message }),
  );
  return Promise.race([read, late]).finally(() => clearTimeout(timer));
}

/** As large as its memory when no page of it is zeros; libvirt does not compress unless qemu.conf says so. */
export function savedBytesAtMost({ memoryBytes, videos }: Pick<Hardware, 'memoryBytes' | 'videos'>): number {
  return memoryBytes + DEVICE_BYTES + videos * VIDEO_BYTES;
}
