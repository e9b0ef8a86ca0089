/**
 * Which set of policy files is in force. A set is validated whole and then swapped; with any error the last good one
 * stays, also across a restart. A new set that would change too many guests at once waits to be acknowledged.
 */
import { join } from 'node:path';
import { formatProblem, type Problem, VirtsladError } from '../errors.js';
import type { Clock } from '../host/clock.js';
import { readIfPresent, writeDurably } from '../host/state-file.js';
import { compile } from '../policy/compile.js';
import type { LoadResult } from '../policy/loader.js';
import type { Generation } from '../policy/types.js';

const PERSIST_WAIT_MS = 2_000;
const PASSING: readonly string[] = ['POLICY_TIMEOUT', 'POLICY_FILE_UNREADABLE'];

interface Accepted {
  readonly id: string;
  readonly acceptedAtMs: number;
  readonly files: Generation['files'];
}

/** How many domains a new generation would change. */
export interface Reach {
  readonly affected: number;
  readonly total: number;
}

export interface Pending extends Reach {
  readonly generation: Generation;
  readonly allowed: number;
}

export interface GenerationsOptions {
  readonly stateDir: string;
  readonly load: () => Promise<LoadResult>;
  readonly clock: Clock;
  readonly blastRadius: { readonly percent: number; readonly domains: number };
  /** False in observe mode and in a lone `plan`: what is only looked at has not been accepted. */
  readonly persist: boolean;
}

export class Generations {
  readonly #options: GenerationsOptions;
  #candidate: Generation | null = null;
  /** Accepted, and being put on disk. */
  #entering: Generation | null = null;
  #reloading: Promise<unknown> = Promise.resolve();
  #accepting: Promise<void> = Promise.resolve();
  #persisting: Promise<void> = Promise.resolve();
  active: Generation | null = null;
  acceptedAtMs = 0;
  pending: Pending | null = null;
  problems: readonly string[] = [];
  /** The same as data, for a command that fails with them. */
  rejected: readonly Problem[] = [];
  warnings: readonly string[] = [];
  lastReloadSuccessful = false;
  lastReloadSuccessMs: number | null = null;
  /** Why the accepted set could not be kept for the next start. */
  persistError: string | null = null;
  reloads = 0;
  reloadFailures = 0;

  constructor(options: GenerationsOptions) {
    this.#options = options;
  }

  get #path(): string {
    return join(this.#options.stateDir, 'accepted-policy.json');
  }

  /** The generation that was in force when the daemon last ran; a damaged copy counts as none. */
  async loadAccepted(): Promise<void> {
    const text = await readIfPresent(this.#path).catch(() => null);
    if (text === null) return;
    try {
      const accepted = JSON.parse(text) as Accepted;
      const compiled = compile(accepted.files);
      if (!compiled.ok || compiled.generation.id !== accepted.id) return;
      this.active = compiled.generation;
      this.acceptedAtMs = accepted.acceptedAtMs;
    } catch {
      // The files on disk are the other source.
    }
  }

  /**
   * Reads and validates the files. True when they are good; a good new set is then judged by {@link settle}. One after
   * the other: an older reading that takes longer must not come out on top of a newer one.
   */
  reload(): Promise<boolean> {
    const next = this.#reloading.then(() => this.#reload());
    this.#reloading = next.catch(() => false);
    return next;
  }

  async #reload(): Promise<boolean> {
    const result = await this.#load();
    this.reloads++;
    this.lastReloadSuccessful = result.ok;
    if (!result.ok) {
      this.reloadFailures++;
      this.problems = result.problems.map(formatProblem);
      this.rejected = result.problems;
      return false;
    }
    this.problems = [];
    this.warnings = result.warnings.map(formatProblem);
    this.lastReloadSuccessMs = this.#options.clock.nowMs();
    this.pending = null;
    // One that is being accepted is as good as in force: going back from it is a change.
    const current = this.#entering ?? this.active;
    this.#candidate = result.generation.id === current?.id ? null : result.generation;
    return true;
  }

  async #load(): Promise<LoadResult> {
    try {
      return await this.#options.load();
    } catch (error) {
      const message = `the policies could not be read: ${(error as Error).message}`;
      const fix = 'the last good policies stay in force; look for a lack of memory or open files';
      return { ok: false, problems: [{ code: 'POLICY_FILE_UNREADABLE', message, fix }] };
    }
  }

  /** The last reading failed for want of time or memory, not for what is in the files: another may go well. */
  get mayPass(): boolean {
    return !this.lastReloadSuccessful && this.rejected.every(({ code }) => PASSING.includes(code));
  }

  /** The set that was read last and is good: the one in force, or one that waits. */
  get latest(): Generation | null {
    return this.#candidate ?? this.pending?.generation ?? this.active;
  }

  /** True while a good new set waits to be judged. */
  get undecided(): boolean {
    return this.#candidate !== null;
  }

  /**
   * Accepts the new set, or holds it back when it reaches too many domains. `reach` counts the domains whose desired
   * values differ between two sets. With no set accepted before there is nothing to compare with, and it is accepted.
   */
  async settle(reach: (from: Generation, to: Generation) => Reach): Promise<'accepted' | 'held-back' | null> {
    const candidate = this.#candidate;
    if (candidate === null) return null;
    const excess = this.#excess(candidate, reach);
    if (excess !== null) {
      this.#candidate = null;
      this.pending = excess;
      return 'held-back';
    }
    await this.#accept(candidate);
    return 'accepted';
  }

  /** Lets the generation through that the blast radius held back. */
  async acknowledge(id: string): Promise<void> {
    if (this.active?.id === id) return;
    if (this.pending === null || this.pending.generation.id !== id) {
      throw new VirtsladError({
        code: 'APPLY_NOT_PENDING',
        message: `generation ${id} is not waiting to be acknowledged`,
        fix:
          this.pending === null
            ? 'no generation waits; `virtslad status` shows the one in force'
            : `the one that waits is ${this.pending.generation.id}`,
      });
    }
    await this.#accept(this.pending.generation);
  }

  /** For `plan`: looks at the new set as if it had been let through, and says so where it would not be. Nothing is kept. */
  async preview(reach: (from: Generation, to: Generation) => Reach): Promise<void> {
    const candidate = this.#candidate;
    if (candidate === null) return;
    const excess = this.#excess(candidate, reach);
    await this.#accept(candidate);
    this.pending = excess;
  }

  /** Null when the set may come into force without being acknowledged. */
  #excess(candidate: Generation, reach: (from: Generation, to: Generation) => Reach): Pending | null {
    if (this.active === null) return null;
    const { percent, domains } = this.#options.blastRadius;
    const { affected, total } = reach(this.active, candidate);
    const allowed = Math.max(domains, Math.floor((total * percent) / 100));
    return affected > allowed ? { generation: candidate, affected, total, allowed } : null;
  }

  /** One after the other: an acknowledgement may come while a cycle settles. */
  #accept(generation: Generation): Promise<void> {
    this.#entering = generation;
    this.#accepting = this.#accepting.then(() => this.#enforce(generation));
    return this.#accepting;
  }

  /** Why it could not be put on disk; null when it was. A disk that does not answer must not hold up the cycle. */
  async #persist(text: string): Promise<string | null> {
    const saved = this.#persisting
      .then(() => writeDurably(this.#path, text))
      .then(
        () => null,
        (error: Error) => error.message,
      );
    // One after the other, however long it takes.
    this.#persisting = saved.then((error) => {
      this.persistError = error;
    });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<string>((resolve) => {
      timer = setTimeout(() => resolve('the state directory did not answer within 2 s'), PERSIST_WAIT_MS);
    });
    const error = await Promise.race([saved, late]);
    clearTimeout(timer);
    return error;
  }

  async #enforce(generation: Generation): Promise<void> {
    const acceptedAtMs = this.#options.clock.nowMs();
    if (this.#options.persist) {
      const accepted: Accepted = { id: generation.id, acceptedAtMs, files: generation.files };
      this.persistError = await this.#persist(JSON.stringify(accepted));
    }
    this.active = generation;
    this.acceptedAtMs = acceptedAtMs;
    if (this.#entering === generation) this.#entering = null;
    if (this.#candidate === generation) this.#candidate = null;
    if (this.pending?.generation === generation) this.pending = null;
  }
}
