/**
 * One log line from pino's JSON to what the operator asked for: JSON, logfmt or text for a terminal. Pure.
 * Values are already safe to print (`text/printable.ts`).
 */

export type LogFormat = 'json' | 'logfmt' | 'text';

/** syslog priorities, as journald reads them from a `<N>` prefix (sd-daemon(3)). */
const PRIORITY: Readonly<Record<string, number>> = { debug: 7, info: 6, warn: 4, error: 3 };

/** `line`: one JSON object and a newline. */
export function formatLine(line: string, format: LogFormat, journald: boolean): string {
  if (format === 'json' && !journald) return line;
  const { level, time, event, message, ...fields } = JSON.parse(line) as Record<string, unknown>;
  const prefix = journald ? `<${PRIORITY[String(level)] ?? 6}>` : '';
  if (format === 'json') return prefix + line;
  const pairs = Object.entries(fields).map(([key, value]) => `${key}=${quoted(value)}`);
  if (format === 'logfmt') {
    const head = [...(journald ? [] : [`time=${String(time)}`]), `level=${String(level)}`, `event=${quoted(event)}`];
    const tail = message === undefined ? [] : [`message=${quoted(message)}`];
    return `${prefix}${[...head, ...tail, ...pairs].join(' ')}\n`;
  }
  const head = journald ? [] : [String(time), String(level).toUpperCase().padEnd(5)];
  return `${prefix}${[...head, String(event), ...(message === undefined ? [] : [String(message)]), ...pairs].join(' ')}\n`;
}

/** Bare where it is one word, else a JSON string. */
function quoted(value: unknown): string {
  const text = typeof value === 'string' ? value : JSON.stringify(value);
  return /^[^\s"=\\]+$/.test(text) ? text : JSON.stringify(text);
}
