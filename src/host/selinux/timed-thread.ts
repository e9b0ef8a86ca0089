/**
 * One call at a time on a thread that may hang, with a deadline for each file it comes to. A thread that overruns is
 * called off for good: what it was at may end some day, or never.
 */
import type { LabelCall, LabelReply, LabelThread } from './label-thread.js';

export type CallEnd =
  | { readonly kind: 'reply'; readonly reply: LabelReply }
  /** `at`: index of the file under way; null when the thread has not even begun. */
  | { readonly kind: 'overran'; readonly at: number | null }
  | { readonly kind: 'ended'; readonly reason: string };

/** Looks per deadline. Counted, not timed: a daemon that was stopped for an hour blames no file for it. */
const LOOKS = 4;
/** A thread's start, on a host that is short of everything, may take this many deadlines. */
const START_DEADLINES = 5;

export class TimedThread {
  readonly #thread: LabelThread;
  readonly #deadlineMs: number;
  readonly #onReturned: () => void;
  #finish: ((end: CallEnd) => void) | null = null;

  /** `onReturned`: the call that had overrun is over. */
  constructor(thread: LabelThread, deadlineMs: number, onReturned: () => void) {
    this.#thread = thread;
    this.#deadlineMs = deadlineMs;
    this.#onReturned = onReturned;
    thread.onReply((reply) => this.#over({ kind: 'reply', reply }));
    thread.onEnd((reason) => this.#over({ kind: 'ended', reason }));
  }

  call(call: LabelCall): Promise<CallEnd> {
    return new Promise((resolve) => {
      const before = this.#thread.begun();
      let [seen, looks] = [before, 0];
      const timer = setInterval(() => {
        const begun = this.#thread.begun();
        if (begun !== seen) [seen, looks] = [begun, 0];
        else if (++looks >= (begun === before ? LOOKS * START_DEADLINES : LOOKS)) {
          this.#giveUp({ kind: 'overran', at: begun === before ? null : begun - before - 1 });
        }
      }, this.#deadlineMs / LOOKS);
      this.#finish = (end) => {
        clearInterval(timer);
        this.#finish = null;
        resolve(end);
      };
      this.#thread.post(call);
    });
  }

  /** Ends the thread; one that is in a call is left to it, and the process does not wait for it. */
  async stop(): Promise<void> {
    if (this.#finish === null) await this.#thread.stop();
    else this.#giveUp({ kind: 'ended', reason: 'it was told to end' });
  }

  #giveUp(end: CallEnd): void {
    this.#thread.callOff();
    this.#thread.unref();
    this.#finish?.(end);
  }

  #over(end: CallEnd): void {
    if (this.#finish !== null) {
      this.#finish(end);
      return;
    }
    if (end.kind === 'reply') void this.#thread.stop();
    this.#onReturned();
  }
}
