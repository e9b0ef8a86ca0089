/**
 * The journal's text: a header line with the number of records, then one line a record with a checksum in front. A damaged line loses that line,
 * never the file. Pure.
 */
import { createHash } from 'node:crypto';
import * as z from 'zod';
import type { Original } from '../controls/control.js';

/** What is known of one control on one domain: its originals, and the values of ours that may stand there. */
export interface JournalRecord {
  readonly uuid: string;
  readonly name: string;
  readonly control: string;
  /** The running instance in which the record was last confirmed: id, pid and start time. */
  readonly instance: string;
  readonly settings: Readonly<Record<string, JournaledSetting>>;
  /** Of a guest without libvirt: its group, `/sys/fs/cgroup/vm/web 4711` by path and inode. It may outlive the process. */
  readonly group?: string;
}

export interface JournaledSetting {
  readonly original: Original;
  /** Values that we wrote or were about to write; one of them stands unless someone else has written since. */
  readonly written: readonly string[];
  /**
   * The instance in which this was last confirmed, where that is not the record's: it could not be read since. Empty for
   * a place that was gone meanwhile: what comes back there may be another.
   */
  readonly instance?: string;
}

const HEADER = 'virtslad-journal 1';

const RECORD = z.object({
  uuid: z.string(),
  name: z.string(),
  control: z.string(),
  instance: z.string(),
  group: z.string().optional(),
  settings: z.record(
    z.string(),
    z.object({
      original: z.object({ text: z.string(), from: z.enum(['xml', 'kernel', 'metadata', 'definition', 'default']) }),
      written: z.array(z.string()),
      instance: z.string().optional(),
    }),
  ),
});

export function formatJournal(records: Iterable<JournalRecord>): string {
  const lines = [...records].map((record) => {
    const text = JSON.stringify(record);
    return `${checksum(text)} ${text}`;
  });
  return `${[`${HEADER} ${lines.length}`, ...lines].join('\n')}\n`;
}

export interface ParsedJournal {
  readonly records: readonly JournalRecord[];
  /** Numbers of the lines that could not be trusted; a wrong header makes every line such a one. */
  readonly damagedLines: readonly number[];
}

export function parseJournal(text: string): ParsedJournal {
  const records: JournalRecord[] = [];
  const damagedLines: number[] = [];
  const lines = text.split('\n');
  const last = lines.pop();
  // The file is written whole and ends with a newline: anything behind the last one is a torn record.
  if (last !== '') damagedLines.push(lines.length + 1);
  lines.forEach((line, index) => {
    if (index === 0 && line === `${HEADER} ${lines.length - 1}`) return;
    const record = index === 0 ? null : parseLine(line);
    if (record === null) damagedLines.push(index + 1);
    else records.push(record);
  });
  if (lines.length === 0) damagedLines.push(1);
  return { records, damagedLines };
}

function parseLine(line: string): JournalRecord | null {
  const space = line.indexOf(' ');
  const text = line.slice(space + 1);
  if (space < 0 || line.slice(0, space) !== checksum(text)) return null;
  try {
    return RECORD.parse(JSON.parse(text)) as JournalRecord;
  } catch {
    return null;
  }
}

function checksum(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}
