/**
 * The series of all guests in the Prometheus text format, version 0.0.4: takes families and a snapshot, gives bytes.
 * Written by hand because prom-client takes some twenty times as long and blocks the event loop meanwhile; a test holds
 * the two to the same bytes. The labels of a guest are escaped once and kept as bytes while the guest is there.
 */
import { printable } from '../printable.js';
import type { DomainSnapshot, Snapshot } from '../snapshot/types.js';
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

/** Further labels that are remembered; they come from short vocabularies (states, controls, reason codes). */
const SUFFIXES_MAX = 1000;

/** Remembers the label bytes of the guests of the last snapshot, and how long the page was. */
export class LabelCache {
  #known: ReadonlyMap<string, KnownLabels> = new Map();
  readonly #suffixes = new Map<string, Buffer>();
  /** Length of the last page, to begin the next with room enough. */
  lengthBefore = 0;

  /** Bytes for each of `domains`, in their order; forgets all other guests. */
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
    return bytes;
  }

  /** `,state="running"} ` for the labels after a guest's own. */
  suffix(names: readonly string[], values: readonly string[]): Buffer {
    const key = names.length === 1 ? `${names[0]}=${values[0]}` : JSON.stringify([names, values]);
    const known = this.#suffixes.get(key);
    if (known !== undefined) return known;
    if (this.#suffixes.size >= SUFFIXES_MAX) this.#suffixes.clear();
    const text = names.map((name, index) => `,${name}="${escapeLabelValue(values[index] ?? '')}"`).join('');
    const bytes = Buffer.from(`${text}} `);
    this.#suffixes.set(key, bytes);
    return bytes;
  }
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
  const { kept, dropped } = withinCap(families, snapshot, seriesMax);
  const guests = cache.bytesOf(kept);
  const writer = new ByteWriter(cache.lengthBefore + 64 * 1024);
  let series = 0;
  for (const family of families) {
    if (writer.length > 0) writer.text('\n');
    writer.text(familyHead(family));
    const name = Buffer.from(family.name);
    const bare = cache.suffix([], []);
    for (let index = 0; index < kept.length; index++) {
      for (const { labels, value } of family.samples(kept[index] as DomainSnapshot, snapshot)) {
        if (value === null || Number.isNaN(value)) continue;
        writer.bytes(name);
        writer.bytes(guests[index] as Buffer);
        writer.bytes(family.labels.length === 0 ? bare : cache.suffix(family.labels, labels));
        writer.line(formatValue(value));
        series++;
      }
    }
  }
  cache.lengthBefore = writer.length;
  return { body: writer.take(), series, dropped };
}

function familyHead({ name, help, type }: FamilyHead): string {
  return `# HELP ${name} ${escapeHelp(help)}\n# TYPE ${name} ${type}\n`;
}

/** The guests whose series fit under the cap together. Nothing is counted while even the most series would fit. */
function withinCap(
  families: readonly DomainFamily[],
  snapshot: Snapshot,
  seriesMax: number,
): { readonly kept: readonly DomainSnapshot[]; readonly dropped: number } {
  const mostPerGuest = families.reduce((sum, family) => sum + family.seriesMax, 0);
  if (snapshot.domains.length * mostPerGuest <= seriesMax) return { kept: snapshot.domains, dropped: 0 };
  const kept: DomainSnapshot[] = [];
  let total = 0;
  let dropped = 0;
  for (const domain of snapshot.domains) {
    const count = families.reduce((sum, family) => sum + family.samples(domain, snapshot).length, 0);
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
