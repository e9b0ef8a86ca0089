/**
 * Deals calls out to worker threads and keeps their deadlines: takes a way to start a thread, gives a promise per call.
 * A thread makes one call at a time; calls with one key (a domain's uuid) are made one after another, so that a guest
 * that hangs holds one thread at most. A call that overruns its deadline is answered `timeout`, its key is quarantined
 * until the call returns, and its thread is abandoned and replaced, up to a limit; nothing can interrupt the thread. One
 * that comes back is taken on again where it has not been replaced yet: on a host so busy that a thread takes longer to
 * start than a call may take, no call would ever be made in time otherwise.
 */
import type { LibvirtFailure, LibvirtOutcome } from './client.js';
import type { Call, CallReply, CallValue } from './protocol.js';

/** One worker thread, as the pool sees it. */
export interface CallThread {
  post(call: Call): void;
  onReply(listener: (reply: CallReply) => void): void;
  /** It ended without being told to. */
  onEnd(listener: (reason: string) => void): void;
  /** Asks an idle thread to close its connection and end. Resolves when it has. */
  stop(): Promise<void>;
  /** Lets the process end without it. */
  unref(): void;
}

export interface CallPoolOptions {
  readonly startThread: () => CallThread;
  readonly size: number;
  readonly deadlineMs: number;
  /** Threads that may be stuck and replaced at one time. */
  readonly abandonedMax: number;
  /** A call that had overrun has come back after `afterMs`. */
  readonly onRecovered: (key: string, afterMs: number) => void;
  readonly onAbandoned: (key: string, call: Call) => void;
  /** Monotonic, ms. */
  readonly now: () => number;
}

type Outcome = LibvirtOutcome<CallValue>;

interface PendingCall {
  readonly key: string;
  readonly call: Call;
  readonly mayBegin: () => boolean;
  readonly resolve: (outcome: Outcome) => void;
}

/** A thread and the call it is making. */
interface Slot {
  readonly thread: CallThread;
  pending: PendingCall | null;
  deadline: NodeJS.Timeout | null;
  startedAtMs: number;
  overran: boolean;
}

export class CallPool {
  readonly #options: CallPoolOptions;
  readonly #slots = new Set<Slot>();
  readonly #abandoned = new Set<Slot>();
  /** Keys of calls that have overrun and not come back. */
  readonly #quarantined = new Set<string>();
  #stopped = false;
  /** Writes first: neither a start of many guests nor a round over all disks makes a limit wait behind readings. */
  readonly #queues: readonly [writes: PendingCall[], reads: PendingCall[], rounds: PendingCall[]] = [[], [], []];

  constructor(options: CallPoolOptions) {
    this.#options = options;
  }

  get quarantined(): readonly string[] {
    return [...this.#quarantined];
  }

  /** Threads stuck in a call that has overrun, replaced or not. */
  get stuck(): number {
    return this.#abandoned.size + [...this.#slots].filter((slot) => slot.overran).length;
  }

  /** `mayBegin` is asked when a thread has come free for it. */
  call(key: string, call: Call, mayBegin: () => boolean = () => true): Promise<Outcome> {
    if (this.#quarantined.has(key)) {
      return Promise.resolve(failure('quarantined', 'an earlier call about this domain has not come back yet'));
    }
    return new Promise((resolve) => {
      this.#queues[queueOf(call)].push({ key, call, mayBegin, resolve });
      this.#dispatch();
    });
  }

  /** Answers every call that no thread has begun. */
  failQueued(kind: LibvirtFailure, message: string): void {
    for (const pending of this.#takeQueued(() => true)) pending.resolve(failure(kind, message));
  }

  /** Ends the idle threads; those in a call are left to it, and the process does not wait for them. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.failQueued('disconnected', 'libvirt is being left');
    const slots = [...this.#slots];
    this.#slots.clear();
    await Promise.all(
      slots.map((slot) => {
        if (slot.deadline !== null) clearTimeout(slot.deadline);
        if (slot.pending === null) return slot.thread.stop();
        if (!slot.overran) slot.pending.resolve(failure('disconnected', 'libvirt is being left'));
        this.#abandon(slot);
        return undefined;
      }),
    );
  }

  #dispatch(): void {
    for (;;) {
      const idle = this.#idleSlot();
      if (idle === null) {
        if (this.#slots.size > 0 && [...this.#slots].every((slot) => slot.overran)) this.#failForWantOfThreads();
        return;
      }
      const pending = this.#nextCall();
      if (pending === null) return;
      if (!pending.mayBegin()) {
        pending.resolve(failure('withdrawn', 'not made: what it was to do was called off while it waited'));
        continue;
      }
      this.#begin(idle === 'new' ? this.#startSlot() : idle, pending);
    }
  }

  /** Threads are started when there is work for them. */
  #idleSlot(): Slot | 'new' | null {
    for (const slot of this.#slots) if (slot.pending === null) return slot;
    return this.#slots.size < this.#options.size ? 'new' : null;
  }

  /** The oldest call whose key is not in another thread's hands. */
  #nextCall(): PendingCall | null {
    const underWay = [...this.#slots].flatMap((slot) => (slot.pending === null ? [] : [{ ...slot.pending, slot }]));
    const busy = new Set(underWay.map(({ key }) => key));
    // Those of a round wait for QEMU: one at a time, so that guests that hang do not hold all threads at once.
    const roundUnderWay = underWay.some(({ call, slot }) => call.op === 'disks' && !slot.overran);
    if (!roundUnderWay && !this.#hasThreadToSpare()) this.#failRounds();
    for (const queue of roundUnderWay ? this.#queues.slice(0, 2) : this.#queues) {
      const index = queue.findIndex((pending) => !busy.has(pending.key));
      if (index >= 0) return queue.splice(index, 1)[0] ?? null;
    }
    return null;
  }

  /** False when one more call that hangs would leave no thread for anybody's limits. */
  #hasThreadToSpare(): boolean {
    const { size, abandonedMax } = this.#options;
    const stuck = [...this.#slots].filter((slot) => slot.overran).length;
    return this.#abandoned.size < abandonedMax || size - stuck > 1;
  }

  #failRounds(): void {
    for (const { resolve } of this.#queues[2].splice(0)) {
      resolve(failure('timeout', `not asked: ${this.stuck} libvirt workers wait for guests that do not answer`));
    }
  }

  #startSlot(): Slot {
    const thread = this.#options.startThread();
    const slot: Slot = { thread, pending: null, deadline: null, startedAtMs: 0, overran: false };
    this.#slots.add(slot);
    thread.onReply((reply) => this.#finish(slot, reply.outcome));
    thread.onEnd((reason) => {
      this.#slots.delete(slot);
      this.#abandoned.delete(slot);
      this.#finish(slot, failure('refused', `the libvirt worker ended: ${reason}`));
    });
    return slot;
  }

  #begin(slot: Slot, pending: PendingCall): void {
    slot.pending = pending;
    slot.startedAtMs = this.#options.now();
    slot.deadline = setTimeout(() => this.#overrun(slot, pending), this.#options.deadlineMs);
    slot.thread.post(pending.call);
  }

  #overrun(slot: Slot, pending: PendingCall): void {
    const { deadlineMs, abandonedMax, onAbandoned } = this.#options;
    slot.overran = true;
    slot.deadline = null;
    this.#quarantined.add(pending.key);
    pending.resolve(failure('timeout', `libvirt has not answered within ${deadlineMs / 1000} s`));
    for (const other of this.#takeQueued(({ key }) => key === pending.key)) {
      other.resolve(failure('quarantined', 'an earlier call about this domain has not come back yet'));
    }
    if (this.#abandoned.size < abandonedMax) {
      this.#slots.delete(slot);
      this.#abandon(slot);
    }
    onAbandoned(pending.key, pending.call);
    this.#dispatch();
  }

  #abandon(slot: Slot): void {
    this.#abandoned.add(slot);
    slot.thread.unref();
  }

  /** A call has come back, in time or not. */
  #finish(slot: Slot, outcome: Outcome): void {
    const pending = slot.pending;
    if (pending !== null) {
      slot.pending = null;
      if (slot.deadline !== null) clearTimeout(slot.deadline);
      slot.deadline = null;
      if (slot.overran) {
        slot.overran = false;
        this.#quarantined.delete(pending.key);
        this.#options.onRecovered(pending.key, this.#options.now() - slot.startedAtMs);
      } else {
        pending.resolve(outcome);
      }
    }
    if (this.#abandoned.delete(slot)) {
      if (this.#stopped || this.#slots.size >= this.#options.size) void slot.thread.stop();
      else this.#slots.add(slot);
    }
    this.#dispatch();
  }

  #failForWantOfThreads(): void {
    this.failQueued('timeout', `all ${this.stuck} libvirt workers wait for calls that do not come back`);
  }

  #takeQueued(wanted: (pending: PendingCall) => boolean): PendingCall[] {
    return this.#queues.flatMap((queue) => {
      const taken = queue.filter(wanted);
      const kept = queue.filter((pending) => !wanted(pending));
      queue.splice(0, queue.length, ...kept);
      return taken;
    });
  }
}

function queueOf(call: Call): 0 | 1 | 2 {
  if (call.op === 'disks') return 2;
  return call.op === 'list' || call.op === 'facts' ? 1 : 0;
}

function failure(kind: LibvirtFailure, message: string): Extract<Outcome, { ok: false }> {
  return { ok: false, failure: kind, message };
}
