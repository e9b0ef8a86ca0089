/**
 * Tells libvirt what the kernel has, so that its own view (`virsh schedinfo`, a migration) agrees, and sets through
 * libvirt what systemd owns. One call at a time for each domain, in the background: a stuck guest delays nobody.
 */
import type { LibvirtClient, LibvirtOutcome, SchedulerParameters } from '../host/libvirt/client.js';

export interface Errand {
  readonly uuid: string;
  readonly id: number;
  /** Control id, or `originals` for the metadata element. */
  readonly subject: string;
  readonly parameters: SchedulerParameters | null;
  /** For `originals`: the element, or null to remove it. */
  readonly xml?: string | null;
  /** Called with the outcome before the listener: for values that are set through libvirt alone. */
  readonly done?: (outcome: LibvirtOutcome<null>) => void;
}

export type ErrandListener = (errand: Errand, outcome: LibvirtOutcome<null>) => void;

const FIRST_RETRY_MS = 5_000;
const MOST_RETRY_MS = 300_000;

export class Teller {
  readonly #libvirt: LibvirtClient;
  readonly #onDone: ErrandListener;
  readonly #nowMs: () => number;
  readonly #queues = new Map<string, Map<string, Errand>>();
  readonly #retries = new Map<string, { atMs: number; failures: number }>();
  readonly #running = new Map<string, Promise<void>>();

  constructor(libvirt: LibvirtClient, nowMs: () => number, onDone: ErrandListener) {
    this.#libvirt = libvirt;
    this.#nowMs = nowMs;
    this.#onDone = onDone;
  }

  /** A newer errand on the same subject replaces one that has not begun. One that failed lately waits. */
  send(errand: Errand): void {
    const retry = this.#retries.get(`${errand.uuid} ${errand.subject}`);
    if (retry !== undefined && this.#nowMs() < retry.atMs) return;
    const queue = this.#queues.get(errand.uuid) ?? new Map<string, Errand>();
    queue.set(errand.subject, errand);
    this.#queues.set(errand.uuid, queue);
    if (!this.#running.has(errand.uuid)) this.#running.set(errand.uuid, this.#drain(errand.uuid));
  }

  /** True while a call about this is waiting or under way. */
  busy(uuid: string, subject: string): boolean {
    return this.#current.get(uuid) === subject || (this.#queues.get(uuid)?.has(subject) ?? false);
  }

  /** Resolves when nothing is waiting or under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }

  readonly #current = new Map<string, string>();

  async #drain(uuid: string): Promise<void> {
    const queue = this.#queues.get(uuid);
    for (;;) {
      const next = queue?.values().next().value;
      if (queue === undefined || next === undefined) break;
      queue.delete(next.subject);
      this.#current.set(uuid, next.subject);
      const outcome =
        next.parameters === null
          ? await this.#libvirt.setOriginals(uuid, next.id, next.xml ?? null)
          : await this.#libvirt.setScheduler(uuid, next.id, next.parameters);
      this.#current.delete(uuid);
      this.#note(next, outcome);
      next.done?.(outcome);
      this.#onDone(next, outcome);
    }
    this.#queues.delete(uuid);
    this.#running.delete(uuid);
  }

  #note(errand: Errand, outcome: LibvirtOutcome<null>): void {
    const key = `${errand.uuid} ${errand.subject}`;
    if (outcome.ok || outcome.failure === 'vanished') {
      this.#retries.delete(key);
      return;
    }
    const failures = (this.#retries.get(key)?.failures ?? 0) + 1;
    const delayMs = Math.min(MOST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1));
    this.#retries.set(key, { atMs: this.#nowMs() + delayMs, failures });
  }
}
