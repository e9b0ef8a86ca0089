/** Waiting with an end: for a time, or for something to become true. */
import { setTimeout as delay } from 'node:timers/promises';
import { PATIENCE } from './lab-kind.js';

export async function sleep(seconds: number, signal?: AbortSignal): Promise<void> {
  await delay(seconds * 1000, undefined, signal === undefined ? {} : { signal });
}

export interface WaitOptions {
  /** Longer where everything is emulated. */
  readonly seconds: number;
  readonly everyMs?: number;
  readonly signal?: AbortSignal;
}

type Falsy = false | null | undefined | 0 | '';

/** Probes until the answer is truthy and gives it back; throws, naming `what`, when the time is over. */
export async function waitUntil<T>(
  what: string,
  probe: () => T | Promise<T>,
  { seconds, everyMs = 20 * PATIENCE, signal }: WaitOptions,
): Promise<Exclude<T, Falsy>> {
  const end = performance.now() + seconds * PATIENCE * 1000;
  for (;;) {
    signal?.throwIfAborted();
    const answer = await probe();
    if (answer) return answer as Exclude<T, Falsy>;
    if (performance.now() >= end) throw new Error(`waited ${seconds * PATIENCE} s in vain for ${what}`);
    await sleep(everyMs / 1000, signal);
  }
}
