/**
 * What the policies ask and the host does not get: each distinct reason once, with the guests it stands for. Takes a
 * snapshot, gives lines of words, worst first.
 */
import { printable } from '../../printable.js';
import type { ControlStatus, Snapshot } from '../../snapshot/types.js';
import { verdictOf } from './compliance.js';
import { handsOffWords, nameOf, someOf } from './words.js';

export interface NotDone {
  readonly kind:
    | Extract<ControlStatus, 'failed' | 'contested' | 'overridden' | 'refused' | 'unsupported'>
    | 'obstructed';
  /** `memory.guarantee unsupported: this control is not built yet (db-1)` */
  readonly words: string;
}

const KINDS: readonly NotDone['kind'][] = ['failed', 'contested', 'overridden', 'refused', 'obstructed', 'unsupported'];

export function notDone(snapshot: Snapshot): NotDone[] {
  const guests = new Map<string, { readonly kind: NotDone['kind']; readonly what: string; readonly names: string[] }>();
  const add = (kind: NotDone['kind'], what: string, name: string): void => {
    const entry = guests.get(what) ?? { kind, what, names: [] };
    entry.names.push(name);
    guests.set(what, entry);
  };
  for (const domain of snapshot.domains) {
    const verdict = verdictOf(domain);
    if (verdict === 'off' || verdict === 'unmanaged' || verdict === 'hands-off') continue;
    const name = nameOf(domain, snapshot);
    if (domain.obstacle !== null) {
      add('obstructed', `left as it is: ${printable(domain.obstacle, 512)}`, name);
      continue;
    }
    for (const control of domain.controls) {
      const kind = KINDS.find((candidate) => candidate === control.status);
      if (kind === undefined) continue;
      const reason = control.reason === null ? '' : `: ${printable(control.reason, 512)}`;
      add(kind, `${control.id} ${kind}${reason}`, name);
    }
  }
  return [...guests.values()]
    .sort((a, b) => KINDS.indexOf(a.kind) - KINDS.indexOf(b.kind))
    .map(({ kind, what, names }) => ({ kind, words: `${what} (${someOf(names)})` }));
}

/** Guests that an operator holds or has released. */
export function leftAlone(snapshot: Snapshot, timeZone: string): string[] {
  if (snapshot.handsOffAll) return ['every guest is released, until virtslad resume --all'];
  const byWords = new Map<string, string[]>();
  for (const domain of snapshot.domains) {
    if (domain.handsOff === null) continue;
    const words = handsOffWords(domain.handsOff, timeZone);
    byWords.set(words, [...(byWords.get(words) ?? []), nameOf(domain, snapshot)]);
  }
  return [...byWords].map(([words, names]) => `${someOf(names)}: ${words}`);
}
