/**
 * The series of all guests in the Prometheus text format, version 0.0.4: takes families and a snapshot, gives bytes.
 * Written by hand because prom-client takes some twenty times as long and blocks the event loop meanwhile; a test holds
 * the two to the same bytes. The labels of a guest are escaped once and kept as bytes while the guest is there.
 */

import type { DomainSnapshot, Snapshot } from '../snapshot/types.js';
import { printable } from '../text/printable.js';
import type { DomainFamily, FamilyHead } from './family.js';

/** https://prometheus.io/docs/instrumenting/exposition_formats/#comments-help-text-and-type-information */
export function escapeLabelValue(value: string): string {
  return value.replaceAll('\\', '\\\\').replaceAll('\n', '\\n').replaceAll('"', '\\"');
}

function escapeHelp(help: string): string {
  return help.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
}

/** A number as prom-client writes it; the shortest form that reads back to the same double. */
function formatValue(value: number): string {
  if (value === Number.POSITIVE_INFINITY) return '+Inf';
  if (value === Number.NEGATIVE_INFINITY) return '-Inf';
  return String(value);
}

interface KnownLabels {
  readonly name: string;
  readonly className: string | null;
  /** `{domain="…",uuid="…",class="…"`, the bracket left open. */
  readonly bytes: Buffer;
}

/** Names of labels (one array for all families that share it) → their values → bytes. */
type Suffixes = Map<readonly string[], Map<string, Buffer>>;

/** Remembers the label bytes of the last page, and how long it was. What a page does not need is forgotten. */
export class LabelCache {
  #known: ReadonlyMap<string, KnownLabels> = new Map();
  #suffixes: Suffixes = new Map();
  #suffixesBefore: Suffixes = new Map();
  /** Length of the last page, to begin the next with room enough. */
  lengthBefore = 0;

  /** Begins a page: bytes for each of `domains`, in their order. */
  bytesOf(domains: readonly DomainSnapshot[]): readonly Buffer[] {
    const next = new Map<string, KnownLabels>();
    const bytes = domains.map((domain) => {
      const { uuid, name, className } = domain;
      const known = this.#known.get(uuid);
      const labels =
        known !== undefined && known.name === name && known.className === className
          ? known
          : { name, className, bytes: labelBytes(domain) };
      next.set(uuid, labels);
      return labels.bytes;
    });
    this.#known = next;
    this.#suffixesBefore = this.#suffixes;
    this.#suffixes = new Map();
    return bytes;
  }

  /** `,state="running"} ` for the labels after a guest's own, by their values. */
  suffixesOf(names: readonly string[]): (values: readonly string[]) => Buffer {
    const before = this.#suffixesBefore.get(names);
    const now = this.#suffixes.get(names) ?? new Map<string, Buffer>();
    this.#suffixes.set(names, now);
    return (values) => {
      const key = values.length === 1 ? (values[0] as string) : values.join('\0');
      let bytes = now.get(key);
      if (bytes === undefined) {
        bytes = before?.get(key) ?? suffixBytes(names, values);
        now.set(key, bytes);
      }
      return bytes;
    };
  }
}

function suffixBytes(names: readonly string[], values: readonly string[]): Buffer {
  const text = values.map((value, index) => `,${names[index]}="${escapeLabelValue(printable(value))}"`).join('');
  return Buffer.from(`${text}} `);
}

function labelBytes({ name, uuid, className }: DomainSnapshot): Buffer {
  const values = [printable(name), printable(uuid), className ?? ''].map(escapeLabelValue);
  return Buffer.from(`{domain="${values[0]}",uuid="${values[1]}",class="${values[2]}"`);
}

export interface DomainExposition {
  readonly body: Buffer;
  readonly series: number;
  /** Series of the guests that were left out whole because all would be more than the cap. */
  readonly dropped: number;
}

/** The families in their order, each with the guests in the snapshot's order. */
export function writeDomainFamilies(
  families: readonly DomainFamily[],
  snapshot: Snapshot,
  cache: LabelCache,
  seriesMax: number,
): DomainExposition {
  const whole = writeGuests(families, snapshot, snapshot.domains, cache, seriesMax);
  if (whole !== null) return { ...whole, dropped: 0 };
  const { kept, dropped } = withinCap(families, snapshot, seriesMax);
  const part = writeGuests(families, snapshot, kept, cache, Number.POSITIVE_INFINITY);
  return { body: part?.body ?? Buffer.alloc(0), series: part?.series ?? 0, dropped };
}

/** Null as soon as there are more series than `seriesMax`. */
function writeGuests(
  families: readonly DomainFamily[],
  snapshot: Snapshot,
  domains: readonly DomainSnapshot[],
  cache: LabelCache,
  seriesMax: number,
): { readonly body: Buffer; readonly series: number } | null {
  const guests = cache.bytesOf(domains);
  const writer = new ByteWriter(cache.lengthBefore + 64 * 1024);
  let series = 0;
  for (const family of families) {
    if (writer.length > 0) writer.text('\n');
    writer.text(familyHead(family));
    const name = Buffer.from(family.name);
    const suffixOf = cache.suffixesOf(family.labels);
    for (let index = 0; index < domains.length; index++) {
      for (const { labels, part, value } of family.samples(domains[index] as DomainSnapshot, snapshot)) {
        if (value === null || Number.isNaN(value)) continue;
        if (++series > seriesMax) return null;
        writer.bytes(name);
        if (part !== undefined) writer.text(part);
        writer.bytes(guests[index] as Buffer);
        writer.bytes(suffixOf(labels));
        writer.line(formatValue(value));
      }
    }
  }
  cache.lengthBefore = writer.length;
  return { body: writer.take(), series };
}

function familyHead({ name, help, type }: FamilyHead): string {
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
}

/** The guests whose series fit under the cap together. */
function withinCap(
  families: readonly DomainFamily[],
  snapshot: Snapshot,
  seriesMax: number,
): { readonly kept: readonly DomainSnapshot[]; readonly dropped: number } {
  const kept: DomainSnapshot[] = [];
  let total = 0;
  let dropped = 0;
  for (const domain of snapshot.domains) {
    let count = 0;
    for (const family of families) {
      for (const { value } of family.samples(domain, snapshot)) if (value !== null && !Number.isNaN(value)) count++;
    }
    if (total + count <= seriesMax) {
      kept.push(domain);
      total += count;
    } else dropped += count;
  }
  return { kept, dropped };
}

/** A buffer that grows. */
class ByteWriter {
  #buffer: Buffer;
  length = 0;

  constructor(room: number) {
    this.#buffer = Buffer.allocUnsafe(room);
  }

  bytes(bytes: Buffer): void {
    this.#reserve(bytes.length);
    this.#buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  /** Any text. */
  text(text: string): void {
    this.#reserve(text.length * 3);
    this.length += this.#buffer.write(text, this.length, 'utf8');
  }

  /** Short ASCII and a newline: for a few characters a loop is faster than a call into the runtime. */
  line(text: string): void {
    this.#reserve(text.length + 1);
    const buffer = this.#buffer;
    let at = this.length;
    for (let index = 0; index < text.length; index++) buffer[at++] = text.charCodeAt(index);
    buffer[at++] = 10;
    this.length = at;
  }

  take(): Buffer {
    return this.#buffer.subarray(0, this.length);
  }

  #reserve(count: number): void {
    if (this.length + count <= this.#buffer.length) return;
    const grown = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.length + count));
    this.#buffer.copy(grown, 0, 0, this.length);
    this.#buffer = grown;
  }
}
