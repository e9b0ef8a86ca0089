/** A log that keeps what is written, for tests that look at it. */
import type { Log } from '../../src/log.js';

export interface KeptLine {
  readonly level: string;
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export function keepingLog(): Log & { readonly lines: KeptLine[] } {
  const lines: KeptLine[] = [];
  const keep = (level: string) => (event: string, fields: object) => {
    lines.push({ level, event, fields: fields as Record<string, unknown> });
  };
  return { lines, debug: keep('debug'), info: keep('info'), warn: keep('warn'), error: keep('error') };
}
