/**
 * What became of writes to values of the host, logged, counted and kept in the history as writes to guests are. What
 * failed is tried again after 5 s, doubling to 5 min, and said once until the reason is another; repairs of what somebody
 * else keeps changing are spaced out.
 */
import type { Clock } from '../../host/clock.js';
import type { Log } from '../../log.js';
import type { Contention } from '../contested.js';
import type { Counters } from '../counters.js';
import type { History } from '../history.js';
import type { Outcome } from '../types.js';
import { HOST, type HostWrite } from './plan-host.js';

export interface Attempt {
  readonly outcome: Outcome;
  readonly message: string | null;
}

export interface HostWritesOptions {
  readonly contention: Contention;
  readonly counters: Pick<Counters, 'written' | 'failed' | 'repaired'>;
  readonly history: Pick<History, 'add'>;
  readonly log: Log;
  readonly clock: Clock;
}

interface Failure {
  readonly message: string;
  readonly times: number;
  readonly notBeforeMs: number;
}

const FIRST_RETRY_MS = 5_000;
const MOST_RETRY_MS = 300_000;

export class HostWrites {
  readonly #options: HostWritesOptions;
  readonly #control: string;
  readonly #consequence: string;
  readonly #failures = new Map<string, Failure>();

  /** `consequence`: what it means that a write failed, for the log. */
  constructor(control: string, consequence: string, options: HostWritesOptions) {
    this.#control = control;
    this.#consequence = consequence;
    this.#options = options;
  }

  /** False while another try is put off. */
  due(key: string): boolean {
    const failure = this.#failures.get(key);
    return failure === undefined || this.#options.clock.monotonicMs() >= failure.notBeforeMs;
  }

  /** Why the last try failed; null when it did not. */
  failure(key: string): string | null {
    return this.#failures.get(key)?.message ?? null;
  }

  /** True while repairs of it are spaced out. */
  contested(key: string): boolean {
    const { clock, contention } = this.#options;
    return !contention.mayWrite(HOST, key, clock.monotonicMs());
  }

  /** What failed is tried at once. */
  retry(): void {
    this.#failures.clear();
    this.#options.contention.forget(HOST);
  }

  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** Forgets what is no longer looked at. */
  keep(keys: readonly string[]): void {
    for (const key of [...this.#failures.keys()]) if (!keys.includes(key)) this.#failures.delete(key);
  }

  note(write: HostWrite, { outcome, message }: Attempt): void {
    const { key, path, from, text: to, why } = write;
    const { clock, counters, history, log } = this.#options;
    const fields = { domain: HOST, uuid: HOST, control: this.#control, key, path, from, to, why, source: null };
    const entry = { atMs: clock.nowMs(), ...fields, className: null, generation: null, outcome, message };
    if (outcome === 'vanished') {
      log.debug('control.vanished', fields);
      return;
    }
    if (outcome !== 'applied') {
      counters.failed(this.#control);
      if (!this.failed(key, message ?? outcome)) return;
      history.add([entry]);
      log.error('control.write_failed', { ...fields, reason: message }, this.#consequence);
      return;
    }
    this.#failures.delete(key);
    // Only made sure that nothing older comes.
    if (from === to) return;
    history.add([entry]);
    counters.written(this.#control);
    if (why === 'drift') this.#noteDrift(key, fields);
    else log.info('control.write', fields);
  }

  /** True when the reason is another than the last time. */
  failed(key: string, message: string): boolean {
    const last = this.#failures.get(key);
    const times = last?.times ?? 0;
    const waitMs = Math.min(MOST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(times, 10));
    this.#failures.set(key, { message, times: times + 1, notBeforeMs: this.#options.clock.monotonicMs() + waitMs });
    return last?.message !== message;
  }

  #noteDrift(key: string, fields: object): void {
    const { clock, contention, counters, log } = this.#options;
    counters.repaired(null, 'unknown');
    log.warn('control.drift', { ...fields, by: 'unknown' }, 'someone else changed this value; it was put back');
    if (!contention.repaired(HOST, key, clock.monotonicMs())) return;
    const words = 'rewritten by someone 5 times in 10 minutes: repairs are spaced out now';
    log.error('control.contested', fields, words);
  }
}

export function failed(message: string): Attempt {
  return { outcome: 'failed', message };
}
