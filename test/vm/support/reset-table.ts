/**
 * Which event resets which value of a guest, as a table of the documentation: made from what a test has seen, found again in
 * the document. Pure.
 */

export const EVENTS = ['`systemctl daemon-reload`', 'restart of libvirtd', 'vCPU plugged', 'guest off and on'] as const;
export type Event = (typeof EVENTS)[number];

/** Value → event → what it was afterwards, in a word or two. */
export type Seen = ReadonlyMap<string, ReadonlyMap<Event, string>>;

/** Comes right before the table in the document. */
export const MARK = '<!-- Made by test/vm/v2-resets.test.ts, which fails when it sees something else. -->';

export function renderTable(seen: Seen): string {
  const row = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rows = [...seen].map(([name, cells]) => row([name, ...EVENTS.map((event) => cells.get(event) ?? '')]));
  return [row(['value', ...EVENTS]), row(['value', ...EVENTS].map(() => '---')), ...rows].join('\n');
}

/** The table after the mark; null when there is none. */
export function tableIn(document: string): string | null {
  const [, after] = document.split(`${MARK}\n`);
  if (after === undefined) return null;
  const lines = after.split('\n');
  const end = lines.findIndex((line) => !line.startsWith('|'));
  return lines.slice(0, end < 0 ? undefined : end).join('\n');
}

/** What became of a value. */
export function outcomeOf(before: string | null, after: string | null, untouched: string | null): string {
  if (after === before) return 'kept';
  if (after === untouched) return '**reset**';
  return `becomes \`${after}\``;
}
