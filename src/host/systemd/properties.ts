/**
 * Sets and reads properties of systemd's units: what systemd owns, as the limits of a slice or of a guest's scope itself,
 * is set through it alone, since a `daemon-reload` undoes what others write there. Takes unit names and values, gives
 * promises with deadlines, outcomes as data. sd-bus is synchronous, so it is called on a thread, one call at a time. The
 * thread is started by the first call and kept: it costs 10 MiB, but koffi loses 30 KiB with each thread that ends.
 */
import { existsSync } from 'node:fs';
import type { Log } from '../../log.js';
import { type BusCall, type BusOutcome, type BusThread, startBusThread } from './properties-thread.js';

/** Memory: bytes. Weights: 1 to 10000, 0 for CPUWeight is SCHED_IDLE. UINT64_MAX: no limit, or for a weight unset. */
export type UnitProperty =
  | 'MemoryLow'
  | 'MemoryMin'
  | 'MemoryHigh'
  | 'MemoryMax'
  | 'MemorySwapMax'
  | 'CPUWeight'
  | 'IOWeight'
  | 'CPUQuotaPerSecUSec';

export interface UnitPropertyValue {
  readonly name: UnitProperty;
  readonly value: bigint;
}

/** `infinity` in a unit file. */
export const UINT64_MAX = 2n ** 64n - 1n;

export type SystemdFailure =
  | 'absent' // no systemd, no system bus, no libsystemd.so.0, or stopped
  | 'vanished' // systemd has no such unit (any more)
  | 'withdrawn' // not made: it was not wanted any more when its turn came
  | 'timeout' // the call, or the one before it, overran its deadline; it may still take effect
  | 'refused'; // systemd answered with an error

export interface SystemdFailed {
  readonly ok: false;
  readonly failure: SystemdFailure;
  readonly message: string;
}
export type SystemdOutcome = { readonly ok: true } | SystemdFailed;
/** Values in the order of the names asked for. */
export type SystemdReading = { readonly ok: true; readonly values: readonly bigint[] } | SystemdFailed;

export interface SystemdProperties {
  /** Whether systemd is PID 1 here. */
  available(): boolean;
  /**
   * Until the next boot, or for a scope until it ends (SetUnitProperties, runtime). systemd writes the kernel's files a
   * moment after it has answered. A unit's runtime values stand in one small file each in /run/systemd, written anew at
   * each call: call it for a change, not as a refresh. `mayBegin` is asked when its turn has come.
   */
  set(unit: string, properties: readonly UnitPropertyValue[], mayBegin?: () => boolean): Promise<SystemdOutcome>;
  /** What systemd holds for the unit, whatever the kernel's files say. */
  get(unit: string, names: readonly UnitProperty[]): Promise<SystemdReading>;
  stop(): Promise<void>;
}

export interface SystemdPropertiesOptions {
  readonly log: Log;
  /** For a call; default 5 s. */
  readonly deadlineMs?: number;
  /** D-Bus address; default: that of the system bus. */
  readonly address?: string;
  /** There while systemd is PID 1, sd_booted(3). */
  readonly bootedPath?: string;
}

const DEADLINE_MS = 5000;
/** Stuck threads that are replaced, at one time. Beyond, calls are refused rather than threads piled up. */
const ABANDONED_MAX = 2;

interface Pending {
  readonly call: BusCall;
  readonly mayBegin: () => boolean;
  readonly resolve: (outcome: BusOutcome) => void;
}

/** Nothing happens before the first call. */
export function systemdProperties(options: SystemdPropertiesOptions): SystemdProperties {
  return new ThreadedProperties(options);
}

class ThreadedProperties implements SystemdProperties {
  readonly #log: Log;
  readonly #deadlineMs: number;
  readonly #address: string | null;
  readonly #bootedPath: string;
  readonly #queue: Pending[] = [];
  readonly #abandoned = new Set<BusThread>();
  #thread: BusThread | null = null;
  #running: Pending | null = null;
  #deadline: NodeJS.Timeout | undefined;
  #saidAbsent = false;
  #stopped = false;

  constructor(options: SystemdPropertiesOptions) {
    this.#log = options.log;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    this.#address = options.address ?? null;
    this.#bootedPath = options.bootedPath ?? '/run/systemd/system';
  }

  available(): boolean {
    return existsSync(this.#bootedPath);
  }

  async set(unit: string, properties: readonly UnitPropertyValue[], mayBegin?: () => boolean): Promise<SystemdOutcome> {
    const wrong = properties.find(({ value }) => value < 0n || value > UINT64_MAX);
    if (wrong !== undefined) return failed('refused', `${wrong.name}=${wrong.value} is no unsigned 64-bit number`);
    if (properties.length === 0) return { ok: true };
    const outcome = await this.#call({ op: 'set', unit, properties }, mayBegin);
    return outcome.ok ? { ok: true } : outcome;
  }

  get(unit: string, names: readonly UnitProperty[]): Promise<SystemdReading> {
    return this.#call({ op: 'get', unit, names });
  }

  /** The idle thread ends; one in a call is left to it, and the process does not wait for it. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#deadline);
    const thread = this.#thread;
    this.#thread = null;
    const running = this.#running;
    this.#running = null;
    this.#failQueued('absent', 'systemd is being left');
    running?.resolve(failed('absent', 'systemd is being left'));
    if (running === null || thread === null) await thread?.stop();
    else this.#abandon(thread);
  }

  #call(call: BusCall, mayBegin: () => boolean = () => true): Promise<BusOutcome> {
    if (this.#stopped) return Promise.resolve(failed('absent', 'systemd has been left'));
    return new Promise((resolve) => {
      if (this.available()) this.#queue.push({ call, mayBegin, resolve: (outcome) => resolve(this.#noted(outcome)) });
      else resolve(this.#noted(failed('absent', `systemd does not run here (no ${this.#bootedPath})`)));
      this.#next();
    });
  }

  #next(): void {
    if (this.#running !== null || this.#stopped) return;
    if (this.#abandoned.size > ABANDONED_MAX) {
      this.#failQueued('timeout', `${this.#abandoned.size} earlier calls to systemd have not come back`);
      return;
    }
    let pending = this.#queue.shift();
    for (; pending?.mayBegin() === false; pending = this.#queue.shift()) {
      pending.resolve(failed('withdrawn', 'not made: what it was to do was called off while it waited'));
    }
    if (pending === undefined) return;
    this.#running = pending;
    this.#thread ??= this.#startThread();
    const running = pending;
    this.#deadline = setTimeout(() => this.#overrun(running), this.#deadlineMs);
    this.#thread.post(pending.call);
  }

  #startThread(): BusThread {
    // The bus gives up before the thread is given up.
    const thread = startBusThread({ address: this.#address, timeoutMs: Math.ceil(this.#deadlineMs * 0.8) });
    thread.onReply((outcome) => this.#onReply(thread, outcome));
    thread.onEnd((reason) => {
      if (this.#thread === thread) this.#thread = null;
      this.#onReply(thread, failed('refused', `the systemd worker ended: ${reason}`));
    });
    return thread;
  }

  #onReply(thread: BusThread, outcome: BusOutcome): void {
    if (this.#abandoned.delete(thread)) {
      if (!this.#stopped) this.#log.info('systemd.recovered', {}, 'the call that did not come back has come back');
      void thread.stop();
      return;
    }
    const running = this.#running;
    if (running === null) return;
    clearTimeout(this.#deadline);
    this.#running = null;
    running.resolve(outcome);
    if (!outcome.ok && outcome.failure === 'timeout') this.#failUnasked();
    this.#next();
  }

  #overrun(pending: Pending): void {
    const { op, unit } = pending.call;
    this.#log.warn('systemd.slow', { call: op, unit }, 'a call to systemd does not come back');
    if (this.#thread !== null) this.#abandon(this.#thread);
    this.#thread = null;
    this.#running = null;
    pending.resolve(failed('timeout', `systemd has not answered within ${this.#deadlineMs / 1000} s`));
    this.#failUnasked();
  }

  /** Told to end when its call comes back. */
  #abandon(thread: BusThread): void {
    this.#abandoned.add(thread);
    thread.unref();
  }

  /** systemd does one thing at a time: hundreds of calls are not to wait for their deadlines one after the other. */
  #failUnasked(): void {
    this.#failQueued('timeout', 'not asked: systemd has not answered the call before');
  }

  #failQueued(failure: SystemdFailure, message: string): void {
    for (const pending of this.#queue.splice(0)) pending.resolve(failed(failure, message));
  }

  /** That there is no systemd is said once, until there is one. */
  #noted(outcome: BusOutcome): BusOutcome {
    if (outcome.ok) this.#saidAbsent = false;
    else if (outcome.failure === 'absent' && !this.#saidAbsent && !this.#stopped) {
      this.#saidAbsent = true;
      this.#log.warn('systemd.absent', { reason: outcome.message }, 'unit properties cannot be set');
    }
    return outcome;
  }
}

function failed(failure: SystemdFailure, message: string): SystemdFailed {
  return { ok: false, failure, message };
}
