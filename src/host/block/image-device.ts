/**
 * From a disk image, a file or a block device node, to the block devices that it stands on. The mount table decides
 * first: nothing on a network's or a user-space file system is ever touched, so a dead server cannot hang the daemon.
 * For a running guest `open-images.ts` is the surer way: it follows no path, and sees backing images too.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type FileFacts, type Files, NOT_NOW } from './bounded-files.js';
import { btrfsDevices } from './btrfs.js';
import { fileSystemFacts } from './file-system.js';
import { followLocalPath } from './local-path.js';
import { type Mount, MountTable } from './mount-table.js';

export type ImageDevice =
  | {
      readonly ok: true;
      readonly kind: 'file' | 'block';
      /** Without symbolic links. */
      readonly path: string;
      /** Where a file lies; null for a block device. */
      readonly fileSystem: string | null;
      /** `254:1`, perhaps a partition or a dm device; several only for a btrfs on several. Sorted, never empty. */
      readonly devices: readonly string[];
    }
  /** `passing`: ask again later. Otherwise it stays so until the image is moved or mounted elsewhere. */
  | { readonly ok: false; readonly reason: string; readonly passing: boolean };

export interface ImageDevicesOptions {
  readonly files: Files;
  readonly procRoot?: string;
  readonly sysRoot?: string;
}

/** Thousands of mounts take milliseconds to list; a mount younger than this may be missed, and only once. */
const MOUNTS_FRESH_MS = 1000;
const REMEMBERED_MAX = 4096;

export class ImageDevices {
  readonly #files: Files;
  readonly #procRoot: string;
  readonly #sysRoot: string;
  readonly #known = new Map<string, Promise<ImageDevice>>();
  #mounts: { readonly table: MountTable; readonly readAtMs: number } | null = null;

  constructor({ files, procRoot = '/proc', sysRoot = '/sys' }: ImageDevicesOptions) {
    this.#files = files;
    this.#procRoot = procRoot;
    this.#sysRoot = sysRoot;
  }

  /** Remembered by path until {@link forget}, except answers that may pass. Never throws. */
  imageDevice(path: string): Promise<ImageDevice> {
    const known = this.#known.get(path);
    if (known !== undefined) return known;
    const answer = this.#follow(path);
    if (this.#known.size >= REMEMBERED_MAX) this.#known.clear();
    this.#known.set(path, answer);
    void answer.then((device) => {
      if (!device.ok && device.passing && this.#known.get(path) === answer) this.#known.delete(path);
    });
    return answer;
  }

  /** One path, or all: after an image was moved, a guest stopped, something was mounted. */
  forget(path?: string): void {
    if (path === undefined) this.#known.clear();
    else this.#known.delete(path);
    this.#mounts = null;
  }

  /** What a file stands on that was looked at already. `path` is for the answer only. */
  async standsOn(path: string, mount: Mount, facts: FileFacts): Promise<ImageDevice> {
    if (facts.kind === 'block') {
      return { ok: true, kind: 'block', path, fileSystem: null, devices: [facts.nodeDevice] };
    }
    if (facts.kind !== 'file') return never(`not a file or block device: ${path}`);
    const { noDevice } = fileSystemFacts(mount.type, mount.device);
    if (noDevice !== null) return never(noDevice);
    if (mount.type === 'btrfs') return this.#onBtrfs(path, mount);
    // Something was mounted between the look at the table and the look at the file.
    if (facts.device !== mount.device) return NOT_NOW;
    return { ok: true, kind: 'file', path, fileSystem: mount.type, devices: [mount.device] };
  }

  /** The daemon's own mounts. */
  mounts(): MountTable {
    const now = performance.now();
    if (this.#mounts === null || now - this.#mounts.readAtMs > MOUNTS_FRESH_MS) {
      const table = new MountTable(readFileSync(join(this.#procRoot, 'self', 'mountinfo'), 'utf8'));
      this.#mounts = { table, readAtMs: now };
    }
    return this.#mounts.table;
  }

  async #follow(path: string): Promise<ImageDevice> {
    try {
      const found = await followLocalPath(path, this.mounts(), this.#files);
      return found.ok ? await this.standsOn(found.value.path, found.value.mount, found.value.facts) : found;
    } catch (error) {
      const reason = `the mounts of the host cannot be read: ${(error as NodeJS.ErrnoException).code}`;
      return { ok: false, reason, passing: true };
    }
  }

  async #onBtrfs(path: string, mount: Mount): Promise<ImageDevice> {
    const source = await followLocalPath(mount.source, this.mounts(), this.#files);
    if (source === NOT_NOW) return NOT_NOW;
    const member = source.ok && source.value.facts.kind === 'block' ? source.value.facts.nodeDevice : null;
    const devices = member === null ? null : btrfsDevices(member, this.#sysRoot);
    if (devices === null) return never(`image on btrfs: the devices of ${mount.source} cannot be told`);
    return { ok: true, kind: 'file', path, fileSystem: mount.type, devices };
  }
}

function never(reason: string): ImageDevice {
  return { ok: false, reason, passing: false };
}
