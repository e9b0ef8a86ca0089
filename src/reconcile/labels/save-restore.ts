/**
 * Puts the label of a running guest's definition in force at once, without a reboot of the guest: its memory is saved,
 * the saved image gets the new label, and it is started again. One guest at a time, with a record on disk before each step,
 * so that a daemon that was killed in between brings the guest back. Once a guest is off, everything else waits: with the new
 * label or the old one, it is started again, whatever a kill switch or an operator says meanwhile. What cannot be known is
 * asked again, for as long as it takes.
 */
import type { Domain } from '../../domains/types.js';
import type { LibvirtClient, LibvirtOutcome } from '../../host/libvirt/client.js';
import type { Log } from '../../log.js';
import type { SaveRestoreSnapshot } from '../../snapshot/security.js';
import { seclabelText } from '../../svirt/seclabel.js';
import type { Counters } from '../counters.js';
import { type Candidate, measuredSpeed } from './save-restore-checks.js';
import { type Where, whereIs } from './save-restore-look.js';
import { type Outcome, SaveRestoreSaid } from './save-restore-said.js';
import type { Journey, LabelState } from './state.js';

export interface SaveRestoreOptions {
  readonly libvirt: LibvirtClient;
  readonly state: LabelState;
  readonly counters: Counters;
  readonly log: Log;
  nowMs(): number;
  monotonicMs(): number;
  /** False: nothing new is begun. */
  mayBegin(domain: Domain): boolean;
  /** Whether it is known what the guest wants. */
  isKnown(uuid: string): boolean;
  /** Who wants it now and may have it, or why not. */
  candidates(): Promise<readonly Candidate[]>;
}

/** A start reads the whole memory from disk; it cannot be called off, so it is only waited for. */
const START_MS = 3_600_000;
/** A guest that would not start is tried again for as long as it is off. */
const FIRST_RETRY_MS = 5_000;
const MOST_RETRY_MS = 300_000;
/** A save that was asked for waits this long for other jobs about the guest before libvirt gives it up (30 s), with reserve. */
const BEGIN_MOST_MS = 60_000;
/** A pause that outlasts what was allowed by this is somebody's wish, and no save. */
const PAUSED_MOST_MS = 600_000;

export class SaveRestore {
  readonly #options: SaveRestoreOptions;
  readonly #said: SaveRestoreSaid;
  readonly #abort = new AbortController();
  #running: Promise<void> | null = null;
  #failures = 0;
  #notBeforeMs = 0;
  /** What a guest that was left half way was last found as, and since when. */
  #found: { readonly kind: Where['kind']; readonly sinceMs: number } | null = null;

  constructor(options: SaveRestoreOptions) {
    this.#options = options;
    this.#said = new SaveRestoreSaid(options);
  }

  /** Begins what is due, or goes on with what a daemon before this one began. Nothing while one is under way. */
  act(): void {
    if (this.#running !== null || this.#abort.signal.aborted || this.#options.monotonicMs() < this.#notBeforeMs) return;
    const { journey } = this.#options.state.current;
    const work = journey === null ? this.#next() : this.#resume(journey);
    this.#running = work
      .catch((error: Error) => {
        this.#notBeforeMs = this.#options.monotonicMs() + FIRST_RETRY_MS;
        this.#options.log.error('svirt.save_restore_error', { reason: error.message });
      })
      .finally(() => {
        this.#running = null;
      });
  }

  of(uuid: string): SaveRestoreSnapshot | null {
    return this.#said.of(uuid);
  }

  /** The guest's coming and going is this one's doing: it is left alone otherwise. */
  isUnderWay(uuid: string): boolean {
    return this.#options.state.current.journey?.uuid === uuid;
  }

  async idle(): Promise<void> {
    await this.#running;
  }

  /** A guest that is being saved goes on where it was; one that is off already is still started. */
  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #next(): Promise<void> {
    const { candidates, mayBegin, state } = this.#options;
    const wanting = new Set<string>();
    for (const candidate of await candidates()) {
      const { domain, to, refused } = candidate;
      const { uuid } = domain;
      wanting.add(uuid);
      const failed = state.current.failed[uuid];
      if (failed?.to === to) this.#said.sayFailed(uuid, failed);
      else if (refused !== null) this.#said.say(uuid, 'refused', refused);
      else if (!mayBegin(domain)) this.#said.say(uuid, 'waiting', 'nothing may be begun now');
      else if (!this.#abort.signal.aborted) {
        await this.#begin(candidate);
        return;
      }
    }
    await this.#forget(wanting);
  }

  /** Who wants it no more may be tried again when it does. */
  async #forget(wanting: ReadonlySet<string>): Promise<void> {
    const { isKnown, state } = this.#options;
    this.#said.forget((uuid) => !wanting.has(uuid) && isKnown(uuid));
    const failed = Object.entries(state.current.failed);
    const kept = failed.filter(([uuid]) => wanting.has(uuid) || !isKnown(uuid));
    if (kept.length < failed.length) await state.change({ failed: Object.fromEntries(kept) });
  }

  async #begin({ domain, to, maxDowntimeMs, estimateMs, bytes }: Candidate): Promise<void> {
    const { libvirt, log, mayBegin, monotonicMs, nowMs, state } = this.#options;
    const { facts, uuid, name } = domain;
    if (facts?.id == null) return;
    const from = seclabelText(facts.seclabels?.find(({ model }) => model === 'selinux') ?? null);
    const journey: Journey = { uuid, name, phase: 'saving', to, from, sinceMs: nowMs(), maxDowntimeMs };
    await state.change({ journey });
    if (!mayBegin(domain) || this.#abort.signal.aborted) {
      await state.keep({ journey: null });
      return;
    }
    log.info('svirt.save_restore', { domain: name, uuid, to, from, estimateMs, maxDowntimeMs });
    this.#said.say(uuid, 'saving', `its memory is written to disk, to run as ${to}`);
    this.#found = null;
    const began = monotonicMs();
    // Reading it back takes as long again: what is not saved in half of the time would miss the whole.
    const abortAfterMs = maxDowntimeMs / 2;
    const { signal } = this.#abort;
    const saved = await libvirt.managedSave(uuid, facts.id, { paused: false, abortAfterMs, signal });
    if (!saved.ok) {
      await this.#notSaved(journey, saved);
      return;
    }
    const downtimeMs = await this.#bring(journey, began);
    const speed = downtimeMs === null ? null : measuredSpeed(bytes, downtimeMs);
    if (speed !== null) await state.keep({ bytesPerSecond: speed });
  }

  /** libvirt has the last word on whether the guest runs: a call that overran may have been carried out. */
  async #notSaved(journey: Journey, outcome: LibvirtOutcome<null> & { ok: false }): Promise<void> {
    const where = await whereIs(this.#options.libvirt, journey.uuid);
    // Lost with its connection, or not come back yet: it may still be carried out.
    const open = outcome.failure === 'disconnected' || outcome.failure === 'quarantined';
    if (where.kind === 'saved') await this.#bring(journey, null);
    else if (where.kind === 'off' || outcome.failure === 'vanished') {
      await this.#over(journey, 'called off', 'it ended before it was saved', null);
    } else if (where.kind !== 'runs' || open) {
      this.#said.say(journey.uuid, 'saving', `it is not known whether it is saved: ${outcome.message}`);
    } else if (this.#abort.signal.aborted) {
      await this.#over(journey, 'called off', 'the daemon was stopped; it goes on as it was', null);
    } else await this.#over(journey, 'failed', `not saved, it goes on as it was: ${outcome.message}`, null);
  }

  /**
   * From a saved guest to one that runs, with the new label or the old one. `began`: null when that is not known.
   * @returns how long it stood still, when it runs under its new label and that is known
   */
  async #bring(journey: Journey, began: number | null): Promise<number | null> {
    const { libvirt, log, monotonicMs, state } = this.#options;
    const { uuid, name, to, from } = journey;
    // The guest is off now: that the record cannot be brought up to date must not keep it so.
    await state.keep({ journey: { ...journey, phase: 'saved' } });
    this.#said.say(uuid, 'saved', `its memory is on disk, to run as ${to}`);
    const defined = await libvirt.managedSaveDefine(uuid, to);
    await state.keep({ journey: { ...journey, phase: 'starting' } });
    this.#said.say(uuid, 'starting', `its memory is read back, to run as ${defined.ok ? to : from}`);
    // Without its memory it would be another start: that is not ours to give.
    const start = (): Promise<LibvirtOutcome<number>> =>
      libvirt.startGuest(uuid, { paused: false, restoreOnly: true, deadlineMs: START_MS });
    const first = await start();
    const downtimeMs = began === null ? null : monotonicMs() - began;
    if (first.ok) {
      const ran = await this.#arrived(
        journey,
        defined.ok ? '' : `its image keeps its label: ${defined.message}`,
        downtimeMs,
      );
      return ran ? downtimeMs : null;
    }
    const message = `it does not start as ${to}: ${first.message}`;
    const where = await whereIs(libvirt, uuid);
    if (where.kind === 'runs') {
      await this.#arrived(journey, 'somebody else has started it', null);
      return null;
    }
    // What is away now gives no better answer to a second question.
    if (first.failure !== 'refused' || where.kind !== 'saved') {
      await this.#stuck(journey, where.kind === 'unreadable' ? where.message : first.message);
      return null;
    }
    log.error('svirt.save_restore_start', { domain: name, uuid, to, reason: first.message }, 'starting it as it was');
    // Put back whatever became of the first change: the saved image is there until the guest runs.
    const back = await libvirt.managedSaveDefine(uuid, from);
    const again = await start();
    if (again.ok) await this.#arrived(journey, message, began === null ? null : monotonicMs() - began);
    else await this.#stuck(journey, back.ok ? again.message : back.message);
    return null;
  }

  /** It was started: as what, libvirt tells. True when it runs under its new label. */
  async #arrived(journey: Journey, why: string, downtimeMs: number | null): Promise<boolean> {
    const { to } = journey;
    const where = await whereIs(this.#options.libvirt, journey.uuid);
    const runs = where.kind === 'runs' || where.kind === 'paused' ? where.label : null;
    // Where libvirt cannot say, its word about the start stands.
    if (runs === to || (where.kind === 'unknown' && why === '')) {
      await this.#over(journey, 'done', `it runs as ${to}`, downtimeMs);
      return true;
    }
    const now =
      where.kind === 'off' ? 'it was started and is off again' : `it runs as before, as ${runs ?? journey.from}`;
    await this.#over(journey, 'failed', why === '' ? now : `${why}; ${now}`, downtimeMs);
    return false;
  }

  /** It is off, and its memory is kept: tried again until it runs, or somebody has taken it in hand. */
  async #stuck({ uuid, name }: Journey, reason: string): Promise<void> {
    const { log, monotonicMs } = this.#options;
    const waitMs = Math.min(MOST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures);
    this.#failures = Math.min(this.#failures + 1, 10);
    this.#notBeforeMs = monotonicMs() + waitMs;
    const words = `IT IS OFF and does not start: ${reason}; its memory is kept, \`virsh start\` brings it back`;
    this.#said.say(uuid, 'failed', words);
    log.error('svirt.save_restore_stuck', { domain: name, uuid, reason, waitMs }, words);
  }

  /** A daemon before this one was killed, an answer was lost, or a guest would not start. */
  async #resume(journey: Journey): Promise<void> {
    const { libvirt, log } = this.#options;
    const { uuid, name, phase, to } = journey;
    const where = await whereIs(libvirt, uuid);
    const sinceMs = this.#foundSince(where.kind);
    if (where.kind === 'saved') {
      log.warn('svirt.save_restore_resumed', { domain: name, uuid, phase }, 'it was left off: it is started again');
      await this.#bring(journey, null);
    } else if (where.kind === 'unreadable') await this.#stuck(journey, where.message);
    else if (where.kind === 'unknown') {
      this.#said.say(uuid, phase, `it is not known whether it runs: ${where.message}`);
    } else if (where.kind === 'paused') await this.#paused(journey, sinceMs);
    else if (where.kind === 'off') {
      // Somebody has started it and it ended, or took the image away. That is nothing to undo.
      await this.#over(journey, 'called off', 'it is off, by somebody else', null);
    } else if (where.label === to) await this.#over(journey, 'done', `it runs as ${to}`, null);
    // What a daemon before this one asked for may be yet to begin.
    else if (phase !== 'saving' || sinceMs >= BEGIN_MOST_MS) {
      await this.#over(journey, 'failed', `it was interrupted; it runs as ${where.label}`, null);
    }
  }

  /** A save or a restore that nobody waits for any more, or somebody's wish: told apart by how long it lasts. */
  async #paused(journey: Journey, pausedMs: number): Promise<void> {
    const { libvirt, nowMs } = this.#options;
    const { uuid, phase, sinceMs, maxDowntimeMs } = journey;
    this.#said.say(uuid, phase, 'it stands still: what was begun goes on without us');
    const overMs = nowMs() - sinceMs;
    // A save has no bound of its own. One that is not there any more cannot be called off.
    if (phase === 'saving' && (overMs > maxDowntimeMs / 2 || overMs < 0)) await libvirt.abortJob(uuid);
    if (pausedMs < PAUSED_MOST_MS + 2 * maxDowntimeMs) return;
    await this.#over(journey, 'failed', 'it was interrupted; it is paused, by somebody else', null);
  }

  /** For how long it has been found so, in ms. */
  #foundSince(kind: Where['kind']): number {
    const now = this.#options.monotonicMs();
    if (this.#found?.kind !== kind) this.#found = { kind, sinceMs: now };
    return now - this.#found.sinceMs;
  }

  async #over(journey: Journey, outcome: Outcome, message: string, downtimeMs: number | null): Promise<void> {
    const { nowMs, state } = this.#options;
    const { uuid, to } = journey;
    this.#failures = 0;
    this.#found = null;
    const words = this.#said.ended(journey, outcome, message, downtimeMs);
    const { [uuid]: before, ...others } = state.current.failed;
    const kept = before === undefined || outcome === 'done' ? others : { ...others, [uuid]: before };
    const failed = outcome === 'failed' ? { ...others, [uuid]: { to, message: words, atMs: nowMs() } } : kept;
    await state.keep({ journey: null, failed });
  }
}
