/**
 * A defect of virtslad itself, in the accounting of one guest or of all, costs neither the cycle nor the other guests. It is
 * counted each time, and told once until it has passed.
 */
import type { Log } from '../log.js';

export interface DefectsOptions {
  readonly log: Log;
  /** One more. */
  count(): void;
}

export interface About {
  readonly uuid: string;
  readonly name: string;
}

/** So many are remembered as told: beyond, one may be told again. */
const MOST_TOLD = 4096;

export class Defects {
  readonly #options: DefectsOptions;
  readonly #told = new Set<string>();

  constructor(options: DefectsOptions) {
    this.#options = options;
  }

  /** `about`: the guest; null: all of them. False, and not an exception, when the work met a defect. */
  guarded(about: About | null, part: string, work: () => void): boolean {
    try {
      work();
    } catch (error) {
      this.note(about, part, error);
      return false;
    }
    this.#told.delete(keyOf(about, part));
    return true;
  }

  note(about: About | null, part: string, error: unknown): void {
    const { log, count } = this.#options;
    count();
    const key = keyOf(about, part);
    if (this.#told.has(key)) return;
    if (this.#told.size >= MOST_TOLD) this.#told.clear();
    this.#told.add(key);
    const guest = about === null ? {} : { uuid: about.uuid, domain: about.name };
    const reason = error instanceof Error ? error.message : String(error);
    const words = 'a defect in virtslad; what it concerns is unknown time, all else goes on';
    log.error('slo.account_failed', { ...guest, part, reason, code: 'INTERNAL' }, words);
  }
}

function keyOf(about: About | null, part: string): string {
  return `${about?.uuid ?? ''} ${part}`;
}
