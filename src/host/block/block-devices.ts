/**
 * All that the disk controls ask about the host's block devices, with one bounded look at files for all questions.
 * An image → its devices → the whole disks behind them → what each does with limits and weights. Never throws.
 */
import { BoundedFiles, type Files } from './bounded-files.js';
import { type DiskQueue, readDiskQueue, readIoCostDevices } from './disk-queue.js';
import { type ImageDevice, ImageDevices } from './image-device.js';
import { type OpenImages, openImages } from './open-images.js';
import { type WholeDisks, wholeDisks } from './whole-disk.js';

export interface BlockDevicesOptions {
  readonly procRoot?: string;
  readonly sysRoot?: string;
  /** The cgroup v2 root, for io.cost.qos; v1 has nothing like it. */
  readonly cgroupRoot?: string;
  readonly files?: Files;
}

export class BlockDevices {
  readonly #files: Files;
  readonly #images: ImageDevices;
  readonly #procRoot: string;
  readonly #sysRoot: string;
  readonly #cgroupRoot: string;

  constructor(options: BlockDevicesOptions = {}) {
    this.#files = options.files ?? new BoundedFiles();
    this.#procRoot = options.procRoot ?? '/proc';
    this.#sysRoot = options.sysRoot ?? '/sys';
    this.#cgroupRoot = options.cgroupRoot ?? '/sys/fs/cgroup';
    this.#images = new ImageDevices({ files: this.#files, procRoot: this.#procRoot, sysRoot: this.#sysRoot });
  }

  /** What an image stands on, by its path on the host; remembered until {@link forget}. */
  imageDevice(path: string): Promise<ImageDevice> {
    return this.#images.imageDevice(path);
  }

  forget(path?: string): void {
    this.#images.forget(path);
  }

  /** The images that a QEMU process has open, each with what it stands on. */
  openImages(pid: number): Promise<OpenImages> {
    return openImages(pid, { files: this.#files, devices: this.#images, procRoot: this.#procRoot });
  }

  /** The disks on which a limit for these devices must lie. */
  wholeDisks(devices: readonly string[]): Promise<WholeDisks> {
    return wholeDisks(devices, { sysRoot: this.#sysRoot, imageDevice: (path) => this.imageDevice(path) });
  }

  /** Scheduler, and who keeps weights, of a whole disk. */
  diskQueue(device: string): Promise<DiskQueue> {
    const ioCostDevices = readIoCostDevices(this.#cgroupRoot);
    return readDiskQueue(device, { files: this.#files, sysRoot: this.#sysRoot, ioCostDevices });
  }
}
