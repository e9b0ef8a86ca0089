/**
 * The host's own control `host.io-cost`: keeps the kernel's io cost controller on for the whole disks on which guests need
 * it for their disk.weight, and switches it off again once none does. A record is on disk before the first write. The
 * kernel lets the writer wait until no request of that disk is under way; so a thread writes, one at a time, and one
 * that has not come back in time is waited for without holding anything else up.
 */
import { join } from 'node:path';
import { SliceGroups } from '../../domains/slice-groups.js';
import type { DiskQueue } from '../../host/block/disk-queue.js';
import type { GroupFile } from '../../host/cgroup/codec.js';
import type { Group } from '../../host/cgroup/group.js';
import { IO_COST_FILE } from '../../host/cgroup/io-cost-file.js';
import { explainErrno, type writeGroupFileLater } from '../apply.js';
import type { ControlOutcome, PlannedChange } from '../types.js';
import { HostControl, type HostControlOptions } from './host-control.js';
import { type Attempt, failed, HostWrites, type HostWritesOptions } from './host-writes.js';
import { HOST, type HostWrite } from './plan-host.js';
import {
  deviceOf,
  IO_COST_CONTROL,
  type IoCostGuest,
  type IoCostPlan,
  type IoCostState,
  type IoCostStatus,
  keyOf,
  needsOf,
  ON,
  planIoCost,
} from './plan-io-cost.js';

/** Requests of a healthy disk are over sooner. */
const WRITE_MS = 2_000;

export interface IoCostOptions extends HostWritesOptions, HostControlOptions {
  /** Mount point of cgroup v2's io controller; null where v1 has it, which knows nothing like it. */
  readonly root: string | null;
  /** Null when there is no such directory; may throw when that cannot be told. */
  readonly openGroup: (directory: string) => Group | null;
  readonly write: typeof writeGroupFileLater;
  /** Looked at again right before a write: the scheduler may have been changed since the guest's disks were. */
  diskQueue(device: string): Promise<Pick<DiskQueue, 'scheduler'>>;
  /** It was switched for this disk: who keeps weights there is another one now. */
  switched(device: string): Promise<void>;
  readonly waitMs?: number;
}

interface Look {
  readonly guests: readonly IoCostGuest[];
  readonly allKnown: boolean;
}

export class IoCost {
  readonly #options: IoCostOptions;
  readonly #path: string;
  readonly #groups: SliceGroups;
  readonly #writes: HostWrites;
  readonly #control: HostControl<Look, HostWrite, IoCostPlan>;
  /** Devices for which it was seen to be on, of ours. */
  #held: ReadonlySet<string> = new Set();
  /** The one whose write has not come back. */
  #waitingFor: string | null = null;

  constructor(options: IoCostOptions) {
    this.#options = options;
    this.#path = join(options.root ?? '/', IO_COST_FILE);
    this.#groups = new SliceGroups(options.openGroup);
    this.#writes = new HostWrites(IO_COST_CONTROL, 'weights of guests on this disk are as they were', options);
    this.#control = new HostControl(options, {
      control: IO_COST_CONTROL,
      subject: 'the io cost controller is not switched',
      nothing: { states: [], writes: [], record: null },
      plan: (look) => this.#planNow(look),
      attempt: (write) => this.#attempt(write),
      looked: (plan) => this.#remember(plan),
    });
  }

  /** True when something may have to be given back, or an old record forgotten. */
  get engaged(): boolean {
    return this.#control.plan.states.length > 0 || this.#options.journal.get(HOST, IO_COST_CONTROL) !== null;
  }

  /** One look. `allKnown`: all guests, and what their classes are, are known; without it nothing is switched off. */
  async settle(guests: readonly IoCostGuest[], { allKnown }: { readonly allKnown: boolean }): Promise<void> {
    if (this.#options.root !== null) await this.#control.settle({ guests, allKnown });
  }

  /** What the last look proposed, written since or not. */
  changes(): readonly PlannedChange[] {
    return this.#control.changes();
  }

  /** What became of it: one outcome, none when nothing was proposed. */
  outcomes(): readonly ControlOutcome[] {
    return this.#control.outcomes(this.snapshot());
  }

  snapshot(): readonly IoCostStatus[] {
    return this.#control.plan.states.map((state) => ({ ...this.#statusOf(state), path: this.#path, ...shown(state) }));
  }

  /** An operator wants it done now, whatever failed before. */
  retry(): void {
    this.#writes.retry();
  }

  close(): void {
    this.#groups.close();
  }

  #statusOf({ device, actual, desired, write }: IoCostState): Pick<IoCostStatus, 'status' | 'reason'> {
    const key = keyOf(device);
    if (actual === null) return { status: 'failed', reason: 'this kernel has no such file, or it cannot be read' };
    const failure = this.#writes.failure(key);
    if (actual !== desired && failure !== null) return { status: 'failed', reason: failure };
    if (write === null) return { status: actual === desired ? 'holds' : 'pending', reason: null };
    const spaced = this.#writes.contested(key) ? 'someone else keeps changing it: repairs are spaced out' : null;
    return { status: 'pending', reason: this.#control.obstacle() ?? spaced };
  }

  #planNow({ guests, allKnown }: Look): IoCostPlan {
    const needs = needsOf(guests);
    return planIoCost({
      needs: needs.disks,
      record: this.#control.record(),
      bootId: this.#options.bootId,
      path: this.#path,
      read: (device) => this.#groups.read(this.#path, device),
      held: (device) => this.#held.has(device),
      unsettled: (device) => this.#waitingFor === device,
      mayTurnOff: allKnown && needs.known,
      leaving: guests.some(({ handsOff }) => handsOff === 'released') ? 'release' : 'leave',
    });
  }

  /** False when it was not tried: put off, contested, one is waited for, or something else stands there by now. */
  async #attempt(write: HostWrite): Promise<boolean> {
    const { diskQueue, gate, switched } = this.#options;
    const device = deviceOf(write.key);
    if (!this.#writes.due(write.key) || this.#writes.contested(write.key) || this.#waitingFor !== null) return false;
    if (write.text === ON) {
      const { scheduler } = await diskQueue(device);
      if (scheduler === 'bfq') await switched(device);
      if (scheduler === null) this.#writes.note(write, failed('its scheduler cannot be told now'));
      if (scheduler === 'bfq' || scheduler === null) return false;
    }
    const at = this.#groups.at(this.#path, device);
    if (at === null || this.#groups.read(this.#path, device) !== write.from || gate.stop() !== null) return false;
    this.#writes.note(write, await this.#inTime(device, at, write.text));
    await switched(device);
    return true;
  }

  async #inTime(device: string, at: GroupFile, text: string): Promise<Attempt> {
    const { write, waitMs = WRITE_MS, switched } = this.#options;
    this.#waitingFor = device;
    const answer = write(at, text)
      .then((result): Attempt => {
        if (result.kind === 'written') return { outcome: 'applied', message: null };
        if (result.kind === 'refused') return failed(explainErrno(result.errno, result.message));
        const actual = result.kind === 'differs' ? result.actual : null;
        return failed(`the kernel took ${text} and stands at ${actual ?? 'nothing'}`);
      })
      .finally(() => {
        this.#waitingFor = null;
      });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<'late'>((resolve) => {
      timer = setTimeout(resolve, waitMs, 'late');
    });
    const first = await Promise.race([answer, late]);
    clearTimeout(timer);
    if (first !== 'late') return first;
    void answer.then(() => switched(device)).catch(() => undefined);
    return failed(`the disk has not come to rest within ${waitMs / 1000} s; it is waited for`);
  }

  #remember({ states }: IoCostPlan): void {
    this.#held = new Set(states.filter(({ ours, actual }) => ours && actual === true).map(({ device }) => device));
    this.#writes.keep(states.map(({ device }) => keyOf(device)));
  }
}

function shown({ device, name, desired, actual, ours }: IoCostState): Omit<IoCostStatus, 'path' | 'status' | 'reason'> {
  return { device, name, desired, actual, ours };
}
