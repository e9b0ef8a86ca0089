/**
 * What must be known of labels across restarts: which guests were suspended for a violation, so that none is suspended
 * again after an operator resumed it; which guest is on its way through save and restore, so that none is left off.
 */
import { join } from 'node:path';
import * as z from 'zod';
import type { Clock } from '../../host/clock.js';
import { readIfPresent, setAside, writeDurably } from '../../host/state-file.js';

const suspension = z.object({
  /** The running instance, as in the journal: a restarted guest is another matter. */
  instance: z.string(),
  /** The violations for which it was suspended. */
  violations: z.array(z.string()),
  atMs: z.number(),
  /** False: asked of libvirt, and not known to be done. */
  done: z.boolean(),
});

const journey = z.object({
  uuid: z.string(),
  name: z.string(),
  /** `saving`: asked of libvirt. `saved`: the guest is off and its memory on disk. `starting`: asked to run again. */
  phase: z.enum(['saving', 'saved', 'starting']),
  /** Seclabel texts (src/svirt/seclabel.ts): what the saved guest shall run under, and what it ran under. */
  to: z.string(),
  from: z.string(),
  sinceMs: z.number(),
  maxDowntimeMs: z.number(),
});

const failure = z.object({ to: z.string(), message: z.string(), atMs: z.number() });

const stored = z.object({
  version: z.literal(1),
  suspended: z.record(z.string(), suspension),
  journey: journey.nullable(),
  /** Guests whose save-restore failed: not tried again for the same label. */
  failed: z.record(z.string(), failure),
  /** As the last save-restore on this host measured it; null before the first. */
  bytesPerSecond: z.number().positive().nullable(),
});

export type Suspension = z.infer<typeof suspension>;
export type Journey = z.infer<typeof journey>;
type Stored = z.infer<typeof stored>;
type Change = Partial<Omit<Stored, 'version'>>;

const EMPTY: Stored = { version: 1, suspended: {}, journey: null, failed: {}, bytesPerSecond: null };

export class LabelState {
  readonly #path: string;
  readonly #clock: Pick<Clock, 'nowMs'>;
  #stored: Stored = EMPTY;
  #saving: Promise<void> = Promise.resolve();
  /** Where a damaged file was put; null when it was read. */
  damaged: string | null = null;
  saveError: string | null = null;

  constructor(stateDir: string, clock: Pick<Clock, 'nowMs'>) {
    this.#path = join(stateDir, 'label-actions.json');
    this.#clock = clock;
  }

  get current(): Stored {
    return this.#stored;
  }

  async load({ readOnly }: { readonly readOnly: boolean }): Promise<void> {
    const text = await readIfPresent(this.#path);
    if (text === null) return;
    try {
      this.#stored = stored.parse(JSON.parse(text));
    } catch {
      this.damaged = readOnly ? this.#path : await setAside(this.#path, this.#clock.nowMs());
    }
  }

  /** Resolves once it is on disk. @throws when it cannot be written: nothing is changed then, and what was to follow not done. */
  change(next: Change): Promise<void> {
    return this.#inTurn(async () => {
      const whole = { ...this.#stored, ...next };
      await this.#write(whole);
      this.#stored = whole;
    });
  }

  /** What is true whether it can be written or not. Never rejects; what could not be written goes with the next. */
  async keep(next: Change): Promise<void> {
    this.#stored = { ...this.#stored, ...next };
    await this.#inTurn(() => this.#write(this.#stored)).catch(() => undefined);
  }

  #inTurn(work: () => Promise<void>): Promise<void> {
    const turn = this.#saving.then(work);
    this.#saving = turn.catch(() => undefined);
    return turn;
  }

  async #write(whole: Stored): Promise<void> {
    try {
      await writeDurably(this.#path, `${JSON.stringify(whole)}\n`);
      this.saveError = null;
    } catch (error) {
      this.saveError = (error as Error).message;
      throw error;
    }
  }
}
