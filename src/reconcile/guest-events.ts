/**
 * What libvirt's events and inotify mean for the inventory, and which guest is to be looked at because of them. Also
 * keeps the ledger of starts: was every vCPU capped before the guest ran.
 */
import type { GroupChange } from '../domains/watch.js';
import type { LibvirtEvent, LibvirtOutcome } from '../host/libvirt/client.js';
import type { Parts } from './parts.js';
import type { Reconciler } from './reconciler.js';
import type { Errand } from './tell.js';

/** libvirt reports a stop some milliseconds before the process is gone. */
const PROCESS_EXIT_MS = 250;

export class GuestEvents {
  readonly #parts: Parts;
  readonly #reconciler: Reconciler;
  readonly #cappedAtResume = new Map<string, boolean>();

  constructor(parts: Parts, reconciler: Reconciler) {
    this.#parts = parts;
    this.#reconciler = reconciler;
  }

  onLibvirt(event: LibvirtEvent): void {
    const { inventory, attribution, clock, log } = this.#parts;
    switch (event.kind) {
      case 'lifecycle':
        return this.#onLifecycle(event);
      case 'tunable':
        if (!attribution.announced(event.uuid, event.parameters, clock.monotonicMs())) return;
        return void this.#refresh(event.uuid);
      case 'metadata':
      case 'device':
      case 'recovered':
        return void this.#refresh(event.uuid);
      case 'connected':
        log.info('libvirt.connected', {});
        return void this.#reconciler.resync().then((answered) => {
          if (answered) for (const { uuid } of inventory.all()) void this.#refresh(uuid);
        });
      case 'disconnected':
        return log.warn('libvirt.disconnected', { reason: event.reason }, 'limits stay as they are; trying again');
    }
  }

  /** A file was written or a group came or went below a guest's. */
  onGroup(uuid: string, change: GroupChange): void {
    if (change.kind === 'created') {
      this.#parts.inventory.relocate(uuid);
      const counted = this.#parts.inventory.get(uuid);
      if (counted?.state !== 'starting' && /^vcpu\d+$/.test(change.name)) void this.#refresh(uuid);
    }
    this.#reconciler.request(uuid);
  }

  /** libvirt was told, or could not be. What it says now is read again; systemd's values are read from the kernel. */
  onTold(errand: Errand, outcome: LibvirtOutcome<null>): void {
    const { uuid, subject } = errand;
    const key = `${uuid} ${subject}`;
    const { counters, log, tellFailures } = this.#parts;
    if (outcome.ok) {
      tellFailures.delete(key);
      log.debug('libvirt.told', { uuid, control: subject });
      return void this.#refresh(uuid);
    }
    if (outcome.failure === 'vanished') return;
    if (!tellFailures.has(key) && subject !== 'originals') counters.failed(subject);
    tellFailures.set(key, outcome.message);
    log.warn('libvirt.tell_failed', { uuid, control: subject, failure: outcome.failure, reason: outcome.message });
  }

  async onArrival(uuid: string, pid: number): Promise<void> {
    if (await this.#parts.inventory.noticeStart(uuid, pid)) this.#reconciler.request(uuid);
  }

  #onLifecycle({ uuid, event }: LibvirtEvent & { kind: 'lifecycle' }): void {
    const { inventory } = this.#parts;
    switch (event) {
      case 'started':
        return void this.#onStarted(uuid);
      case 'resumed':
        if (inventory.get(uuid)?.state === 'starting') this.#cappedAtResume.set(uuid, this.#capped(uuid));
        inventory.setState(uuid, 'running');
        return this.#reconciler.request(uuid);
      case 'suspended':
      case 'pmsuspended':
        inventory.setState(uuid, event === 'suspended' ? 'paused' : 'pmsuspended');
        return this.#reconciler.request(uuid);
      case 'stopped':
      case 'crashed':
        return this.#onStopped(uuid);
      case 'shutdown':
        return inventory.setState(uuid, 'shutdown');
      case 'defined':
      case 'undefined':
        return void this.#reconciler.resync().then(() => this.#refresh(uuid));
    }
  }

  async #onStarted(uuid: string): Promise<void> {
    const { inventory } = this.#parts;
    inventory.started(uuid);
    this.#reconciler.request(uuid);
    const known = await inventory.refreshFacts(uuid);
    if (!known || inventory.handles(uuid) === null) await this.#reconciler.resync();
    this.#count(uuid);
    this.#reconciler.request(uuid);
  }

  /** Starts of guests without a limit are none of this ledger's business. */
  #count(uuid: string): void {
    const { counters, picture } = this.#parts;
    const capped = this.#cappedAtResume.get(uuid);
    this.#cappedAtResume.delete(uuid);
    const limit = picture.get(uuid)?.controls.find(({ id }) => id === 'cpu.limit');
    if (limit === undefined || limit.status === 'unsupported') return;
    counters.starts++;
    if (capped === true) counters.startsCappedBeforeResume++;
  }

  #capped(uuid: string): boolean {
    const limit = this.#parts.picture.get(uuid)?.controls.find(({ id }) => id === 'cpu.limit');
    return (
      limit !== undefined && limit.settings.length > 0 && limit.settings.every((one) => one.actual === one.desired)
    );
  }

  #onStopped(uuid: string): void {
    const { inventory } = this.#parts;
    inventory.stopped(uuid);
    setTimeout(() => {
      inventory.stopped(uuid);
      void this.#reconciler.resync();
      this.#reconciler.request(uuid);
    }, PROCESS_EXIT_MS).unref();
  }

  async #refresh(uuid: string): Promise<void> {
    await this.#parts.inventory.refreshFacts(uuid);
    this.#reconciler.request(uuid);
  }
}
