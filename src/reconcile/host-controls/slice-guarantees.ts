/**
 * The host's own control `host.memory-guarantee`: holds the groups above guests (`machine.slice`, `/machine`, …) as far
 * protected as their guests' memory.guarantee needs, and gives back what stood there once no guest needs it. As with
 * guests, a record is on disk before the first write. At rest a look is one read a file.
 */
import { dirname } from 'node:path';
import type { Desired } from '../../controls/control.js';
import { ownerOf, SliceGroups } from '../../domains/slice-groups.js';
import type { Domain } from '../../domains/types.js';
import type { Group } from '../../host/cgroup/group.js';
import type { HandsOffRegister } from '../hands-off.js';
import type { ControlOutcome, PlannedChange } from '../types.js';
import { HostControl, type HostControlOptions } from './host-control.js';
import type { HostStatus } from './plan-host.js';
import {
  claimsOf,
  levelsFor,
  type ProtectionFile,
  planSlices,
  SLICE_CONTROL,
  type SlicePlan,
  type SliceWrite,
} from './slice-plan.js';
import { SliceWriter, type SliceWriterOptions } from './slice-writes.js';

export interface SliceGuaranteesOptions extends SliceWriterOptions, HostControlOptions {
  readonly handsOff: Pick<HandsOffRegister, 'of'>;
  readonly hostMemoryBytes: number;
  /** Null when there is no such directory; may throw when that cannot be told. */
  readonly openGroup: (directory: string) => Group | null;
}

export interface SliceGuest {
  readonly domain: Domain;
  /** What its class asks of memory.guarantee; null when that is not known now: what was given to it stands. */
  readonly desired: Desired | null;
}

export interface SliceStatus extends HostStatus {
  readonly file: ProtectionFile;
  readonly desiredBytes: number;
  /** Null when it cannot be read. */
  readonly actualBytes: number | null;
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
  readonly #control: HostControl<Look, SliceWrite, SlicePlan>;

  constructor(options: SliceGuaranteesOptions) {
    this.#options = options;
    this.#groups = new SliceGroups(options.openGroup);
    this.#writer = new SliceWriter(options, this.#groups);
    this.#control = new HostControl(options, {
      control: SLICE_CONTROL,
      subject: 'groups above guests are not written',
      nothing: { states: [], writes: [], record: null },
      plan: (look) => this.#planNow(look),
      attempt: (write) => this.#writer.attempt(write),
      looked: (plan) => this.#remember(plan),
    });
  }

  /**
   * One look, after that at the guests. `mayLower`: all guests, and what they are promised, are known; without it nothing
   * is lowered.
   */
  settle(guests: readonly SliceGuest[], { mayLower }: { readonly mayLower: boolean }): Promise<void> {
    return this.#control.settle({ guests, mayLower });
  }

  /** What the last look proposed, written since or not. */
  changes(): readonly PlannedChange[] {
    return this.#control.changes();
  }

  /** What became of it: one outcome, none when nothing was proposed. */
  outcomes(): readonly ControlOutcome[] {
    return this.#control.outcomes(this.snapshot());
  }

  snapshot(): readonly SliceStatus[] {
    const finite = (bytes: number): number => Math.min(bytes, this.#options.hostMemoryBytes);
    return this.#control.plan.states.map(({ path, file, desiredBytes, actualBytes, write }) => {
      const base = { path, file, desiredBytes: finite(desiredBytes) };
      if (actualBytes === null) {
        return { ...base, actualBytes, status: 'failed', reason: 'there is no such file, or it cannot be read' };
      }
      const found = { ...base, actualBytes: finite(actualBytes) };
      if (write === null) return { ...found, status: 'holds', reason: null };
      const failure = this.#writer.failure(path);
      if (failure !== null) return { ...found, status: 'failed', reason: failure };
      const spaced = this.#writer.contested(path) ? 'someone else keeps changing it: repairs are spaced out' : null;
      return { ...found, status: 'pending', reason: this.#control.obstacle() ?? spaced };
    });
  }

  /** An operator wants it done now, whatever failed before. */
  retry(): void {
    this.#writer.retry();
  }

  close(): void {
    this.#groups.close();
  }

  #planNow({ guests, mayLower }: Look): SlicePlan {
    const { journal, handsOff, hostMemoryBytes, bootId } = this.#options;
    const counted = guests.map(({ domain, desired }) => {
      const record = journal.get(domain.uuid, 'memory.guarantee');
      return { domain, desired, record, handsOff: handsOff.of(domain.uuid)?.kind ?? null };
    });
    return planSlices({
      levels: levelsFor(counted.flatMap(claimsOf), hostMemoryBytes),
      record: this.#control.record(),
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

  #remember({ states, record }: SlicePlan): void {
    this.#held.clear();
    for (const { path, actualBytes } of states) {
      const text = record?.settings[path]?.written.at(-1);
      if (text !== undefined && Number(text) === actualBytes) this.#held.set(path, text);
    }
    const paths = states.map(({ path }) => path);
    this.#writer.keep(paths);
    this.#groups.keep(paths);
  }
}
