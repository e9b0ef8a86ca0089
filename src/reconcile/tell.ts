/**
 * Tells libvirt what the kernel has, so that its own view (`virsh schedinfo`, a migration) agrees, and sets through
 * libvirt what systemd owns. One call at a time for each domain, in the background: a stuck guest delays nobody.
 */
import type { Tell, UnitProperties } from '../controls/control.js';
import type { LibvirtClient, LibvirtOutcome } from '../host/libvirt/client.js';

export interface Errand {
  readonly uuid: string;
  /** libvirt's id of the instance; null for a guest that libvirt does not run: its definition alone can be set. */
  readonly id: number | null;
  /** Control id, or `originals` for the metadata element. */
  readonly subject: string;
  /** What is to be set, or for `originals` the element, null to remove it. */
  readonly message: Tell | { readonly originalsXml: string | null };
  /** Values that are set through their owner alone: what became of them. Such an errand is a write and never put off as a repeat. */
  readonly done?: (outcome: LibvirtOutcome<null>) => void;
}

export interface TellerOptions {
  readonly libvirt: LibvirtClient;
  /** Sets properties of a systemd unit. `mayBegin` is asked when its turn has come. */
  setUnit(unit: UnitProperties, mayBegin: () => boolean): Promise<LibvirtOutcome<null>>;
  /** Resolves when systemd has done, or will not do any more, what it was asked about this unit until now. */
  settledUnit(unit: UnitProperties): Promise<void>;
  readonly monotonicMs: () => number;
  /** Asked again right before each call: the kill switch and a hold stop what is queued. */
  mayTell(errand: Errand): boolean;
  /** A call has ended; what libvirt says now is to be read again before the subject counts as idle. */
  onDone(errand: Errand, outcome: LibvirtOutcome<null>): Promise<void>;
  onDefect(errand: Errand, error: Error): void;
  /** The subject is idle again: look at the guest. */
  onIdle(uuid: string): void;
}

const NOTHING: LibvirtOutcome<null> = { ok: true, value: null };
const FIRST_RETRY_MS = 5_000;
const MOST_RETRY_MS = 300_000;
/** Should libvirt's view never come to say what it was told, it is not told again and again. */
const REPEAT_MS = 60_000;

interface Last {
  readonly text: string;
  readonly notBeforeMs: number;
  readonly failures: number;
  readonly ok: boolean;
}

export class Teller {
  readonly #options: TellerOptions;
  readonly #queues = new Map<string, Map<string, Errand>>();
  readonly #running = new Map<string, Promise<void>>();
  /** uuid → subject of the call that is under way. */
  readonly #current = new Map<string, string>();
  /** `UUID SUBJECT` of calls that overran: libvirt may still carry them out. */
  readonly #unresolved = new Set<string>();
  /** The same of systemd. */
  readonly #late = new Set<string>();
  /** uuid → subject → what was refused and is tried again once something else was set. */
  readonly #refused = new Map<string, Map<string, Errand>>();
  /** `UUID SUBJECT` → how the last call went. */
  readonly #last = new Map<string, Last>();

  constructor(options: TellerOptions) {
    this.#options = options;
  }

  /** A newer errand on the same subject replaces one that has not begun. One that failed, or was just done, waits. */
  send(errand: Errand): void {
    const last = this.#last.get(keyOf(errand));
    const early = last !== undefined && this.#options.monotonicMs() < last.notBeforeMs;
    const repeat = last?.text === textOf(errand) && (errand.done === undefined || !last.ok);
    if (early && repeat) return;
    const queue = this.#queues.get(errand.uuid) ?? new Map<string, Errand>();
    queue.set(errand.subject, errand);
    this.#queues.set(errand.uuid, queue);
    if (!this.#running.has(errand.uuid)) this.#running.set(errand.uuid, this.#drain(errand.uuid, queue));
  }

  /** True while a call about this is waiting or under way, or has overrun and may still be carried out. */
  busy(uuid: string, subject: string): boolean {
    if (this.#unresolved.has(`${uuid} ${subject}`) || this.#late.has(`${uuid} ${subject}`)) return true;
    if (this.#refused.get(uuid)?.has(subject) === true) return true;
    return this.#current.get(uuid) === subject || (this.#queues.get(uuid)?.has(subject) ?? false);
  }

  /** Somebody else has changed libvirt's view, or an operator wants it done now: what was told before counts no more. */
  forget(uuid: string): void {
    dropOf(this.#last, uuid);
    this.#refused.get(uuid)?.clear();
  }

  /** Calls that had overrun have come back, or the guest is gone: nothing of ours can land any more. */
  resolve(uuid: string): void {
    dropOf(this.#unresolved, uuid);
  }

  /** Resolves when nothing is waiting or under way. */
  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running.values());
  }

  async #drain(uuid: string, queue: Map<string, Errand>): Promise<void> {
    const refused = new Map<string, Errand>();
    this.#refused.set(uuid, refused);
    for (let next = queue.values().next().value; next !== undefined; next = queue.values().next().value) {
      queue.delete(next.subject);
      refused.delete(next.subject);
      const outcome = await this.#run(next);
      if (outcome === 'refused') refused.set(next.subject, next);
      if (outcome === 'done') await this.#tryAgain(queue, refused);
    }
    this.#queues.delete(uuid);
    this.#refused.delete(uuid);
    this.#running.delete(uuid);
    this.#options.onIdle(uuid);
  }

  /**
   * Values may bound each other (memory, and memory with swap): what was refused may be right once another was set. Not
   * over what was asked for since.
   */
  async #tryAgain(queue: ReadonlyMap<string, Errand>, refused: Map<string, Errand>): Promise<void> {
    for (const again of [...refused.values()]) {
      if (refused.get(again.subject) !== again) continue;
      refused.delete(again.subject);
      if (!queue.has(again.subject)) await this.#run(again);
    }
  }

  async #run(errand: Errand): Promise<'done' | 'refused' | 'not made'> {
    const { uuid } = errand;
    this.#current.set(uuid, errand.subject);
    try {
      if (!this.#options.mayTell(errand)) return 'not made';
      const outcome = await this.#call(errand);
      this.#note(errand, outcome);
      await this.#options.onDone(errand, outcome);
      // After libvirt's view was read again: systemd has written the kernel by then.
      errand.done?.(outcome);
      if (outcome.ok) return 'done';
      return outcome.failure === 'refused' ? 'refused' : 'not made';
    } catch (error) {
      this.#options.onDefect(errand, error as Error);
      return 'not made';
    } finally {
      this.#current.delete(uuid);
    }
  }

  /** Everything is tried; the outcome is that of the first that failed. */
  async #call(errand: Errand): Promise<LibvirtOutcome<null>> {
    const { libvirt, setUnit, mayTell } = this.#options;
    const { uuid, id, message } = errand;
    const mayBegin = (): boolean => mayTell(errand);
    if ('originalsXml' in message) {
      return id === null ? NOTHING : libvirt.setOriginals(uuid, id, message.originalsXml, mayBegin);
    }
    const outcomes: LibvirtOutcome<null>[] = [];
    const late: UnitProperties[] = [];
    // The definition is there without a running instance too.
    const calls = id === null ? message.calls.filter(({ call }) => call === 'seclabel') : message.calls;
    if (calls.length > 0) outcomes.push(await libvirt.tune(uuid, id, calls, mayBegin));
    for (const unit of message.units) {
      const outcome = await setUnit(unit, mayBegin);
      outcomes.push(outcome);
      if (!outcome.ok && outcome.failure === 'timeout') late.push(unit);
    }
    if (late.length > 0) void this.#awaitUnits(errand, late);
    return outcomes.find(({ ok }) => !ok) ?? NOTHING;
  }

  /** What systemd has not answered it may still do. */
  async #awaitUnits(errand: Errand, units: readonly UnitProperties[]): Promise<void> {
    const key = keyOf(errand);
    this.#late.add(key);
    try {
      await Promise.all(units.map((unit) => this.#options.settledUnit(unit)));
    } catch (error) {
      this.#options.onDefect(errand, error as Error);
    }
    this.#late.delete(key);
    this.#options.onIdle(errand.uuid);
  }

  #note(errand: Errand, outcome: LibvirtOutcome<null>): void {
    const key = keyOf(errand);
    // A call that no thread took up ends as `timeout` too, but leaves the guest out of quarantine: nothing can land.
    const overran = !outcome.ok && outcome.failure === 'timeout';
    if (overran && this.#options.libvirt.status().quarantined.includes(errand.uuid)) this.#unresolved.add(key);
    // No connection is nobody's failure: `forget` lets it be tried as soon as there is one, and not before the next cycle.
    if (isAway(outcome)) {
      const notBeforeMs = this.#options.monotonicMs() + FIRST_RETRY_MS;
      this.#last.set(key, { text: textOf(errand), notBeforeMs, failures: 0, ok: false });
      return;
    }
    const failed = !outcome.ok && outcome.failure !== 'vanished';
    const failures = failed ? (this.#last.get(key)?.failures ?? 0) + 1 : 0;
    const waitMs = failed ? Math.min(MOST_RETRY_MS, FIRST_RETRY_MS * 2 ** (failures - 1)) : REPEAT_MS;
    const notBeforeMs = this.#options.monotonicMs() + waitMs;
    this.#last.set(key, { text: textOf(errand), notBeforeMs, failures, ok: outcome.ok });
  }
}

/** The call was not made: there is no connection, the guest is quarantined, or it was called off. */
export function isAway(outcome: LibvirtOutcome<null>): boolean {
  return !outcome.ok && ['disconnected', 'quarantined', 'withdrawn'].includes(outcome.failure);
}

function dropOf(keyed: Map<string, unknown> | Set<string>, uuid: string): void {
  for (const key of [...keyed.keys()]) if (key.startsWith(`${uuid} `)) keyed.delete(key);
}

function keyOf({ uuid, subject }: Errand): string {
  return `${uuid} ${subject}`;
}

/** The instance is part of it: a restarted guest has to be told anew. */
function textOf({ id, message }: Errand): string {
  const plain = (_key: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);
  return `${id} ${JSON.stringify(message, plain)}`;
}
