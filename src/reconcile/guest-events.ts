/**
 * What libvirt's events and inotify mean for the inventory, and which guest is to be looked at because of them. Also
 * keeps the ledger of starts: was every vCPU capped before the guest ran.
 */
import type { DomainState } from '../domains/types.js';
import type { GroupChange } from '../host/cgroup/watch.js';
import type { LibvirtEvent, LibvirtOutcome } from '../host/libvirt/client.js';
import type { Parts } from './parts.js';
import type { Reconciler } from './reconciler.js';
import { type Errand, isAway } from './tell.js';

/** libvirt reports a stop some milliseconds before the process is gone. */
const PROCESS_EXIT_MS = 250;

export class GuestEvents {
  readonly #parts: Parts;
  readonly #reconciler: Reconciler;
  readonly #cappedAtResume = new Map<string, boolean>();
  /** Questions about guests that are under way, and those that come after them. */
  readonly #asking = new Map<string, Promise<void>>();
  readonly #askingNext = new Map<string, Promise<void>>();

  constructor(parts: Parts, reconciler: Reconciler) {
    this.#parts = parts;
    this.#reconciler = reconciler;
  }

  onLibvirt(event: LibvirtEvent): void {
    switch (event.kind) {
      case 'lifecycle':
        this.#onLifecycle(event);
        break;
      case 'tunable':
        if (this.#isForeign(event)) this.#onForeign(event.uuid);
        break;
      case 'metadata':
        this.#go(this.#refresh(event.uuid));
        break;
      case 'device':
        this.#go(this.#onDevice(event.uuid));
        break;
      case 'recovered':
        this.#go(this.#onRecovered(event.uuid));
        break;
      case 'connected':
        this.#go(this.#onConnected());
        break;
      case 'disconnected':
        this.#parts.log.warn('libvirt.disconnected', { reason: event.reason }, 'limits stay as they are; trying again');
    }
  }

  /** A call that had overrun came back: whatever it did is read first, then nothing of ours can land any more. */
  async #onRecovered(uuid: string): Promise<void> {
    this.#parts.disks.doubt(uuid);
    await this.#parts.inventory.refreshFacts(uuid);
    await this.#readDisks(uuid);
    this.#parts.teller.resolve(uuid);
    this.#parts.teller.forget(uuid);
    this.#parts.contention.retry();
    this.#reconciler.request(uuid);
  }

  /** Work that nobody waits for: a failure is logged and must not end the daemon. */
  #go(work: Promise<unknown>): void {
    work.catch((error: Error) => this.#parts.log.error('event.failed', { reason: error.message }));
  }

  /** libvirt's view may say something else now: it is read, and told again if it must be. */
  #onForeign(uuid: string): void {
    this.#parts.teller.forget(uuid);
    this.#go(this.#onDevice(uuid));
  }

  /** A disk or an interface came or went, or its throttle was changed. */
  async #onDevice(uuid: string): Promise<void> {
    // What QEMU said before must not be held against what libvirt says now.
    this.#parts.disks.doubt(uuid);
    await this.#shared(`device ${uuid}`, async () => {
      await this.#refresh(uuid);
      await this.#readDisks(uuid);
    });
  }

  /** Who comes while the question is under way shares the next one: thousands of events about a guest are two questions. */
  #shared(question: string, ask: () => Promise<void>): Promise<void> {
    const running = this.#asking.get(question);
    if (running === undefined) {
      const asking = ask().finally(() => this.#asking.delete(question));
      this.#asking.set(question, asking);
      return asking;
    }
    const next =
      this.#askingNext.get(question) ??
      running
        .catch(() => undefined)
        .then(() => {
          this.#askingNext.delete(question);
          return this.#shared(question, ask);
        });
    this.#askingNext.set(question, next);
    return next;
  }

  async #readDisks(uuid: string): Promise<void> {
    const { inventory, disks } = this.#parts;
    const domain = inventory.get(uuid);
    // Those whose disks nobody has asked about are none of QEMU's business yet.
    if (domain === null || disks.all(domain) === null) return;
    await disks.refresh(domain);
    this.#reconciler.request(uuid);
  }

  #isForeign({ uuid, parameters }: LibvirtEvent & { kind: 'tunable' }): boolean {
    return this.#parts.attribution.announced(uuid, parameters, this.#parts.clock.monotonicMs());
  }

  /** Anything may have happened while there was no connection. */
  async #onConnected(): Promise<void> {
    this.#parts.log.info('libvirt.connected', {});
    this.#parts.contention.retry();
    if (!(await this.#reconciler.resync())) return;
    for (const { uuid } of this.#parts.inventory.all()) {
      this.#parts.teller.forget(uuid);
      this.#parts.disks.doubt(uuid);
      this.#go(this.#refresh(uuid));
    }
  }

  /** A file was written or a group came or went below a guest's. */
  onGroup(uuid: string, change: GroupChange): void {
    if (change.kind === 'created') {
      this.#parts.inventory.relocate(uuid);
      const counted = this.#parts.inventory.get(uuid);
      if (counted?.state !== 'starting' && /^vcpu\d+$/.test(change.name)) this.#go(this.#refresh(uuid));
    }
    this.#reconciler.request(uuid);
  }

  /** libvirt was told, or could not be. What it says now is read again; systemd's values are read from the kernel. */
  async onTold(errand: Errand, outcome: LibvirtOutcome<null>): Promise<void> {
    const { uuid, subject } = errand;
    const key = `${uuid} ${subject}`;
    const { counters, disks, log, tellFailures } = this.#parts;
    // However it ended, some of it may have been carried out.
    if (changesDisks(errand)) disks.doubt(uuid);
    if (asksMonitor(errand) && errand.id !== null && !isAway(outcome)) disks.usedMonitor(uuid, errand.id);
    if (outcome.ok) {
      tellFailures.delete(key);
      log.debug('libvirt.told', { uuid, control: subject });
      await this.#readBack(errand);
      return;
    }
    if (outcome.failure === 'vanished') return;
    if (isAway(outcome)) {
      tellFailures.set(key, outcome.message);
      return;
    }
    if (!tellFailures.has(key) && subject !== 'originals') counters.failed(subject);
    tellFailures.set(key, outcome.message);
    // Of several calls some may have been carried out.
    if (outcome.failure === 'refused') await this.#readBack(errand);
    log.warn('libvirt.tell_failed', { uuid, control: subject, failure: outcome.failure, reason: outcome.message });
  }

  async #readBack(errand: Errand): Promise<void> {
    await this.#parts.inventory.refreshFacts(errand.uuid);
    if (changesDisks(errand)) await this.#readDisks(errand.uuid);
  }

  async onArrival(uuid: string, pid: number): Promise<void> {
    if (await this.#parts.inventory.noticeStart(uuid, pid)) this.#reconciler.request(uuid);
  }

  #onLifecycle({ uuid, event }: LibvirtEvent & { kind: 'lifecycle' }): void {
    const { inventory } = this.#parts;
    switch (event) {
      case 'started':
        this.#go(this.#onStarted(uuid));
        break;
      case 'resumed':
        if (inventory.get(uuid)?.state === 'starting') this.#cappedAtResume.set(uuid, this.#capped(uuid));
        this.#setState(uuid, 'running');
        break;
      case 'suspended':
        this.#setState(uuid, 'paused');
        break;
      case 'pmsuspended':
        this.#setState(uuid, 'pmsuspended');
        break;
      case 'shutdown':
        this.#setState(uuid, 'shutdown');
        break;
      case 'stopped':
      case 'crashed':
        this.#onStopped(uuid);
        break;
      case 'defined':
      case 'undefined':
        this.#go(this.#onDefinition(uuid));
    }
  }

  /** A domain that libvirt says is gone, and that no process runs, takes its record with it. */
  async #onDefinition(uuid: string): Promise<void> {
    const answered = await this.#reconciler.resync();
    await this.#refresh(uuid);
    const { inventory, journal } = this.#parts;
    if (!answered || inventory.get(uuid) !== null) return;
    const records = journal.of(uuid);
    if (records.length > 0) await journal.remove(records);
  }

  #setState(uuid: string, state: DomainState): void {
    this.#parts.inventory.setState(uuid, state);
    this.#reconciler.request(uuid);
  }

  async #onStarted(uuid: string): Promise<void> {
    const { inventory } = this.#parts;
    inventory.started(uuid);
    this.#reconciler.request(uuid);
    // At once where its resumption was seen: a guest may end before libvirt has described it.
    const counted = this.#cappedAtResume.has(uuid) && this.#count(uuid);
    const known = await inventory.refreshFacts(uuid);
    if (!known || inventory.handles(uuid) === null) await this.#reconciler.resync();
    if (!counted) this.#count(uuid);
    this.#reconciler.request(uuid);
  }

  /** Starts of guests without a limit are none of this ledger's business. False when it could not be counted. */
  #count(uuid: string): boolean {
    const { counters, picture } = this.#parts;
    // A guest that is started paused has not run yet: what holds now, holds before its first instruction.
    const paused = this.#parts.inventory.get(uuid)?.state === 'paused';
    const capped = this.#cappedAtResume.get(uuid) ?? (paused && this.#capped(uuid));
    const limit = picture.get(uuid)?.controls.find(({ id }) => id === 'cpu.limit');
    if (limit === undefined || limit.status === 'unsupported') return false;
    this.#cappedAtResume.delete(uuid);
    counters.starts++;
    if (capped) counters.startsCappedBeforeResume++;
    return true;
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
    this.#cappedAtResume.delete(uuid);
    this.#parts.teller.resolve(uuid);
    setTimeout(() => {
      inventory.stopped(uuid);
      this.#go(this.#onDefinition(uuid));
      this.#reconciler.request(uuid);
    }, PROCESS_EXIT_MS).unref();
  }

  #refresh(uuid: string): Promise<void> {
    return this.#shared(`facts ${uuid}`, async () => {
      await this.#parts.inventory.refreshFacts(uuid);
      this.#reconciler.request(uuid);
    });
  }
}

/** QEMU alone knows what became of it. */
function changesDisks({ message }: Errand): boolean {
  return 'calls' in message && message.calls.some(({ call }) => call === 'throttle' || call === 'histogram');
}

function asksMonitor({ message }: Errand): boolean {
  return 'calls' in message && message.calls.some(({ call }) => call === 'histogram');
}
