/**
 * Guests that `virtslad launch` has started: the daemon takes their records of originals over as its own, holds them to
 * the class that they were launched in for as long as that process runs, and removes the groups that they leave behind.
 */

import type { Domain } from '../../domains/types.js';
import { removeOwnGroups } from '../../host/launch/own-groups.js';
import { effectiveClass } from '../../policy/effective.js';
import type { EffectiveClass, Generation } from '../../policy/types.js';
import { parseJournal } from '../journal-format.js';
import type { Parts } from '../parts.js';
import type { LabelRegister } from './register.js';

/** A disk that does not answer must not keep guests from being mended. */
const WAIT_MS = 1_000;

type Needs = Pick<Parts, 'gate' | 'journal' | 'log'> & { readonly labels: { readonly register: LabelRegister } };

export class LaunchedGuests {
  readonly #parts: Needs;
  #running: Promise<void> | null = null;

  constructor(parts: Needs) {
    this.#parts = parts;
  }

  /** Before guests are looked at: a launch is on record before its process is QEMU. Never rejects. */
  async settle(): Promise<void> {
    this.#running ??= this.#settle()
      .catch((error: Error) => {
        const words = 'guests that virtslad launch started since are held to the classes of the assignments';
        this.#parts.log.error('launch.register_failed', { reason: error.message }, words);
      })
      .finally(() => {
        this.#running = null;
      });
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, WAIT_MS);
    });
    await Promise.race([this.#running, late]);
    clearTimeout(timer);
  }

  async #settle(): Promise<void> {
    const { gate, journal, log } = this.#parts;
    const { register } = this.#parts.labels;
    const mayWrite = gate.stop() === null;
    await register.load({ readOnly: !mayWrite });
    if (!mayWrite) return;
    for (const { launched, name, uuid } of register.entries()) {
      if (launched === null || launched.journal === null) continue;
      const { records } = parseJournal(launched.journal);
      // One of the same instance is our own, made meanwhile.
      await journal.put(records.filter((one) => journal.get(one.uuid, one.control)?.instance !== one.instance));
      await register.amend(uuid, (known) => (known.pid === launched.pid ? { ...known, journal: null } : known));
      log.info('launch.taken_over', { domain: name, uuid, class: launched.className, pid: launched.pid });
    }
    await register.removeEnded(({ groups }) => removeOwnGroups(groups));
  }
}

/** The class that the guest was launched in; null when it was not, or when the policies have no such class any more. */
export function launchedClass(
  register: Pick<LabelRegister, 'launchedIn'>,
  generation: Generation,
  { process }: Pick<Domain, 'process'>,
  nowMs: number,
): EffectiveClass | null {
  const className = process === null ? null : register.launchedIn(process);
  const found = className === null ? undefined : generation.classes.get(className);
  if (found === undefined) return null;
  return effectiveClass(generation, { className: found.name, match: {}, source: found.source }, nowMs);
}
