/**
 * How a test says which denials it is about to cause. The lane fails a file after which the audit log holds a denial of
 * virtslad or of a guest that the file has not announced; an announcement holds for its own file.
 */
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { output } from '../../support/command.js';
import { type Denial, type DenialPattern, parseDenials } from './denials.js';

const ANNOUNCED = '/run/virtslad-lane/announced';

/** A pattern of plain text: it crosses to the host as JSON. */
export type Announcement = DenialPattern & { readonly source: string; readonly target?: string };

export function announceDenial(announcement: Announcement): void {
  mkdirSync(dirname(ANNOUNCED), { recursive: true });
  appendFileSync(ANNOUNCED, `${JSON.stringify(announcement)}\n`);
}

/** Denials in the audit log so far; `since` is what an earlier call gave. */
export async function auditedDenials(since: readonly Denial[] = []): Promise<Denial[]> {
  const seen = new Set(since.map(({ event }) => event));
  return parseDenials(await output('cat', ['/var/log/audit/audit.log'])).filter(({ event }) => !seen.has(event));
}
