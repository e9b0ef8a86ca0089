/**
 * The host's own control `host.memory-guarantee`: holds the groups above guests (`machine.slice`, `/machine`, …) as far
 * protected as their guests' memory.guarantee needs, and gives back what stood there once no guest needs it. As with
 * guests, a record is on disk before the first write. At rest a look is one read a file.
 */
import { dirname } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import type { Desired } from '../controls/control.js';
import { ownerOf, SliceGroups } from '../domains/slice-groups.js';
import type { Domain } from '../domains/types.js';
import type { Group } from '../host/cgroup/group.js';
import type { Gate } from './gate.js';
import type { HandsOffRegister } from './hands-off.js';
import type { Journal } from './journal.js';
import type { JournalRecord } from './journal-format.js';
import {
  claimsOf,
  HOST,
  levelsFor,
  type ProtectionFile,
  planSlices,
  SLICE_CONTROL,
  type SlicePlan,
  type SliceWrite,
} from './slice-plan.js';
import { SliceWriter, type SliceWriterOptions } from './slice-writes.js';
import type { ControlOutcome, PlannedChange } from './types.js';

export interface SliceGuaranteesOptions extends SliceWriterOptions {
  readonly journal: Pick<Journal, 'get' | 'put' | 'remove' | 'covers' | 'saveError'>;
  readonly gate: Pick<Gate, 'stop'>;
  readonly handsOff: Pick<HandsOffRegister, 'of'>;
  readonly hostMemoryBytes: number;
  /** A record of another boot is worth nothing: properties set at run time and groups went with it. */
  readonly bootId: string;
  /** Null when there is no such directory; may throw when that cannot be told. */
  readonly openGroup: (directory: string) => Group | null;
}

export interface SliceGuest {
  readonly domain: Domain;
  /** What its class asks of memory.guarantee; null when that is not known now: what was given to it stands. */
  readonly desired: Desired | null;
}

export interface SliceStatus {
  /** Of the file. */
  readonly path: string;
  readonly file: ProtectionFile;
  readonly desiredBytes: number;
  /** Null when it cannot be read. */
  readonly actualBytes: number | null;
  readonly status: 'holds' | 'pending' | 'failed';
  readonly reason: string | null;
}

interface Look {
  readonly guests: readonly SliceGuest[];
  readonly mayLower: boolean;
}

export class SliceGuarantees {
  readonly #options: SliceGuaranteesOptions;
  readonly #groups: SliceGroups;
  readonly #writer: SliceWriter;
  /** Path → text that was seen to hold. */
  readonly #held = new Map<string, string>();
  #next: Look | null = null;
  #running: Promise<void> | null = null;
  #plan: SlicePlan = { states: [], writes: [], record: null };
  #changes: readonly PlannedChange[] = [];

  constructor(options: SliceGuaranteesOptions) {
    this.#options = options;
    this.#groups = new SliceGroups(options.openGroup);
    this.#writer = new SliceWriter(options, this.#groups);
  }

  /**
   * One look, after that at the guests. `mayLower`: all guests, and what they are promised, are known; without it nothing
   * is lowered. Who comes while one is under way waits for the next, which is over the latest guests.
   */
  settle(guests: readonly SliceGuest[], { mayLower }: { readonly mayLower: boolean }): Promise<void> {
    this.#next = { guests, mayLower };
    this.#running ??= this.#drain();
    return this.#running;
  }

  /** What the last look proposed, written since or not. */
  changes(): readonly PlannedChange[] {
    return this.#changes;
  }

  /** What became of it: one outcome, none when nothing was proposed. */
  outcomes(): readonly ControlOutcome[] {
    if (this.#changes.length === 0) return [];
    const base = { uuid: HOST, domain: HOST, control: SLICE_CONTROL };
    if (this.#options.gate.stop() !== null) return [{ ...base, outcome: 'unchanged', message: null }];
    const amiss = this.snapshot().filter(({ status }) => status !== 'holds');
    const worst = amiss.find(({ status }) => status === 'failed') ?? amiss[0];
    if (worst === undefined) return [{ ...base, outcome: 'applied', message: null }];
    return [
      { ...base, outcome: 'failed', message: `${worst.path}: ${worst.reason ?? 'something else was set meanwhile'}` },
    ];
  }

  snapshot(): readonly SliceStatus[] {
    const finite = (bytes: number): number => Math.min(bytes, this.#options.hostMemoryBytes);
    return this.#plan.states.map(({ path, file, desiredBytes, actualBytes, write }) => {
      const base = { path, file, desiredBytes: finite(desiredBytes) };
      if (actualBytes === null) {
        return { ...base, actualBytes, status: 'failed', reason: 'there is no such file, or it cannot be read' };
      }
      const found = { ...base, actualBytes: finite(actualBytes) };
      if (write === null) return { ...found, status: 'holds', reason: null };
      const failure = this.#writer.failure(path);
      if (failure !== null) return { ...found, status: 'failed', reason: failure };
      const spaced = this.#writer.contested(path) ? 'someone else keeps changing it: repairs are spaced out' : null;
      return { ...found, status: 'pending', reason: this.#obstacle() ?? spaced };
    });
  }

  /** An operator wants it done now, whatever failed before. */
  retry(): void {
    this.#writer.retry();
  }

  close(): void {
    this.#groups.close();
  }

  async #drain(): Promise<void> {
    try {
      for (let look = this.#next; look !== null; look = this.#next) {
        this.#next = null;
        await this.#look(look);
      }
    } finally {
      this.#running = null;
    }
  }

  async #look(look: Look): Promise<void> {
    const { gate } = this.#options;
    this.#plan = this.#planNow(look);
    const { record, writes } = this.#plan;
    this.#changes = writes.filter(({ from, text }) => from !== text).map(changeOf);
    if (gate.stop() !== null || !(await this.#record(record))) return;
    let tried = false;
    for (const write of writes) {
      // Asked again before each: systemd may have been waited for.
      if (gate.stop() === null) tried = (await this.#writer.attempt(write)) || tried;
    }
    if (tried) {
      this.#plan = this.#planNow(look);
      // What was given back is forgotten.
      if (gate.stop() === null) await this.#record(this.#plan.record);
    }
    this.#remember();
  }

  #planNow({ guests, mayLower }: Look): SlicePlan {
    const { journal, handsOff, hostMemoryBytes, bootId } = this.#options;
    const counted = guests.map(({ domain, desired }) => {
      const record = journal.get(domain.uuid, 'memory.guarantee');
      return { domain, desired, record, handsOff: handsOff.of(domain.uuid)?.kind ?? null };
    });
    const stored = journal.get(HOST, SLICE_CONTROL);
    return planSlices({
      levels: levelsFor(counted.flatMap(claimsOf), hostMemoryBytes),
      record: stored?.instance === bootId ? stored : null,
      bootId,
      read: (path) => this.#groups.read(path),
      gone: (path) => {
        if (!this.#groups.gone(path)) return null;
        return ownerOf(dirname(path)).kind === 'none' ? 'for good' : 'for now';
      },
      held: (path, text) => this.#held.get(path) === text,
      unsettled: (path) => this.#writer.unsettled(path),
      mayLower,
      leaving: counted.some((one) => one.handsOff === 'released') ? 'release' : 'leave',
    });
  }

  /** True once it is on disk. */
  async #record(next: JournalRecord | null): Promise<boolean> {
    const { journal, log } = this.#options;
    const stored = journal.get(HOST, SLICE_CONTROL);
    try {
      if (next === null) {
        if (stored !== null) await journal.remove([{ uuid: HOST, control: SLICE_CONTROL }]);
      } else if (!isDeepStrictEqual(stored, next)) {
        await journal.put([next]);
      } else if (!journal.covers(HOST, SLICE_CONTROL)) {
        await journal.put([]);
      }
    } catch (error) {
      const reason = (error as Error).message;
      log.error('journal.save', { reason }, 'cannot save originals: groups above guests are not written');
    }
    return journal.covers(HOST, SLICE_CONTROL);
  }

  #remember(): void {
    const { states, record } = this.#plan;
    this.#held.clear();
    for (const { path, actualBytes } of states) {
      const text = record?.settings[path]?.written.at(-1);
      if (text !== undefined && Number(text) === actualBytes) this.#held.set(path, text);
    }
    const paths = states.map(({ path }) => path);
    this.#writer.keep(paths);
    this.#groups.keep(paths);
  }

  /** Why nothing at all is written now. */
  #obstacle(): string | null {
    const { gate, journal } = this.#options;
    const onDisk = journal.covers(HOST, SLICE_CONTROL);
    return gate.stop() ?? (onDisk ? null : `what stood there before is not on disk: ${journal.saveError}`);
  }
}

function changeOf({ path, action, from, text, why }: SliceWrite): PlannedChange {
  const base = { uuid: HOST, domain: HOST, className: null, control: SLICE_CONTROL, source: null };
  return { ...base, key: path, path, action, from, to: text, why };
}
