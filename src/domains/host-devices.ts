/**
 * What each guest's disks stand on, found when a guest is described anew and kept with it. Looking takes some hundred
 * microseconds a disk and may be kept waiting by a file system, so it goes on beside the cycle.
 */
import type { BlockDevices } from '../host/block/block-devices.js';
import type { DiskQueue } from '../host/block/disk-queue.js';
import { chargesWriteback } from '../host/block/file-system.js';
import type { DiskDevice, Domain, DomainFacts, HostDevice, HostDisk } from './types.js';

/** What cannot be told now may be told later. */
const RETRY_MS = 30_000;
/** Schedulers are changed and images moved behind a description that stays the same. */
const AGAIN_MS = 300_000;

export interface HostDevicesOptions {
  readonly block: Pick<BlockDevices, 'imageDevice' | 'wholeDisks' | 'diskQueue'> &
    Partial<Pick<BlockDevices, 'forget'>>;
  readonly monotonicMs: () => number;
  onLearnt(uuid: string, devices: ReadonlyMap<string, HostDevice>): void;
}

interface Looked {
  readonly facts: DomainFacts;
  readonly devices: ReadonlyMap<string, HostDevice>;
  readonly notBeforeMs: number;
}

export class HostDevices {
  readonly #options: HostDevicesOptions;
  readonly #looked = new Map<string, Looked>();
  readonly #looking = new Map<string, Promise<void>>();
  /** Device → who keeps weights on it, of those that were asked about since the looks that are under way began. */
  readonly #kept = new Map<string, HostDisk['weightsKeptBy']>();

  constructor(options: HostDevicesOptions) {
    this.#options = options;
  }

  /** Called at every look at a guest: nothing when it is known already. */
  want({ uuid, facts, process }: Domain): void {
    if (facts === null || process === null || this.#looking.has(uuid)) return;
    const looked = this.#looked.get(uuid);
    const sameDisks = looked !== undefined && pathsOf(looked.facts) === pathsOf(facts);
    if (sameDisks && this.#options.monotonicMs() < looked.notBeforeMs) return;
    const looking = this.#look(uuid, facts).finally(() => {
      this.#looking.delete(uuid);
      if (this.#looking.size === 0) this.#kept.clear();
    });
    this.#looking.set(uuid, looking);
  }

  queueOf(device: string): Promise<DiskQueue> {
    return this.#options.block.diskQueue(device);
  }

  /** Who keeps weights on this whole disk has changed: it is asked once, for all guests that stand on it. */
  async learnKeeper(device: string): Promise<void> {
    const { weightsKeptBy } = await this.#options.block.diskQueue(device);
    if (this.#looking.size > 0) this.#kept.set(device, weightsKeptBy);
    for (const [uuid, looked] of this.#looked) {
      const devices = withKeepers(looked.devices, new Map([[device, weightsKeptBy]]));
      if (devices === looked.devices) continue;
      this.#looked.set(uuid, { ...looked, devices });
      this.#options.onLearnt(uuid, devices);
    }
  }

  /** Resolves when nothing is being looked at. */
  async idle(): Promise<void> {
    while (this.#looking.size > 0) await Promise.all(this.#looking.values());
  }

  /** The running instance is gone; the next may find other disks under the same paths. */
  forget(uuid: string): void {
    for (const { path } of this.#looked.get(uuid)?.facts.tuning.disks ?? []) {
      if (path !== null) this.#options.block.forget?.(path);
    }
    this.#looked.delete(uuid);
  }

  async #look(uuid: string, facts: DomainFacts): Promise<void> {
    const { block, monotonicMs, onLearnt } = this.#options;
    const before = this.#looked.get(uuid);
    const found = new Map<string, HostDevice>();
    let passing = false;
    for (const disk of facts.tuning.disks) {
      if (disk.path === null) continue;
      const look = await deviceOf(block, disk, disk.path).catch(defect);
      passing ||= look.passing;
      // A file system that does not answer has not moved the image: limits must not be lifted for it. Without an earlier
      // answer it is not known yet.
      const device = look.passing ? earlier(before, disk) : look.device;
      if (device !== null) found.set(disk.target, device);
    }
    const devices = withKeepers(found, this.#kept);
    this.#looked.set(uuid, { facts, devices, notBeforeMs: monotonicMs() + (passing ? RETRY_MS : AGAIN_MS) });
    onLearnt(uuid, devices);
  }
}

/** What was known of the same image in the same place; null when nothing. */
function earlier(looked: Looked | undefined, { target, path }: DiskDevice): HostDevice | null {
  const same = looked?.facts.tuning.disks.some((disk) => disk.target === target && disk.path === path) === true;
  return same ? (looked.devices.get(target) ?? null) : null;
}

/** The same map where nothing is otherwise. */
function withKeepers(
  devices: ReadonlyMap<string, HostDevice>,
  keepers: ReadonlyMap<string, HostDisk['weightsKeptBy']>,
): ReadonlyMap<string, HostDevice> {
  const isStale = ({ device, weightsKeptBy }: HostDisk): boolean =>
    keepers.has(device) && keepers.get(device) !== weightsKeptBy;
  if (![...devices.values()].some((one) => one.ok && one.disks.some(isStale))) return devices;
  return new Map(
    [...devices].map(([target, one]): [string, HostDevice] => {
      if (!one.ok) return [target, one];
      const disks = one.disks.map((disk) =>
        isStale(disk) ? { ...disk, weightsKeptBy: keepers.get(disk.device) ?? null } : disk,
      );
      return [target, { ...one, disks }];
    }),
  );
}

function pathsOf({ tuning }: DomainFacts): string {
  return JSON.stringify(tuning.disks.map(({ target, path, cache }) => [target, path, cache]));
}

/** Nobody waits for a look, and what nobody waits for must not end the daemon. */
function defect(error: Error): Awaited<ReturnType<typeof deviceOf>> {
  return { device: { ok: false, reason: `cannot be looked up: ${error.message}` }, passing: true };
}

async function deviceOf(
  block: HostDevicesOptions['block'],
  { cache }: DiskDevice,
  path: string,
): Promise<{ readonly device: HostDevice; readonly passing: boolean }> {
  const image = await block.imageDevice(path);
  if (!image.ok) return { device: { ok: false, reason: image.reason }, passing: image.passing };
  const whole = await block.wholeDisks(image.devices);
  if (!whole.ok) return { device: { ok: false, reason: whole.reason }, passing: whole.passing };
  const disks: HostDisk[] = [];
  for (const { device, name } of whole.disks) {
    const { weightsKeptBy } = await block.diskQueue(device);
    disks.push({ device, name, weightsKeptBy });
  }
  const notes = whole.through.length === 0 ? [] : [`behind ${whole.through.join(', ')}`];
  const buffered = cache !== 'none' && cache !== 'directsync';
  if (buffered && !chargesWriteback(image.fileSystem)) {
    notes.push(`${image.fileSystem} does not charge buffered writes to the guest`);
  }
  return { device: { ok: true, disks, notes }, passing: false };
}
