/**
 * Calls that may take minutes: implements saving.ts, each call on a thread of its own that is started for it and ends with
 * it. A call that overruns is answered `timeout` and its thread left to it; until it comes back, the guest's further calls
 * are answered `quarantined`. Only a guest that is being saved can be told to go on: libvirt has no other way to call one off.
 */
import type { CallThread } from './call-pool.js';
import type { LibvirtFailure, LibvirtOutcome } from './client.js';
import type { CallValue, SaveCall } from './protocol.js';
import type { LibvirtSaving, SavedImage, SaveOptions, StartOptions } from './saving.js';

export interface LongCallsOptions {
  readonly startThread: () => CallThread;
  /** For the calls that wait for no guest's memory. */
  readonly deadlineMs: number;
  /** Why libvirt cannot be asked now; null when it can. */
  readonly disconnected: () => string | null;
  /** A call that had overrun has come back. */
  readonly onRecovered: (uuid: string, op: SaveCall['op'], afterMs: number) => void;
  readonly onOverrun: (uuid: string, op: SaveCall['op']) => void;
  /** Monotonic, ms. */
  readonly now: () => number;
}

type Outcome = LibvirtOutcome<CallValue>;

/** Threads at one time: a guest is saved at a time, and each that hangs keeps one. */
const THREADS_MAX = 8;
/** What an aborted save may take to end: QEMU is asked, and goes on with the guest. */
const ABORT_MS = 10_000;
/** A save that has only just begun, or is nearly done, has no job that could be aborted. */
const ABORT_AGAIN_MS = 250;

interface Running {
  readonly thread: CallThread;
  readonly call: SaveCall;
  overran: boolean;
}

export class LongCalls implements LibvirtSaving {
  readonly #options: LongCallsOptions;
  readonly #running = new Set<Running>();
  #stopped = false;

  constructor(options: LongCallsOptions) {
    this.#options = options;
  }

  /** Guests whose call has overrun and not come back. */
  get quarantined(): readonly string[] {
    return [...new Set([...this.#running].filter(({ overran }) => overran).map(({ call }) => call.uuid))];
  }

  /** Threads of such calls. */
  get stuck(): number {
    return [...this.#running].filter(({ overran }) => overran).length;
  }

  /** Leaves every call to itself: libvirt makes it to the end, and the process does not wait for it. */
  stop(): void {
    this.#stopped = true;
    for (const { thread } of this.#running) thread.unref();
  }

  async managedSave(uuid: string, id: number, options: SaveOptions): Promise<LibvirtOutcome<null>> {
    const { paused, abortAfterMs, signal } = options;
    if (signal?.aborted) return failure('withdrawn', 'not begun: it was called off');
    const aborted = new AbortController();
    const save = this.#call<null>({ op: 'managedSave', uuid, id, paused }, abortAfterMs + ABORT_MS).finally(() =>
      aborted.abort(),
    );
    const early = await Promise.race([save, calledOff(abortAfterMs, signal, aborted.signal)]);
    if (typeof early !== 'string') return early;
    for (let since = this.#options.now(); this.#options.now() - since < ABORT_MS; ) {
      await this.abortJob(uuid);
      const outcome = await Promise.race([save, sleep(ABORT_AGAIN_MS)]);
      if (outcome !== null) return described(outcome, early);
    }
    return described(await save, early);
  }

  abortJob(uuid: string): Promise<LibvirtOutcome<null>> {
    return this.#call({ op: 'abortJob', uuid });
  }

  hasManagedSave(uuid: string): Promise<LibvirtOutcome<boolean>> {
    return this.#call({ op: 'hasManagedSave', uuid });
  }

  managedSaveXml(uuid: string): Promise<LibvirtOutcome<SavedImage>> {
    return this.#call({ op: 'managedSaveXml', uuid });
  }

  managedSaveDefine(uuid: string, text: string): Promise<LibvirtOutcome<null>> {
    return this.#call({ op: 'managedSaveDefine', uuid, text });
  }

  startGuest(uuid: string, { paused, restoreOnly = false, deadlineMs }: StartOptions): Promise<LibvirtOutcome<number>> {
    return this.#call({ op: 'startGuest', uuid, paused, restoreOnly }, deadlineMs);
  }

  suspend(uuid: string, id: number): Promise<LibvirtOutcome<null>> {
    return this.#call({ op: 'suspend', uuid, id });
  }

  resume(uuid: string, id: number): Promise<LibvirtOutcome<null>> {
    return this.#call({ op: 'resume', uuid, id });
  }

  #call<T>(call: SaveCall, deadlineMs = this.#options.deadlineMs): Promise<LibvirtOutcome<T>> {
    return this.#make(call, deadlineMs) as Promise<LibvirtOutcome<T>>;
  }

  async #make(call: SaveCall, deadlineMs: number): Promise<Outcome> {
    const disconnected = this.#stopped ? 'libvirt is being left' : this.#options.disconnected();
    if (disconnected !== null) return failure('disconnected', disconnected);
    const busy = [...this.#running].find((one) => one.call.uuid === call.uuid && one.call.op !== 'abortJob');
    if (busy !== undefined && call.op !== 'abortJob') {
      return failure('quarantined', `${busy.call.op} of this domain has not come back yet`);
    }
    if (this.#running.size >= THREADS_MAX) {
      return failure('timeout', `all ${THREADS_MAX} threads wait for calls that do not come back`);
    }
    return this.#begin(call, deadlineMs);
  }

  #begin(call: SaveCall, deadlineMs: number): Promise<Outcome> {
    const { onOverrun, onRecovered, now } = this.#options;
    const running: Running = { thread: this.#options.startThread(), call, overran: false };
    const { thread } = running;
    this.#running.add(running);
    const beganMs = now();
    return new Promise((resolve) => {
      const timer = setTimeout(() => {
        running.overran = true;
        thread.unref();
        onOverrun(call.uuid, call.op);
        resolve(
          failure('timeout', `${call.op} has not come back within ${deadlineMs / 1000} s, and may still take effect`),
        );
      }, deadlineMs);
      const end = (outcome: Outcome): void => {
        if (!this.#running.delete(running)) return;
        clearTimeout(timer);
        if (running.overran && !this.quarantined.includes(call.uuid)) {
          onRecovered(call.uuid, call.op, now() - beganMs);
        }
        resolve(outcome);
      };
      thread.onReply(({ outcome }) => {
        end(outcome);
        void thread.stop();
      });
      thread.onEnd((reason) => end(failure('refused', `the libvirt worker ended: ${reason}`)));
      thread.post(call);
    });
  }
}

/** Why, once it is; never when `done` comes first. */
function calledOff(afterMs: number, signal: AbortSignal | undefined, done: AbortSignal): Promise<string> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(`it was not done within ${afterMs / 1000} s`), afterMs);
    signal?.addEventListener('abort', () => resolve('it was called off'), { once: true, signal: done });
    done.addEventListener('abort', () => clearTimeout(timer), { once: true });
  });
}

/** A save that was to be aborted may have come to its end all the same. */
function described(outcome: LibvirtOutcome<null>, why: string): LibvirtOutcome<null> {
  if (outcome.ok || outcome.failure === 'vanished' || outcome.failure === 'disconnected') return outcome;
  return failure('timeout', `${why}: ${outcome.message}`);
}

function sleep(ms: number): Promise<null> {
  return new Promise((resolve) => setTimeout(resolve, ms, null));
}

function failure(kind: LibvirtFailure, message: string): Extract<Outcome, { ok: false }> {
  return { ok: false, failure: kind, message };
}
