/**
 * What the policies ask and the host does not get: each distinct reason once, with the guests it stands for. Takes a
 * snapshot, gives lines of words, worst first.
 */

import type { ControlStatus, Snapshot } from '../../snapshot/types.js';
import { printable } from '../../text/printable.js';
import { verdictOf } from './compliance.js';
import { handsOffAllWords, handsOffWords, nameOf, someOf } from './words.js';

export interface NotDone {
  readonly kind:
    | Extract<
        ControlStatus,
        'violated' | 'failed' | 'contested' | 'overridden' | 'refused' | 'pending-restart' | 'unsupported'
      >
    | 'obstructed';
  /** `memory.guarantee, disk.limit unsupported: this control is not built yet (db-1)` */
  readonly words: string;
  /** Of controls. */
  readonly count: number;
}

/** Worst first. */
const KINDS: readonly NotDone['kind'][] = [
  'violated',
  'failed',
  'contested',
  'overridden',
  'refused',
  'obstructed',
  'pending-restart',
  'unsupported',
];

export function notDone(snapshot: Snapshot): NotDone[] {
  const reasons = new Map<string, Reason>();
  const add = (kind: NotDone['kind'], reason: string, control: string | null, guest: string): void => {
    const key = `${kind} ${reason}`;
    const entry = reasons.get(key) ?? { kind, reason, controls: new Set(), guests: new Set() };
    if (control !== null) entry.controls.add(control);
    entry.guests.add(guest);
    reasons.set(key, entry);
  };
  for (const domain of snapshot.domains) {
    const verdict = verdictOf(domain);
    if (verdict === 'off' || verdict === 'unmanaged' || verdict === 'hands-off') continue;
    const name = nameOf(domain, snapshot);
    if (domain.obstacle !== null) {
      add('obstructed', domain.obstacle, null, name);
      continue;
    }
    for (const control of domain.controls) {
      const kind = KINDS.find((candidate) => candidate === control.status);
      if (kind !== undefined) add(kind, control.reason ?? 'the reason is not known', control.id, name);
    }
  }
  return [...reasons.values()].sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind)).map(inWords);
}

interface Reason {
  readonly kind: NotDone['kind'];
  readonly reason: string;
  readonly controls: Set<string>;
  readonly guests: Set<string>;
}

function inWords({ kind, reason, controls, guests }: Reason): NotDone {
  const what = kind === 'obstructed' ? 'left as it is' : `${[...controls].join(', ')} ${kind}`;
  const words = `${what}: ${printable(reason, 512)} (${someOf([...guests])})`;
  return { kind, words, count: Math.max(1, controls.size) };
}

/** Guests that an operator holds or has released. */
export function leftAlone(snapshot: Snapshot, timeZone: string): string[] {
  if (snapshot.handsOffAll) return [handsOffAllWords(snapshot)];
  const byWords = new Map<string, string[]>();
  for (const domain of snapshot.domains) {
    if (domain.handsOff === null) continue;
    const words = handsOffWords(domain.handsOff, timeZone);
    byWords.set(words, [...(byWords.get(words) ?? []), nameOf(domain, snapshot)]);
  }
  return [...byWords].map(([words, names]) => `${someOf(names)}: ${words}`);
}
