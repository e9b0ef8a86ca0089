/**
 * Puts the label of a running guest's definition in force at once, without a reboot of the guest: its memory is saved,
 * the saved image gets the new label, and it is started again. One guest at a time, with a record on disk before each step,
 * so that a daemon that was killed in between brings the guest back. Once a guest is off, everything else waits: with the new
 * label or the old one, it is started again, whatever a kill switch or an operator says meanwhile.
 */
import type { Domain } from '../domains/types.js';
import type { LibvirtClient, LibvirtOutcome } from '../host/libvirt/client.js';
import type { Log } from '../log.js';
import type { SaveRestoreSnapshot } from '../snapshot/security.js';
import { seclabelText } from '../svirt/seclabel.js';
import type { Counters } from './counters.js';
import type { Journey, LabelState } from './label-state.js';
import type { Candidate } from './save-restore-checks.js';

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
  candidates(): readonly Candidate[];
}

/** A start reads the whole memory from disk; it cannot be called off, so it is only waited for. */
const START_MS = 3_600_000;
/** A guest that would not start is tried again for as long as it is off. */
const FIRST_RETRY_MS = 5_000;
const MOST_RETRY_MS = 300_000;
/** Two of the longest downtimes that a class may allow. */
const PAUSED_MOST_MS = 7_200_000;

export class SaveRestore {
  readonly #options: SaveRestoreOptions;
  readonly #said = new Map<string, SaveRestoreSnapshot>();
  readonly #abort = new AbortController();
  #running: Promise<void> | null = null;
  #failures = 0;
  #notBeforeMs = 0;

  constructor(options: SaveRestoreOptions) {
    this.#options = options;
  }

  /** Begins what is due, or goes on with what a daemon before this one began. Nothing while one is under way. */
  act(): void {
    if (this.#running !== null || this.#abort.signal.aborted || this.#options.monotonicMs() < this.#notBeforeMs) return;
    const { journey } = this.#options.state.current;
    const work = journey === null ? this.#next() : this.#resume(journey);
    this.#running = work
      .catch((error: Error) => {
        this.#notBeforeMs = this.#options.monotonicMs() + FIRST_RETRY_MS;
        this.#options.log.error('svirt.save_restore_failed', { reason: error.message });
      })
      .finally(() => {
        this.#running = null;
      });
  }

  of(uuid: string): SaveRestoreSnapshot | null {
    return this.#said.get(uuid) ?? null;
  }

  /** The guest's coming and going is this one's doing. */
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
    const wanting = new Set<string>();
    for (const { domain, to, refused, maxDowntimeMs, estimateMs } of this.#options.candidates()) {
      const { uuid } = domain;
      wanting.add(uuid);
      const failed = this.#options.state.current.failed[uuid];
      if (failed?.to === to) {
        this.#say(uuid, 'failed', `${failed.message}; not tried again for this label`, { atMs: failed.atMs });
      } else if (refused !== null) this.#say(uuid, 'refused', refused, { same: true });
      else if (!this.#options.mayBegin(domain)) {
        this.#say(uuid, 'waiting', 'nothing may be begun now', { same: true });
      } else {
        await this.#begin(domain, to, maxDowntimeMs, estimateMs);
        return;
      }
    }
    await this.#forget(wanting);
  }

  /** Who wants it no more may be tried again when it does. */
  async #forget(wanting: ReadonlySet<string>): Promise<void> {
    for (const [uuid, { phase }] of this.#said) {
      if (!wanting.has(uuid) && (phase === 'refused' || phase === 'waiting')) this.#said.delete(uuid);
    }
    const { isKnown, state } = this.#options;
    const failed = Object.entries(state.current.failed);
    const kept = failed.filter(([uuid]) => wanting.has(uuid) || !isKnown(uuid));
    if (kept.length < failed.length) await state.change({ failed: Object.fromEntries(kept) });
  }

  async #begin(domain: Domain, to: string, maxDowntimeMs: number, estimateMs: number): Promise<void> {
    const { libvirt, log, monotonicMs, nowMs, state } = this.#options;
    const { facts, uuid, name } = domain;
    if (facts?.id == null) return;
    const from = seclabelText(facts.seclabels?.find(({ model }) => model === 'selinux') ?? null);
    const journey: Journey = { uuid, name, phase: 'saving', to, from, sinceMs: nowMs() };
    await state.change({ journey });
    log.info('svirt.save_restore', { domain: name, uuid, to, from, estimateMs, maxDowntimeMs });
    this.#say(uuid, 'saving', `its memory is written to disk, to run as ${to}`);
    const began = monotonicMs();
    // Reading it back takes as long again: what is not saved in half of the time would miss the whole.
    const abortAfterMs = maxDowntimeMs / 2;
    const saved = await libvirt.managedSave(uuid, facts.id, {
      paused: false,
      abortAfterMs,
      signal: this.#abort.signal,
    });
    if (!saved.ok) {
      await this.#notSaved(journey, saved);
      return;
    }
    const savedAt = monotonicMs();
    await this.#bring({ ...journey, phase: 'saved' }, began);
    const bytes = facts.hardware.memoryBytes;
    const seconds = (savedAt - began) / 1000;
    if (seconds > 0.05) await state.change({ bytesPerSecond: Math.max(1, bytes / seconds) });
  }

  /** libvirt has the last word on whether the guest runs: a call that overran may have been carried out. */
  async #notSaved(journey: Journey, outcome: LibvirtOutcome<null> & { ok: false }): Promise<void> {
    const where = await this.#whereIs(journey.uuid);
    if (where === 'off and saved') {
      await this.#bring({ ...journey, phase: 'saved' }, null);
      return;
    }
    if (where === 'unknown') return;
    const why = this.#abort.signal.aborted ? 'the daemon was stopped' : outcome.message;
    await this.#over(journey, 'failed', `not saved, it goes on as it was: ${why}`, null);
  }

  /** From a saved guest to one that runs, with the new label or the old one. `began`: null when that is not known. */
  async #bring(journey: Journey, began: number | null): Promise<void> {
    const { libvirt, log, monotonicMs, state } = this.#options;
    const { uuid, name, to, from } = journey;
    // The guest is off now: that the record cannot be brought up to date must not keep it so.
    const note = (next: Journey): Promise<void> =>
      state.change({ journey: next }).catch((error: Error) => {
        log.error('svirt.state_unsaved', { domain: name, uuid, reason: error.message });
      });
    await note(journey);
    this.#say(uuid, 'saved', `its memory is on disk, to run as ${to}`);
    const defined = await libvirt.managedSaveDefine(uuid, to);
    await note({ ...journey, phase: 'starting' });
    this.#say(uuid, 'starting', `its memory is read back, to run as ${defined.ok ? to : from}`);
    const start = (): Promise<LibvirtOutcome<number>> =>
      libvirt.startGuest(uuid, { paused: false, deadlineMs: START_MS });
    const first = await start();
    const downtime = (): number | null => (began === null ? null : (monotonicMs() - began) / 1000);
    if (first.ok && defined.ok) {
      await this.#over(journey, 'done', `it runs as ${to}`, downtime());
      return;
    }
    if (first.ok) {
      await this.#over(journey, 'failed', `it runs as before: ${defined.ok ? '' : defined.message}`, downtime());
      return;
    }
    const message = `it does not start as ${to}: ${first.message}`;
    log.error('svirt.save_restore_start', { domain: name, uuid, to, reason: first.message }, 'starting it as it was');
    // Put back whatever became of the first change: the saved image is there until the guest runs.
    const back = await libvirt.managedSaveDefine(uuid, from);
    const again = await start();
    if (again.ok) {
      await this.#over(journey, 'failed', `${message}; it runs as before`, downtime());
      return;
    }
    await this.#stuck(journey, back.ok ? again.message : back.message);
  }

  /** It is off, and its memory is kept: tried again until it runs, or somebody has taken it in hand. */
  async #stuck({ uuid, name }: Journey, reason: string): Promise<void> {
    const { log, monotonicMs } = this.#options;
    const waitMs = Math.min(MOST_RETRY_MS, FIRST_RETRY_MS * 2 ** this.#failures);
    this.#failures++;
    this.#notBeforeMs = monotonicMs() + waitMs;
    const words = `IT IS OFF and does not start: ${reason}; its memory is kept, \`virsh start\` brings it back`;
    this.#say(uuid, 'failed', words);
    log.error('svirt.save_restore_stuck', { domain: name, uuid, reason, waitMs }, words);
  }

  /** A daemon before this one was killed, or a guest would not start. */
  async #resume(journey: Journey): Promise<void> {
    const { log, nowMs } = this.#options;
    const { uuid, name, phase, sinceMs } = journey;
    const where = await this.#whereIs(uuid);
    // A pause that lasts is somebody's wish, and no save.
    if (where === 'unknown' && nowMs() < sinceMs + PAUSED_MOST_MS) return;
    if (where === 'off and saved') {
      log.warn('svirt.save_restore_resumed', { domain: name, uuid, phase }, 'it was left off: it is started again');
      await this.#bring(journey, null);
      return;
    }
    // Off without its memory: somebody has started it and it ended, or took the image away. That is nothing to undo.
    const words = where !== 'off' ? 'it was interrupted, and the guest runs' : 'the guest is off, by somebody else';
    await this.#over(journey, 'failed', words, null);
  }

  async #whereIs(uuid: string): Promise<'runs' | 'off and saved' | 'off' | 'unknown'> {
    const { libvirt } = this.#options;
    const saved = await libvirt.hasManagedSave(uuid);
    if (!saved.ok) return saved.failure === 'vanished' ? 'off' : 'unknown';
    const list = await libvirt.list();
    if (!list.ok) return 'unknown';
    const found = list.value.find((one) => one.uuid === uuid);
    if (found === undefined) return 'off';
    // Paused with a save under way it is neither: asked again.
    if (found.id !== null) return found.state === 'paused' ? 'unknown' : 'runs';
    return saved.value ? 'off and saved' : 'off';
  }

  async #over(
    { uuid, name, to, from }: Journey,
    outcome: 'done' | 'failed',
    message: string,
    downtimeSeconds: number | null,
  ): Promise<void> {
    const { counters, log, nowMs, state } = this.#options;
    this.#failures = 0;
    counters.saveRestores[outcome] = (counters.saveRestores[outcome] ?? 0) + 1;
    this.#say(uuid, outcome, message, { downtimeSeconds });
    const fields = { domain: name, uuid, to, from, downtimeSeconds };
    if (outcome === 'done') log.info('svirt.save_restore_done', fields, message);
    else log.error('svirt.save_restore_failed', { ...fields, reason: message });
    const { [uuid]: _before, ...failed } = state.current.failed;
    const entry = { to, message, atMs: nowMs() };
    await state.change({ journey: null, failed: outcome === 'failed' ? { ...failed, [uuid]: entry } : failed });
  }

  #say(
    uuid: string,
    phase: SaveRestoreSnapshot['phase'],
    message: string,
    rest: { readonly downtimeSeconds?: number | null; readonly atMs?: number; readonly same?: boolean } = {},
  ): void {
    const { downtimeSeconds = null, atMs, same } = rest;
    const before = this.#said.get(uuid);
    if (same === true && before?.phase === phase && before.message === message) return;
    this.#said.set(uuid, { phase, message, atMs: atMs ?? this.#options.nowMs(), downtimeSeconds });
  }
}
