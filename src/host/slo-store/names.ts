/**
 * Which objectives the codes of a file belong to: codes stand in the order of these names. A payload is the number of the first
 * and a line for each guest: its UUID, its class and its SLIs. Each such frame is written twice, because all else hangs on it.
 */
import type { SeriesKey } from '../../slo/buckets.js';

const MOST_NAMES = 1_000_000;
const MOST_NAME_LENGTH = 512;

export class SeriesNames {
  /** By number; a hole where the names were damaged. */
  readonly #keys: (SeriesKey | undefined)[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #known = new WeakMap<SeriesKey, number>();

  get count(): number {
    return this.#keys.length;
  }

  keyOf(number: number): SeriesKey | undefined {
    return this.#keys[number];
  }

  numberOf(key: SeriesKey): number | undefined {
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const number = this.#numbers.get(textOf(key));
    if (number !== undefined) this.#known.set(key, number);
    return number;
  }

  /** Numbers below this are taken, though their names were lost. */
  reserve(count: number): void {
    if (count > this.#keys.length) this.#keys.length = count;
  }

  /** Gives those that have no number yet theirs, and the payload that says so; null when all have one. */
  addNew(keys: readonly SeriesKey[]): Buffer | null {
    const first = Buffer.alloc(4);
    first.writeUInt32LE(this.#keys.length);
    const lines: string[] = [];
    let guest = '';
    for (const key of keys) {
      if (this.numberOf(key) !== undefined) continue;
      this.#set(this.#keys.length, key);
      const start = `${encodeURIComponent(key.uuid)} ${encodeURIComponent(key.className)} `;
      const sli = encodeURIComponent(key.sli);
      if (start === guest) lines.push(`${lines.pop()},${sli}`);
      else lines.push(start + sli);
      guest = start;
    }
    return lines.length === 0 ? null : Buffer.concat([first, Buffer.from(lines.join('\n'))]);
  }

  /** False for what was not written by {@link addNew}. */
  read(payload: Buffer): boolean {
    if (payload.length < 4) return false;
    let number = payload.readUInt32LE(0);
    for (const line of payload.toString('utf8', 4).split('\n')) {
      const [first = '', second = '', slis = ''] = line.split(' ');
      const uuid = decoded(first);
      const className = decoded(second);
      if (uuid === undefined || className === undefined) return false;
      for (const sli of slis.split(',').map(decoded)) {
        if (sli === undefined) return false;
        if (number >= MOST_NAMES || Math.max(uuid.length, className.length, sli.length) > MOST_NAME_LENGTH)
          return false;
        const known = this.#keys[number];
        const key = { uuid, className, sli };
        if (known === undefined || textOf(known) !== textOf(key)) this.#set(number, key);
        number += 1;
      }
    }
    return true;
  }

  #set(number: number, key: SeriesKey): void {
    this.#keys[number] = key;
    this.#numbers.set(textOf(key), number);
    this.#known.set(key, number);
  }
}

function textOf({ uuid, className, sli }: SeriesKey): string {
  return `${uuid}\n${className}\n${sli}`;
}

function decoded(text: string): string | undefined {
  try {
    return text === '' ? undefined : decodeURIComponent(text);
  } catch {
    return undefined;
  }
}
