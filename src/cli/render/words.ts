/** Numbers, times and lists in the words that every page of the command line uses. Pure. */
import { formatPosition, type SourcePosition } from '../../errors.js';
import type { DomainSnapshot, Snapshot } from '../../snapshot/types.js';
import { printable } from '../../text/printable.js';

/** What a renderer of text needs to know of the reader. */
export interface Reader {
  readonly color: boolean;
  /** Terminal columns; null: not a terminal, nothing is cut. */
  readonly width: number | null;
  /** IANA name; times are shown in it. */
  readonly timeZone: string;
  readonly nowMs: number;
}

export function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

/** `0.50` */
export function cores(value: number): string {
  return value.toFixed(2);
}

/** `2026-01-15 12:00:00+01:00`: sorts, and says its zone. */
export function timeOf(ms: number, timeZone: string): string {
  const zone = new Intl.DateTimeFormat('en', { timeZone, timeZoneName: 'longOffset' })
    .formatToParts(ms)
    .find((part) => part.type === 'timeZoneName');
  const offset = zone?.value.slice('GMT'.length) ?? '';
  return new Date(ms).toLocaleString('sv-SE', { timeZone }) + (/[1-9]/.test(offset) ? offset : 'Z');
}

/** The two largest units that matter: `45s`, `3m 5s`, `2h`, `4d 6h`. */
export function span(ms: number): string {
  let seconds = Math.max(0, Math.round(ms / 1000));
  const parts: string[] = [];
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(seconds / size);
    seconds -= count * size;
    if (count > 0) parts.push(`${count}${unit}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.length === 0 ? '0s' : parts.join(' ');
}

/** `a, b, c and 4 more` */
export function someOf(names: readonly string[], most = 5): string {
  const safe = names.map((name) => printable(name));
  if (safe.length <= most) return safe.join(', ');
  return `${safe.slice(0, most).join(', ')} and ${safe.length - most} more`;
}

export function positionOf(position: SourcePosition | null): string {
  return position === null ? '' : printable(formatPosition(position), 1024);
}

/** The guest's name, with its uuid when another guest has the same name. */
export function nameOf(domain: { readonly name: string; readonly uuid: string }, snapshot: Snapshot): string {
  const shared = snapshot.domains.some((other) => other.name === domain.name && other.uuid !== domain.uuid);
  return shared ? `${printable(domain.name)} (${domain.uuid})` : printable(domain.name);
}

/** `every guest is released but db-1, until virtslad resume --all`; after the list was damaged they are held. */
export function handsOffAllWords({ domains }: Snapshot): string {
  const none = !domains.some(({ handsOff }) => handsOff?.kind === 'released');
  const kind = none && domains.some(({ handsOff }) => handsOff?.kind === 'held') ? 'held' : 'released';
  const resumed = domains.filter(({ handsOff, className }) => handsOff === null && className !== null);
  const but = resumed.length === 0 ? '' : ` but ${someOf(resumed.map(({ name }) => name))}`;
  return `every guest is ${kind}${but}, until virtslad resume --all`;
}

/** `held until …`, `released` */
export function handsOffWords(handsOff: NonNullable<DomainSnapshot['handsOff']>, timeZone: string): string {
  return handsOff.untilMs === null ? handsOff.kind : `${handsOff.kind} until ${timeOf(handsOff.untilMs, timeZone)}`;
}
