/**
 * What is shown, logged and counted of each guest's way through save and restore; the same words keep the time at which
 * they were first said.
 */
import type { Log } from '../../log.js';
import type { SaveRestoreSnapshot } from '../../snapshot/security.js';
import type { Counters } from '../counters.js';
import type { Journey } from './state.js';

/** `called off`: nothing speaks against another try. */
export type Outcome = 'done' | 'failed' | 'called off';

export interface SaveRestoreSaidOptions {
  readonly counters: Counters;
  readonly log: Log;
  nowMs(): number;
}

export class SaveRestoreSaid {
  readonly #options: SaveRestoreSaidOptions;
  readonly #said = new Map<string, SaveRestoreSnapshot>();

  constructor(options: SaveRestoreSaidOptions) {
    this.#options = options;
  }

  of(uuid: string): SaveRestoreSnapshot | null {
    return this.#said.get(uuid) ?? null;
  }

  say(
    uuid: string,
    phase: SaveRestoreSnapshot['phase'],
    message: string,
    { downtimeSeconds, atMs }: { readonly downtimeSeconds?: number | null; readonly atMs?: number } = {},
  ): void {
    const before = this.#said.get(uuid);
    if (before?.phase === phase && before.message === message && downtimeSeconds === undefined) return;
    this.#said.set(uuid, {
      phase,
      message,
      atMs: atMs ?? this.#options.nowMs(),
      downtimeSeconds: downtimeSeconds ?? null,
    });
  }

  /** As a daemon before this one left it. */
  sayFailed(uuid: string, { message, atMs }: { readonly message: string; readonly atMs: number }): void {
    if (this.#said.get(uuid)?.phase !== 'failed') this.say(uuid, 'failed', message, { atMs });
  }

  /** @returns the words that are shown */
  ended({ uuid, name, to, from }: Journey, outcome: Outcome, message: string, downtimeMs: number | null): string {
    const { counters, log } = this.#options;
    const downtimeSeconds = downtimeMs === null ? null : downtimeMs / 1000;
    const fields = { domain: name, uuid, to, from, downtimeSeconds };
    const words = outcome === 'failed' ? `${message}; not tried again for this label` : message;
    this.say(uuid, outcome === 'called off' ? 'waiting' : outcome, words, { downtimeSeconds });
    if (outcome !== 'called off') counters.saveRestores[outcome]++;
    if (outcome === 'done') log.info('svirt.save_restore_done', fields, words);
    else if (outcome === 'failed') log.error('svirt.save_restore_failed', { ...fields, reason: message }, words);
    else log.warn('svirt.save_restore_called_off', fields, words);
    return words;
  }

  /** Of those that do not want it any more; that it was done is told on. */
  forget(mayForget: (uuid: string) => boolean): void {
    for (const [uuid, { phase }] of this.#said) {
      if (phase !== 'done' && mayForget(uuid)) this.#said.delete(uuid);
    }
  }
}
