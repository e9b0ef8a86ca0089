/**
 * Which guests are meant to run, by why they stopped: libvirt says that with each event, and not afterwards. Who shuts a
 * guest down, pauses, saves or migrates it means it to stand still; a crash, an I/O error or a watchdog is nobody's wish.
 * Source: virDomainEventStoppedDetailType, virDomainEventSuspendedDetailType.
 */
import type { DomainState } from '../domains/types.js';
import type { LibvirtEvent } from '../host/libvirt/client.js';

const STOPPED_CRASHED = 2;
const STOPPED_FAILED = 5;
const SUSPENDED_IOERROR = 2;
const SUSPENDED_WATCHDOG = 3;
const SUSPENDED_API_ERROR = 6;
const SUSPENDED_POSTCOPY_FAILED = 8;

export class Intentions {
  /** Guests that stopped or stand still without anybody's wish. */
  readonly #mishaps = new Set<string>();

  note(event: LibvirtEvent): void {
    if (event.kind !== 'lifecycle') return;
    const { uuid, detail } = event;
    if (event.event === 'crashed') this.#mishaps.add(uuid);
    else if (event.event === 'stopped') this.#set(uuid, [STOPPED_CRASHED, STOPPED_FAILED].includes(detail));
    else if (event.event === 'suspended') {
      const mishap = [SUSPENDED_IOERROR, SUSPENDED_WATCHDOG, SUSPENDED_API_ERROR, SUSPENDED_POSTCOPY_FAILED];
      this.#set(uuid, mishap.includes(detail));
    } else if (['started', 'resumed', 'shutdown', 'undefined'].includes(event.event)) this.#mishaps.delete(uuid);
  }

  /** What stopped before virtslad was there was somebody's wish, unless libvirt itself calls it a crash. */
  meantToRun(uuid: string, state: DomainState): boolean {
    return state === 'running' || state === 'starting' || state === 'crashed' || this.#mishaps.has(uuid);
  }

  #set(uuid: string, mishap: boolean): void {
    if (mishap) this.#mishaps.add(uuid);
    else this.#mishaps.delete(uuid);
  }
}
