/** What one day's file says: closed buckets in, frames out, and back. */
import { BUCKET_SECONDS, BUCKETS_PER_DAY, type ClosedBucket, type RestoreSink } from '../../slo/buckets.js';
import { finishInSlices, Pace } from '../slices.js';
import { ABSENT, goodAndBad, packCodes, packedCount, pairCode, unpackCodes } from './bucket-codes.js';
import { type Frame, scanFrames, writeFrame } from './frame.js';
import { SeriesNames } from './names.js';

/** Number, start, length and bad part in seconds, 32 bits each. */
const RUN_BYTES = 16;
/** Reading back is in no hurry: it leaves the event loop more often than others do. */
const BREATH_MS = 3;
/** Objectives between two looks at the clock. */
const A_STEP = 32;

/** New names are taken into `names`: when the frames are not written, `names` are to be read from the file again. */
export function encodeBucket(closed: ClosedBucket, names: SeriesNames): Buffer {
  const { bucket } = closed;
  const frames: Buffer[] = [];
  const newNames = names.addNew([...closed.keys, ...closed.runs.map(({ key }) => key)]);
  if (newNames !== null) {
    const frame = writeFrame('names', bucket, newNames);
    frames.push(frame, frame);
  }
  const numbers = Uint32Array.from(closed.keys, (key) => names.numberOf(key) ?? 0);
  const good = closed.good.slice();
  const bad = closed.bad.slice();
  const excluded = closed.excluded.slice();
  // A bucket that a clock led through twice may hold more than fits: the rest goes into another frame.
  for (let first = true; first || hasAny(good) || hasAny(bad); first = false) {
    const codes = new Uint16Array(names.count).fill(ABSENT);
    for (const [at, number] of numbers.entries()) {
      const takenBad = take(bad, at, BUCKET_SECONDS);
      const takenGood = take(good, at, BUCKET_SECONDS - takenBad);
      if (first || takenGood + takenBad > 0) codes[number] = pairCode(takenGood, takenBad);
    }
    frames.push(writeFrame('judged', bucket, packCodes(codes)));
  }
  while (hasAny(excluded)) {
    const codes = new Uint16Array(names.count).fill(ABSENT);
    for (const [at, number] of numbers.entries()) {
      const taken = take(excluded, at, BUCKET_SECONDS);
      if (taken > 0) codes[number] = pairCode(taken, 0);
    }
    frames.push(writeFrame('excluded', bucket, packCodes(codes)));
  }
  if (closed.runs.length > 0) frames.push(writeFrame('runs', bucket, encodeRuns(closed, names)));
  return Buffer.concat(frames);
}

function encodeRuns({ runs }: ClosedBucket, names: SeriesNames): Buffer {
  const payload = Buffer.alloc(runs.length * RUN_BYTES);
  for (const [at, { key, fromMs, toMs, badSeconds }] of runs.entries()) {
    const fields = [names.numberOf(key) ?? 0, fromMs / 1000, (toMs - fromMs) / 1000, badSeconds];
    for (const [field, value] of fields.entries()) {
      payload.writeUInt32LE(Math.max(0, Math.min(0xffff_ffff, Math.round(value))), at * RUN_BYTES + field * 4);
    }
  }
  return payload;
}

export interface ReadDay {
  readonly names: SeriesNames;
  /** Of whole frames; see {@link scanFrames}. */
  readonly damagedBytes: number;
  readonly wholeBytes: number;
}

/** The names of a file that is to be written further. */
export function readNames(file: Buffer): ReadDay {
  const { frames, damagedBytes, wholeBytes } = scanFrames(file);
  const names = new SeriesNames();
  for (const { kind, payload } of frames) {
    if (kind === 'names') names.read(payload);
    if (kind === 'judged' || kind === 'excluded') names.reserve(packedCount(payload));
  }
  return { names, damagedBytes, wholeBytes };
}

/** Hands everything in a day's file to the sink, a few milliseconds at a time. `day`: number from the epoch. */
export async function decodeDay(file: Buffer, day: number, sink: RestoreSink): Promise<ReadDay> {
  const { frames, damagedBytes, wholeBytes } = scanFrames(file);
  const names = new SeriesNames();
  for (const { kind, payload } of frames) if (kind === 'names') names.read(payload);
  const judged = new CodeRuns(names, sink, (code) => [...goodAndBad(code), 0]);
  const excluded = new CodeRuns(names, sink, (code) => [0, 0, goodAndBad(code)[0]]);
  let nonsense = 0;
  const pace = new Pace(BREATH_MS);
  for (const frame of frames) {
    const { kind, bucket, payload } = frame;
    const inDay = Math.floor(bucket / BUCKETS_PER_DAY) === day;
    const codes = kind === 'judged' || kind === 'excluded' ? unpackCodes(payload) : undefined;
    if (!inDay || codes === null) nonsense += payload.length;
    else if (codes !== undefined) await (kind === 'judged' ? judged : excluded).next(bucket, codes, pace);
    else if (kind === 'runs') decodeRuns(frame, names, sink);
    if (pace.isDue) await pace.rest();
  }
  await judged.end(pace);
  await excluded.end(pace);
  await finishInSlices(sink.restoreDayDone());
  return { names, damagedBytes: damagedBytes + nonsense, wholeBytes };
}

function decodeRuns({ payload }: Frame, names: SeriesNames, sink: RestoreSink): void {
  for (let at = 0; at + RUN_BYTES <= payload.length; at += RUN_BYTES) {
    const key = names.keyOf(payload.readUInt32LE(at));
    if (key === undefined) continue;
    const fromMs = payload.readUInt32LE(at + 4) * 1000;
    const toMs = fromMs + payload.readUInt32LE(at + 8) * 1000;
    sink.restoreRun({ key, fromMs, toMs, badSeconds: payload.readUInt32LE(at + 12) });
  }
}

/** Joins equal buckets of one objective that follow one another: most do. */
class CodeRuns {
  readonly #names: SeriesNames;
  readonly #sink: RestoreSink;
  readonly #amounts: (code: number) => readonly number[];
  #codes = new Uint16Array(0);
  #since = new Uint32Array(0);
  #end = -1;

  constructor(names: SeriesNames, sink: RestoreSink, amounts: (code: number) => readonly number[]) {
    this.#names = names;
    this.#sink = sink;
    this.#amounts = amounts;
  }

  async next(bucket: number, codes: Uint16Array, pace: Pace): Promise<void> {
    if (bucket !== this.#end) await this.end(pace);
    if (codes.length > this.#codes.length) {
      const longer = new Uint16Array(codes.length).fill(ABSENT);
      longer.set(this.#codes);
      const since = new Uint32Array(codes.length);
      since.set(this.#since);
      [this.#codes, this.#since] = [longer, since];
    }
    this.#end = bucket;
    for (let number = 0; number < this.#codes.length; number += 1) {
      const code = codes[number] ?? ABSENT;
      if (code === this.#codes[number]) continue;
      this.#emit(number);
      this.#codes[number] = code;
      this.#since[number] = bucket;
      if (number % A_STEP === 0 && pace.isDue) await pace.rest();
    }
    this.#end = bucket + 1;
  }

  async end(pace: Pace): Promise<void> {
    for (let number = 0; number < this.#codes.length; number += 1) {
      this.#emit(number);
      if (number % A_STEP === 0 && pace.isDue) await pace.rest();
    }
    this.#codes.fill(ABSENT);
  }

  #emit(number: number): void {
    const code = this.#codes[number] ?? ABSENT;
    const key = this.#names.keyOf(number);
    if (code === ABSENT || key === undefined) return;
    const since = this.#since[number] ?? 0;
    const [good = 0, bad = 0, excluded = 0] = this.#amounts(code);
    this.#sink.restoreBuckets(key, since, this.#end - since, good, bad, excluded);
  }
}

function hasAny(column: Uint16Array): boolean {
  return column.some((seconds) => seconds > 0);
}

function take(column: Uint16Array, at: number, most: number): number {
  const taken = Math.min(column[at] ?? 0, most);
  column[at] = (column[at] ?? 0) - taken;
  return taken;
}
