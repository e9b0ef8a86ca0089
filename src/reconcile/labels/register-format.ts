/**
 * The text of the label register: a line with a checksum, then the entries as JSON. Written whole, so one that does not
 * agree with its checksum is damaged as a whole. Pure.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod';

/** What `virtslad launch` made for one process. */
export interface Launched {
  readonly pid: number;
  /** Field 22 of /proc/PID/stat, decimal. */
  readonly startTicks: string;
  /** Its class, whatever the assignments say. */
  readonly className: string;
  /** cgroup directories of its own, to be removed once they are empty; none under systemd. */
  readonly groups: readonly string[];
  /** Journal of what stood in its groups before ours, in the journal's text; null until written, and once handed over. */
  readonly journal: string | null;
}

export interface LabelEntry {
  readonly uuid: string;
  /** As its definition or command line has it: data, never part of a path. */
  readonly name: string;
  /** SELinux type; null: the host's default, or no SELinux. */
  readonly type: string | null;
  /** Null on a host without SELinux. */
  readonly categories: readonly [number, number] | null;
  /** ISO 8601. */
  readonly since: string;
  readonly by: 'definition' | 'launch';
  /** The pair is the guest's also while it does not run. */
  readonly lasting: boolean;
  readonly launched: Launched | null;
}

const HEADER = 'virtslad-labels 1';

const category = z.int().min(0).max(1023);
const ENTRIES = z.array(
  z.object({
    uuid: z.string(),
    name: z.string(),
    type: z.string().nullable(),
    categories: z
      .tuple([category, category])
      .refine(([low, high]) => low < high)
      .nullable(),
    since: z.string(),
    by: z.enum(['definition', 'launch']),
    lasting: z.boolean(),
    launched: z
      .object({
        pid: z.int().positive(),
        startTicks: z.string().regex(/^\d{1,20}$/),
        className: z.string(),
        groups: z.array(z.string()),
        journal: z.string().nullable(),
      })
      .nullable(),
  }),
);

export function formatLabels(entries: Iterable<LabelEntry>): string {
  const text = JSON.stringify([...entries], null, 1);
  return `${HEADER} ${checksum(text)}\n${text}\n`;
}

/** Null: damaged. */
export function parseLabels(text: string): readonly LabelEntry[] | null {
  const end = text.indexOf('\n');
  const body = text.slice(end + 1, -1);
  if (end < 0 || !text.endsWith('\n') || text.slice(0, end) !== `${HEADER} ${checksum(body)}`) return null;
  try {
    return ENTRIES.parse(JSON.parse(body));
  } catch {
    return null;
  }
}

function checksum(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
