/**
 * Someone else writes the same knob. Five repairs in ten minutes make it contested: repairs are spaced out, doubling
 * from 30 s to 10 min, and an alarm stands until the knob has held for ten minutes. Failed writes are spaced the same
 * way, so that a knob which cannot be set is not tried every cycle. Pure but for the time that it is given.
 */
const WINDOW_MS = 600_000;
const REPAIRS_TO_CONTEST = 5;
const FIRST_BACKOFF_MS = 30_000;
const MOST_BACKOFF_MS = 600_000;
const FIRST_RETRY_MS = 5_000;

interface Knob {
  repairsMs: number[];
  contested: boolean;
  backoffMs: number;
  waitUntilMs: number;
  failures: number;
  failure: Failure | null;
}

/** What could not be set, and why. */
export interface Failure {
  readonly text: string;
  readonly message: string;
}

export class Contention {
  readonly #knobs = new Map<string, Knob>();

  /** False while a repair of this knob, or another try of the text that failed, is spaced out. */
  mayWrite(uuid: string, key: string, nowMs: number, text?: string): boolean {
    const knob = this.#knobs.get(`${uuid} ${key}`);
    if (knob === undefined || nowMs >= knob.waitUntilMs) return true;
    // Another value, of a policy that was put right, say, has not failed.
    return !knob.contested && text !== undefined && knob.failure !== null && knob.failure.text !== text;
  }

  /** Why it could not be set the last time, until it can be. */
  failure(uuid: string, key: string): string | null {
    return this.#knobs.get(`${uuid} ${key}`)?.failure?.message ?? null;
  }

  isContested(uuid: string, key: string, nowMs: number): boolean {
    const knob = this.#knobs.get(`${uuid} ${key}`);
    if (knob === undefined || !knob.contested) return false;
    const last = knob.repairsMs.at(-1) ?? 0;
    if (nowMs - last > Math.max(WINDOW_MS, knob.backoffMs)) {
      this.#knobs.delete(`${uuid} ${key}`);
      return false;
    }
    return true;
  }

  /** A foreign value was replaced by ours. True when this repair makes the knob contested. */
  repaired(uuid: string, key: string, nowMs: number): boolean {
    const knob = this.#knob(uuid, key);
    knob.repairsMs = [...knob.repairsMs.filter((at) => nowMs - at < WINDOW_MS), nowMs];
    if (!knob.contested && knob.repairsMs.length < REPAIRS_TO_CONTEST) return false;
    const first = !knob.contested;
    knob.contested = true;
    knob.backoffMs = first ? FIRST_BACKOFF_MS : Math.min(MOST_BACKOFF_MS, knob.backoffMs * 2);
    knob.waitUntilMs = nowMs + knob.backoffMs;
    return first;
  }

  failed(uuid: string, key: string, nowMs: number, failure: Failure | null = null): void {
    const knob = this.#knob(uuid, key);
    if (failure !== null && knob.failure !== null && knob.failure.text !== failure.text) knob.failures = 0;
    knob.failure = failure;
    knob.waitUntilMs = nowMs + Math.min(MOST_BACKOFF_MS, FIRST_RETRY_MS * 2 ** Math.min(knob.failures, 10));
    knob.failures++;
  }

  applied(uuid: string, key: string): void {
    const knob = this.#knobs.get(`${uuid} ${key}`);
    if (knob === undefined) return;
    knob.failures = 0;
    knob.failure = null;
  }

  /** The reason for failures may be over (libvirt is back): tried again at once. Contests stand. */
  retry(): void {
    for (const knob of this.#knobs.values()) {
      if (!knob.contested) knob.waitUntilMs = 0;
      knob.failures = 0;
    }
  }

  /** The guest is gone, or an operator has asked for a fresh try. */
  forget(uuid: string): void {
    for (const name of [...this.#knobs.keys()]) if (name.startsWith(`${uuid} `)) this.#knobs.delete(name);
  }

  #knob(uuid: string, key: string): Knob {
    const name = `${uuid} ${key}`;
    const known = this.#knobs.get(name);
    if (known !== undefined) return known;
    const knob: Knob = { repairsMs: [], contested: false, backoffMs: 0, waitUntilMs: 0, failures: 0, failure: null };
    this.#knobs.set(name, knob);
    return knob;
  }
}
