/**
 * Sets one file of a group above guests: a slice through systemd, another group by the kernel's file; gives what became
 * of it, logged and counted as writes to guests are. What failed is tried again after 5 s, doubling to 5 min, and said
 * once until the reason is another; without an answer from systemd none of its units is asked meanwhile.
 */
import { basename, dirname } from 'node:path';
import { unitTell } from '../controls/memory-files.js';
import { ownerOf, type SliceGroups } from '../domains/slice-groups.js';
import type { Clock } from '../host/clock.js';
import type { SystemdProperties } from '../host/systemd/properties.js';
import type { Log } from '../log.js';
import type { writeGroupFile } from './apply.js';
import type { Contention } from './contested.js';
import type { Counters } from './counters.js';
import type { History } from './history.js';
import { HOST, SLICE_CONTROL, type SliceWrite } from './slice-plan.js';
import type { Outcome } from './types.js';

export interface SliceWriterOptions {
  readonly systemd: Pick<SystemdProperties, 'set'>;
  readonly write: typeof writeGroupFile;
  readonly contention: Contention;
  readonly counters: Pick<Counters, 'written' | 'failed' | 'repaired'>;
  readonly history: Pick<History, 'add'>;
  readonly log: Log;
  readonly clock: Clock;
  readonly pause?: (ms: number) => Promise<void>;
}

interface Attempt {
  readonly outcome: Outcome;
  readonly message: string | null;
}

interface Failure {
  readonly message: string;
  readonly times: number;
  readonly notBeforeMs: number;
}

const FIRST_RETRY_MS = 5_000;
const MOST_RETRY_MS = 300_000;
/** systemd answers before it has written the kernel's files: between looks at what stands there. */
const SYSTEMD_WRITES_MS = [20, 50, 100, 200, 400];
/** In the place of a path: systemd as a whole. */
const SYSTEMD = 'systemd';

export class SliceWriter {
  readonly #options: SliceWriterOptions;
  readonly #groups: SliceGroups;
  readonly #failures = new Map<string, Failure>();
  readonly #unsettled = new Set<string>();

  constructor(options: SliceWriterOptions, groups: SliceGroups) {
    this.#options = options;
    this.#groups = groups;
  }

  /** False when it was not tried: put off, contested, or something else stands there by now. */
  async attempt(write: SliceWrite): Promise<boolean> {
    const { path, from } = write;
    const owner = ownerOf(dirname(path));
    const early = !this.#due(path) || (owner.kind === 'systemd' && !this.#due(SYSTEMD));
    if (early || this.contested(path) || this.#groups.read(path) !== from) return false;
    if (owner.kind === 'unreachable') this.#note(write, failed('another systemd than the system’s owns it'));
    else this.#note(write, owner.kind === 'none' ? this.#direct(write) : await this.#through(owner.unit, write));
    return true;
  }

  /** Why the last try failed; null when it did not. */
  failure(path: string): string | null {
    const shared = ownerOf(dirname(path)).kind === 'systemd' ? this.#failures.get(SYSTEMD) : undefined;
    return (this.#failures.get(path) ?? shared)?.message ?? null;
  }

  /** True while repairs of it are spaced out. */
  contested(path: string): boolean {
    const { clock, contention } = this.#options;
    return !contention.mayWrite(HOST, path, clock.monotonicMs());
  }

  /** A call that did not come back in time may still set a value. */
  unsettled(path: string): boolean {
    return this.#unsettled.has(path);
  }

  /** What failed is tried at once. */
  retry(): void {
    this.#failures.clear();
    this.#options.contention.forget(HOST);
  }

  /** Forgets what is no longer looked at. */
  keep(paths: readonly string[]): void {
    for (const key of [...this.#failures.keys()]) {
      if (key !== SYSTEMD && !paths.includes(key)) this.#failures.delete(key);
    }
    for (const path of [...this.#unsettled]) if (!paths.includes(path)) this.#unsettled.delete(path);
  }

  #direct({ path, text }: SliceWrite): Attempt {
    const at = this.#groups.at(path);
    if (at === null) return { outcome: 'vanished', message: null };
    const result = this.#options.write(at, text);
    switch (result.kind) {
      case 'written':
        return { outcome: 'applied', message: null };
      case 'vanished':
        return { outcome: 'vanished', message: null };
      case 'differs':
        return failed(`the kernel took ${text} and stands at ${result.actual ?? 'nothing'}`);
      case 'refused':
        return failed(result.message);
    }
  }

  async #through(unit: string, { path, text }: SliceWrite): Promise<Attempt> {
    const { systemd, pause = pauseFor } = this.#options;
    const properties = unitTell(dirname(path), [[basename(path), text]])?.units[0]?.properties ?? [];
    const outcome = await systemd.set(unit, properties);
    if (!outcome.ok) {
      if (outcome.failure === 'timeout') this.#unsettled.add(path);
      if (outcome.failure === 'timeout' || outcome.failure === 'absent') this.#failed(SYSTEMD, outcome.message);
      return failed(outcome.message);
    }
    this.#failures.delete(SYSTEMD);
    // It does one thing after the other: what was asked before is done, too.
    this.#unsettled.delete(path);
    let actual = this.#groups.read(path);
    for (const waitMs of SYSTEMD_WRITES_MS) {
      if (actual === text) break;
      await pause(waitMs);
      actual = this.#groups.read(path);
    }
    if (actual === text) return { outcome: 'applied', message: null };
    return failed(`systemd took ${text} and ${actual ?? 'nothing'} stands there`);
  }

  #note(write: SliceWrite, { outcome, message }: Attempt): void {
    const { path, from, text: to, why } = write;
    const { clock, counters, history, log } = this.#options;
    const fields = { domain: HOST, uuid: HOST, control: SLICE_CONTROL, key: path, path, from, to, why, source: null };
    const entry = { atMs: clock.nowMs(), ...fields, className: null, generation: null, outcome, message };
    if (outcome === 'vanished') {
      log.debug('control.vanished', fields);
      return;
    }
    if (outcome !== 'applied') {
      counters.failed(SLICE_CONTROL);
      if (!this.#failed(path, message ?? outcome)) return;
      history.add([entry]);
      log.error('control.write_failed', { ...fields, reason: message }, 'guarantees of guests below do not hold');
      return;
    }
    this.#failures.delete(path);
    // Only made sure that nothing older comes.
    if (from === to) return;
    history.add([entry]);
    counters.written(SLICE_CONTROL);
    if (why === 'drift') this.#noteDrift(path, fields);
    else log.info('control.write', fields);
  }

  #noteDrift(path: string, fields: object): void {
    const { clock, contention, counters, log } = this.#options;
    counters.repaired(null, 'unknown');
    log.warn('control.drift', { ...fields, by: 'unknown' }, 'someone else changed this value; it was put back');
    if (!contention.repaired(HOST, path, clock.monotonicMs())) return;
    const words = 'rewritten by someone 5 times in 10 minutes: repairs are spaced out now';
    log.error('control.contested', fields, words);
  }

  #due(key: string): boolean {
    const failure = this.#failures.get(key);
    return failure === undefined || this.#options.clock.monotonicMs() >= failure.notBeforeMs;
  }

  /** True when the reason is another than the last time. */
  #failed(key: string, message: string): boolean {
    const last = this.#failures.get(key);
    const times = last?.times ?? 0;
    const waitMs = Math.min(MOST_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(times, 10));
    this.#failures.set(key, { message, times: times + 1, notBeforeMs: this.#options.clock.monotonicMs() + waitMs });
    return last?.message !== message;
  }
}

function failed(message: string): Attempt {
  return { outcome: 'failed', message };
}

function pauseFor(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}
