/**
 * The libvirt client: takes a URI, gives the interface of client.ts, backed by worker threads: one for events and
 * keepalive, one for bulk reads, others for calls about single guests, and one for each call that may take minutes. Whether
 * there is a connection is what the event worker says; the call workers connect when first needed.
 */
import type { DomainFacts } from '../../domains/types.js';
import type { Log } from '../../log.js';
import { CallPool } from './call-pool.js';
import { startCallThread } from './call-thread.js';
import type {
  DiskReading,
  DisksOptions,
  LibvirtClient,
  LibvirtEvent,
  LibvirtOutcome,
  LibvirtStatus,
  ListedDomain,
  TuneCall,
} from './client.js';
import { reviveFacts } from './domain-xml.js';
import { type EventThread, startEventThread } from './event-thread.js';
import { LongCalls } from './long-calls.js';
import type { Call, CallWorkerData, EventMessage, FactsReading } from './protocol.js';
import type { LibvirtSaving } from './saving.js';
import { withoutLibvirt } from './without-libvirt.js';

/** On a thread that is started for the call, about a guest that is off and waits: haste would only keep it off. */
const LONG_MS = 30_000;

export interface LibvirtOptions {
  /** libvirt connection URI, `qemu:///system`; null: no libvirt at all (bare QEMU only). */
  readonly uri: string | null;
  /** For a call about one guest; default 5 s. */
  readonly deadlineMs?: number;
  /** For the list of all guests; default 10 s. */
  readonly bulkDeadlineMs?: number;
  /** Threads for calls about single guests; default 2, so that one slow guest stalls nobody. */
  readonly callWorkers?: number;
  /** Between keepalive messages; a libvirtd that leaves three unanswered is taken for dead. Default 5 s. */
  readonly keepaliveSeconds?: number;
  readonly log: Log;
}

const DEADLINE_MS = 5000;
const BULK_DEADLINE_MS = 10_000;
const CALL_WORKERS = 2;
const KEEPALIVE_SECONDS = 5;
/** Stuck threads that are replaced, at one time. Beyond, calls are refused rather than threads piled up. */
const ABANDONED_MAX = 4;
/** Of the 2 s that stop() may take. */
const STOP_MS = 1500;
const BULK_KEY = 'list';

/** The client for `uri`; nothing happens before `start`. */
export function connectLibvirt(options: LibvirtOptions): LibvirtClient {
  return options.uri === null ? withoutLibvirt() : new WorkerLibvirtClient(options, options.uri);
}

class WorkerLibvirtClient implements LibvirtClient {
  readonly #uri: string;
  readonly #worker: CallWorkerData;
  readonly #log: Log;
  readonly #deadlineMs: number;
  readonly #bulk: CallPool;
  readonly #guests: CallPool;
  readonly #long: LongCalls;
  readonly #listeners: ((event: LibvirtEvent) => void)[] = [];
  #events: EventThread | null = null;
  #firstAttempt: (() => void) | null = null;
  #connected = false;
  #connections = 0;
  #libraryVersion: string | null = null;
  #daemonVersion: string | null = null;
  #lastError: string | null = 'not connected yet';
  #listUnderWay: Promise<LibvirtOutcome<readonly ListedDomain[]>> | null = null;
  #listNext: Promise<LibvirtOutcome<readonly ListedDomain[]>> | null = null;
  readonly managedSave: LibvirtSaving['managedSave'] = (...all) => this.#long.managedSave(...all);
  readonly abortJob: LibvirtSaving['abortJob'] = (uuid) => this.#long.abortJob(uuid);
  readonly hasManagedSave: LibvirtSaving['hasManagedSave'] = (uuid) => this.#long.hasManagedSave(uuid);
  readonly managedSaveXml: LibvirtSaving['managedSaveXml'] = (uuid) => this.#long.managedSaveXml(uuid);
  readonly managedSaveDefine: LibvirtSaving['managedSaveDefine'] = (...all) => this.#long.managedSaveDefine(...all);
  readonly startGuest: LibvirtSaving['startGuest'] = (...all) => this.#long.startGuest(...all);
  readonly suspend: LibvirtSaving['suspend'] = (...all) => this.#long.suspend(...all);
  readonly resume: LibvirtSaving['resume'] = (...all) => this.#long.resume(...all);

  constructor(options: LibvirtOptions, uri: string) {
    this.#uri = uri;
    this.#worker = { uri, keepaliveSeconds: options.keepaliveSeconds ?? KEEPALIVE_SECONDS };
    this.#log = options.log;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
    const now = () => performance.now();
    this.#bulk = new CallPool({
      startThread: () => startCallThread(this.#worker, 'libvirt-bulk'),
      size: 1,
      deadlineMs: options.bulkDeadlineMs ?? BULK_DEADLINE_MS,
      // A list that hangs is libvirtd's own trouble; another thread would hang too.
      abandonedMax: 0,
      onAbandoned: () => this.#log.warn('libvirt.slow', { call: 'list' }, 'libvirt does not answer the list of guests'),
      onRecovered: (_key, afterMs) =>
        this.#log.info('libvirt.recovered', { call: 'list', afterMs: Math.round(afterMs) }),
      now,
    });
    this.#guests = new CallPool({
      startThread: () => startCallThread(this.#worker, 'libvirt-call'),
      size: options.callWorkers ?? CALL_WORKERS,
      deadlineMs: this.#deadlineMs,
      abandonedMax: ABANDONED_MAX,
      onAbandoned: (uuid, call) =>
        this.#log.warn('libvirt.quarantine', { uuid, call: call.op }, 'a call about this guest does not come back'),
      onRecovered: (uuid, afterMs) => {
        this.#log.info(
          'libvirt.recovered',
          { uuid, afterMs: Math.round(afterMs) },
          'the call that did not come back has come back',
        );
        this.#emit({ kind: 'recovered', uuid });
      },
      now,
    });
    this.#long = new LongCalls({
      startThread: () => startCallThread(this.#worker, 'libvirt-long'),
      deadlineMs: Math.max(this.#deadlineMs, LONG_MS),
      disconnected: () => (this.#connected ? null : this.#disconnected().message),
      onOverrun: (uuid, call) =>
        this.#log.warn('libvirt.slow', { uuid, call }, 'libvirt does not come to an end with it'),
      onRecovered: (uuid, call, afterMs) => {
        this.#log.info('libvirt.recovered', { uuid, call, afterMs: Math.round(afterMs) });
        this.#emit({ kind: 'recovered', uuid });
      },
      now,
    });
  }

  async start(signal: AbortSignal): Promise<void> {
    if (signal.aborted) return;
    this.#events = startEventThread(this.#worker, (message) => this.#onMessage(message));
    signal.addEventListener('abort', () => void this.stop(), { once: true });
    await new Promise<void>((resolve) => {
      // A stopped libvirtd never answers the attempt, which then goes on in the background.
      const timer = setTimeout(() => this.#firstAttempt?.(), this.#deadlineMs);
      this.#firstAttempt = () => {
        clearTimeout(timer);
        this.#firstAttempt = null;
        resolve();
      };
    });
  }

  async stop(): Promise<void> {
    this.#firstAttempt?.();
    this.#connected = false;
    this.#lastError = 'stopped';
    const events = this.#events;
    this.#events = null;
    this.#long.stop();
    const all = Promise.all([events?.stop(), this.#bulk.stop(), this.#guests.stop()]);
    await Promise.race([all, timeout(STOP_MS)]);
    events?.unref();
  }

  status(): LibvirtStatus {
    return {
      uri: this.#uri,
      connected: this.#connected,
      libraryVersion: this.#libraryVersion,
      daemonVersion: this.#daemonVersion,
      lastError: this.#lastError,
      quarantined: [...new Set([...this.#guests.quarantined, ...this.#long.quarantined])],
      abandonedWorkers: this.#guests.stuck + this.#bulk.stuck + this.#long.stuck,
      reconnects: Math.max(0, this.#connections - 1),
    };
  }

  onEvent(listener: (event: LibvirtEvent) => void): void {
    this.#listeners.push(listener);
  }

  /** Lists asked for while one is under way share the next one: what they get was read after they asked. */
  list(): Promise<LibvirtOutcome<readonly ListedDomain[]>> {
    if (this.#listUnderWay === null) return this.#startList();
    this.#listNext ??= this.#listUnderWay.then(() => {
      this.#listNext = null;
      return this.#startList();
    });
    return this.#listNext;
  }

  async facts(uuid: string): Promise<LibvirtOutcome<DomainFacts>> {
    const outcome = await this.#call<FactsReading>({ op: 'facts', uuid });
    if (!outcome.ok) return outcome;
    const { facts, metadataProblem } = outcome.value;
    if (metadataProblem !== null) {
      this.#log.warn('libvirt.metadata', { uuid, domain: facts.name, problem: metadataProblem }, 'metadata left out');
    }
    return { ok: true, value: reviveFacts(facts) };
  }

  async tune(
    uuid: string,
    id: number,
    calls: readonly TuneCall[],
    mayBegin?: () => boolean,
  ): Promise<LibvirtOutcome<null>> {
    return calls.length === 0 ? { ok: true, value: null } : this.#call({ op: 'tune', uuid, id, calls }, mayBegin);
  }

  disks(uuid: string, id: number, options?: DisksOptions): Promise<LibvirtOutcome<readonly DiskReading[]>> {
    return this.#call({ op: 'disks', uuid, id, ...(options && { options }) });
  }

  setOriginals(uuid: string, id: number, xml: string | null, mayBegin?: () => boolean): Promise<LibvirtOutcome<null>> {
    return this.#call({ op: 'setOriginals', uuid, id, xml }, mayBegin);
  }

  async #call<T>(call: Exclude<Call, { op: 'list' }>, mayBegin?: () => boolean): Promise<LibvirtOutcome<T>> {
    if (!this.#connected) return this.#disconnected();
    return (await this.#guests.call(call.uuid, call, mayBegin)) as LibvirtOutcome<T>;
  }

  #startList(): Promise<LibvirtOutcome<readonly ListedDomain[]>> {
    if (!this.#connected) return Promise.resolve(this.#disconnected());
    const list = this.#bulk.call(BULK_KEY, { op: 'list' }).then((outcome) => {
      this.#listUnderWay = null;
      // No guest is to blame: what the pool calls quarantine is here the same silence going on.
      if (!outcome.ok && outcome.failure === 'quarantined') {
        return { ok: false, failure: 'timeout', message: 'libvirt still has not answered an earlier list' } as const;
      }
      return outcome as LibvirtOutcome<readonly ListedDomain[]>;
    });
    this.#listUnderWay = list;
    return list;
  }

  #disconnected(): Extract<LibvirtOutcome<never>, { ok: false }> {
    return { ok: false, failure: 'disconnected', message: `no connection to libvirt: ${this.#lastError ?? 'unknown'}` };
  }

  #onMessage(message: EventMessage): void {
    if (this.#events === null) return;
    switch (message.kind) {
      case 'connected':
        this.#connected = true;
        this.#connections++;
        this.#libraryVersion = message.libraryVersion;
        this.#daemonVersion = message.daemonVersion;
        this.#lastError = null;
        this.#log.debug('libvirt.connection', { uri: this.#uri, version: message.daemonVersion });
        this.#emit({ kind: 'connected' });
        break;
      case 'disconnected': {
        const { reason, retryInMs } = message;
        const was = this.#connected;
        this.#connected = false;
        this.#lastError = reason;
        this.#guests.failQueued('disconnected', reason);
        this.#bulk.failQueued('disconnected', reason);
        if (was) this.#emit({ kind: 'disconnected', reason });
        else this.#log.warn('libvirt.connect_failed', { uri: this.#uri, reason, retryInMs }, 'tried again later');
        break;
      }
      case 'events':
        for (const event of message.events) this.#emit(event);
        return;
    }
    this.#firstAttempt?.();
  }

  #emit(event: LibvirtEvent): void {
    for (const listener of this.#listeners) {
      try {
        listener(event);
      } catch (error) {
        // A defect in a listener must not cost the others the event.
        this.#log.error('libvirt.listener', { error, kind: event.kind }, 'a listener failed');
      }
    }
  }
}

function timeout(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
