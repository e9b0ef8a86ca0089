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
  /** Scheduler parameters, or for `originals` the element, null to remove it. */
  readonly message: { readonly parameters: SchedulerParameters } | { readonly originalsXml: string | null };
  /** For values that are set through libvirt alone: what became of them. */
  readonly done?: (outcome: LibvirtOutcome<null>) => void;
}

export interface TellerOptions {
  readonly libvirt: LibvirtClient;
  readonly monotonicMs: () => number;
  /** A call has ended; what libvirt says now is to be read again before the subject counts as idle. */
  onDone(errand: Errand, outcome: LibvirtOutcome<null>): Promise<void>;
  /** The subject is idle again: look at the guest. */
  onIdle(uuid: string): void;
}

const FIRST_RETRY_MS = 5_000;
const MOST_RETRY_MS = 300_000;
/** Should libvirt's view never come to say what it was told, it is not told again and again. */
const REPEAT_MS = 60_000;

interface Last {
  readonly text: string;
  readonly notBeforeMs: number;
  readonly failures: number;
}

export class Teller {
  readonly #options: TellerOptions;
  readonly #queues = new Map<string, Map<string, Errand>>();
  readonly #running = new Map<string, Promise<void>>();
  /** uuid → subject of the call that is under way. */
  readonly #current = new Map<string, string>();
  /** `UUID SUBJECT` → how the last call went. */
  readonly #last = new Map<string, Last>();

  constructor(options: TellerOptions) {
    this.#options = options;
  }

  /** A newer errand on the same subject replaces one that has not begun. One that failed, or was just done, waits. */
  send(errand: Errand): void {
    const last = this.#last.get(keyOf(errand));
    const early = last !== undefined && this.#options.monotonicMs() < last.notBeforeMs;
    if (early && (last.failures > 0 || last.text === textOf(errand))) return;
    const queue = this.#queues.get(errand.uuid) ?? new Map<string, Errand>();
    queue.set(errand.subject, errand);
    this.#queues.set(errand.uuid, queue);
    if (!this.#running.has(errand.uuid)) this.#running.set(errand.uuid, this.#drain(errand.uuid, queue));
  }

  /** True while a call about this is waiting or under way. */
  busy(uuid: string, subject: string): boolean {
    return this.#current.get(uuid) === subject || (this.#queues.get(uuid)?.has(subject) ?? false);
  }

  /** Somebody else has changed libvirt's view, or the guest is gone: what was told before counts no more. */
  forget(uuid: string): void {
    for (const key of [...this.#last.keys()]) if (key.startsWith(`${uuid} `)) this.#last.delete(key);
  }

  /** Resolves when nothing is waiting or under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }

  async #drain(uuid: string, queue: Map<string, Errand>): Promise<void> {
    for (let next = queue.values().next().value; next !== undefined; next = queue.values().next().value) {
      queue.delete(next.subject);
      this.#current.set(uuid, next.subject);
      try {
        const outcome = await this.#call(next);
        this.#note(next, outcome);
        next.done?.(outcome);
        await this.#options.onDone(next, outcome);
      } finally {
        this.#current.delete(uuid);
      }
    }
    this.#queues.delete(uuid);
    this.#running.delete(uuid);
    this.#options.onIdle(uuid);
  }

  #call({ uuid, id, message }: Errand): Promise<LibvirtOutcome<null>> {
    const { libvirt } = this.#options;
    return 'parameters' in message
      ? libvirt.setScheduler(uuid, id, message.parameters)
      : libvirt.setOriginals(uuid, id, message.originalsXml);
  }

  #note(errand: Errand, outcome: LibvirtOutcome<null>): void {
    const failed = !outcome.ok && outcome.failure !== 'vanished';
    const failures = failed ? (this.#last.get(keyOf(errand))?.failures ?? 0) + 1 : 0;
    const waitMs = failed ? Math.min(MOST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1)) : REPEAT_MS;
    const notBeforeMs = this.#options.monotonicMs() + waitMs;
    this.#last.set(keyOf(errand), { text: textOf(errand), notBeforeMs, failures });
  }
}

function keyOf({ uuid, subject }: Errand): string {
  return `${uuid} ${subject}`;
}

/** The instance is part of it: a restarted guest has to be told anew. */
function textOf({ id, message }: Errand): string {
  const text =
    'parameters' in message
      ? Object.entries(message.parameters)
          .map(([name, value]) => `${name}=${value}`)
          .join()
      : message.originalsXml;
  return `${id} ${text}`;
}
