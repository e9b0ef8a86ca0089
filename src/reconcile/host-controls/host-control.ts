/**
 * How a control of the host takes its turn: plan, record on disk before the first write, the writes one by one, and a
 * second look after which what was given back is forgotten. One look at a time. At rest a look reads and does nothing.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Log } from '../../log.js';
import type { Gate } from '../gate.js';
import type { Journal } from '../journal.js';
import type { JournalRecord } from '../journal-format.js';
import type { ControlOutcome, PlannedChange } from '../types.js';
import { HOST, type HostPlan, type HostStatus, type HostWrite } from './plan-host.js';

export interface HostControlOptions {
  readonly journal: Pick<Journal, 'get' | 'put' | 'remove' | 'covers' | 'saveError'>;
  readonly gate: Pick<Gate, 'stop'>;
  readonly log: Log;
  /** A record of another boot is worth nothing: what was set at run time went with it. */
  readonly bootId: string;
}

export interface HostTurn<Look, Write extends HostWrite, Plan extends HostPlan<Write>> {
  /** `host.memory-guarantee` */
  readonly control: string;
  /** What is not written when originals cannot be saved, for the log. */
  readonly subject: string;
  /** Before the first look. */
  readonly nothing: Plan;
  plan(look: Look): Plan;
  /** False when it was not tried. */
  attempt(write: Write): Promise<boolean>;
  /** What stands after all of it. */
  looked(plan: Plan): void;
}

export class HostControl<Look, Write extends HostWrite, Plan extends HostPlan<Write>> {
  readonly #options: HostControlOptions;
  readonly #turn: HostTurn<Look, Write, Plan>;
  #next: { readonly look: Look } | null = null;
  #running: Promise<void> | null = null;
  #plan: Plan;
  #changes: readonly PlannedChange[] = [];

  constructor(options: HostControlOptions, turn: HostTurn<Look, Write, Plan>) {
    this.#options = options;
    this.#turn = turn;
    this.#plan = turn.nothing;
  }

  /** One look. Who comes while one is under way waits for the next, which is the latest that was asked for. */
  settle(look: Look): Promise<void> {
    this.#next = { look };
    this.#running ??= this.#drain();
    return this.#running;
  }

  /** Of the last look. */
  get plan(): Plan {
    return this.#plan;
  }

  /** Of this boot. */
  record(): JournalRecord | null {
    const stored = this.#options.journal.get(HOST, this.#turn.control);
    return stored?.instance === this.#options.bootId ? stored : null;
  }

  /** What the last look proposed, written since or not. */
  changes(): readonly PlannedChange[] {
    return this.#changes;
  }

  /** What became of it: one outcome, none when nothing was proposed. */
  outcomes(found: readonly HostStatus[]): readonly ControlOutcome[] {
    if (this.#changes.length === 0) return [];
    const base = { uuid: HOST, domain: HOST, control: this.#turn.control };
    if (this.#options.gate.stop() !== null) return [{ ...base, outcome: 'unchanged', message: null }];
    const amiss = found.filter(({ status }) => status !== 'holds');
    const worst = amiss.find(({ status }) => status === 'failed') ?? amiss[0];
    if (worst === undefined) return [{ ...base, outcome: 'applied', message: null }];
    return [
      { ...base, outcome: 'failed', message: `${worst.path}: ${worst.reason ?? 'something else was set meanwhile'}` },
    ];
  }

  /** Why nothing at all is written now. */
  obstacle(): string | null {
    const { gate, journal } = this.#options;
    const onDisk = journal.covers(HOST, this.#turn.control);
    return gate.stop() ?? (onDisk ? null : `what stood there before is not on disk: ${journal.saveError}`);
  }

  async #drain(): Promise<void> {
    try {
      for (let next = this.#next; next !== null; next = this.#next) {
        this.#next = null;
        await this.#look(next.look);
      }
    } finally {
      this.#running = null;
    }
  }

  async #look(look: Look): Promise<void> {
    const { gate } = this.#options;
    const { plan, attempt, looked } = this.#turn;
    this.#plan = plan(look);
    const { record, writes } = this.#plan;
    this.#changes = writes.filter(({ from, text }) => from !== text).map((write) => this.#changeOf(write));
    if (gate.stop() !== null || !(await this.#save(record))) return;
    let tried = false;
    for (const write of writes) {
      // Asked again before each: systemd may have been waited for.
      if (gate.stop() === null) tried = (await attempt(write)) || tried;
    }
    if (tried) {
      this.#plan = plan(look);
      // What was given back is forgotten.
      if (gate.stop() === null) await this.#save(this.#plan.record);
    }
    looked(this.#plan);
  }

  /** True once it is on disk. */
  async #save(next: JournalRecord | null): Promise<boolean> {
    const { journal, log } = this.#options;
    const { control, subject } = this.#turn;
    const stored = journal.get(HOST, control);
    try {
      if (next === null) {
        if (stored !== null) await journal.remove([{ uuid: HOST, control }]);
      } else if (!isDeepStrictEqual(stored, next)) {
        await journal.put([next]);
      } else if (!journal.covers(HOST, control)) {
        await journal.put([]);
      }
    } catch (error) {
      log.error('journal.save', { reason: (error as Error).message }, `cannot save originals: ${subject}`);
    }
    return journal.covers(HOST, control);
  }

  #changeOf({ key, path, action, from, text, why }: Write): PlannedChange {
    const base = { uuid: HOST, domain: HOST, className: null, control: this.#turn.control, source: null };
    return { ...base, key, path, action, from, to: text, why };
  }
}
