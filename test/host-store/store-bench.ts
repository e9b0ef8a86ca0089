/** Budgets with a store in a directory of their own, and ways to end them. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { SloStore, type SloStoreOptions } from '../../src/host/slo-store/store.js';
import type { ClosedBucket, RestoreSink, RunRecord, SeriesKey } from '../../src/slo/buckets.js';
import { Budgets } from '../../src/slo/budgets.js';

export function temporaryDirectory(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'virtslad-store-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

export async function opened(directory: string, options?: SloStoreOptions) {
  const store = new SloStore(directory, options);
  await store.open();
  const budgets = new Budgets();
  await budgets.restore(store);
  return { store, budgets };
}

/** What a store hands back, added up: `uuid class sli bucket` → good, bad, excluded. */
export class Collected implements RestoreSink {
  readonly buckets = new Map<string, [number, number, number]>();
  readonly runs: RunRecord[] = [];

  restoreBuckets(key: SeriesKey, bucket: number, count: number, good: number, bad: number, excluded: number): void {
    for (let at = bucket; at < bucket + count; at += 1) {
      const name = nameOf(key, at);
      const [a, b, c] = this.buckets.get(name) ?? [0, 0, 0];
      this.buckets.set(name, [a + good, b + bad, c + excluded]);
    }
  }

  restoreRun(run: RunRecord): void {
    this.runs.push(run);
  }

  *restoreDayDone(): Generator<void, void> {}
}

export function nameOf({ uuid, className, sli }: SeriesKey, bucket: number): string {
  return `${uuid} ${className} ${sli} ${bucket}`;
}

export async function collect(directory: string) {
  const store = new SloStore(directory);
  await store.open();
  const collected = new Collected();
  await store.load(collected);
  await store.close();
  return { collected, store };
}

export function closedBucket(
  bucket: number,
  entries: readonly (readonly [SeriesKey, number, number, number])[],
  runs: readonly RunRecord[] = [],
): ClosedBucket {
  return {
    bucket,
    keys: entries.map(([key]) => key),
    good: Uint16Array.from(entries, ([, good]) => good),
    bad: Uint16Array.from(entries, ([, , bad]) => bad),
    excluded: Uint16Array.from(entries, ([, , , excluded]) => excluded),
    runs,
  };
}

export function keys(guests: number, slis: readonly string[]): SeriesKey[] {
  return Array.from({ length: guests }, (_, guest) =>
    slis.map((sli) => ({ uuid: uuidOf(guest), className: 'gold', sli })),
  ).flat();
}

function uuidOf(guest: number): string {
  const hex = (Math.imul(guest + 1, 2_654_435_761) >>> 0).toString(16).padStart(8, '0');
  return `${hex}-${hex.slice(0, 4)}-4${hex.slice(5)}-8${hex.slice(1, 4)}-${hex}${hex.slice(4)}`;
}

/** What the tests of faults write: every amount of it is known by its place. */
export const FAULT_FIRST = 20_730 * 288;
const FAULT_KEYS = keys(600, ['cpu.delivered', 'disk.latency']);

function faultAmounts(bucket: number, at: number): readonly [number, number, number] {
  const bad = (bucket * 7919 + at * 104_729) % 150;
  return [150 - bad, bad, 1 + ((bucket + at) % 100)];
}

export function faultBucket(bucket: number): ClosedBucket {
  const entries = FAULT_KEYS.map((key, at) => [key, ...faultAmounts(bucket, at)] as const);
  const fromMs = bucket * 300_000;
  return closedBucket(bucket, entries, [
    { key: FAULT_KEYS[0] as SeriesKey, fromMs, toMs: fromMs + 9000, badSeconds: 9 },
  ]);
}

/** Every second of it is there, and none twice. */
export function isWhole(collected: Collected, bucket: number): boolean {
  return FAULT_KEYS.every((key, at) => {
    const found = collected.buckets.get(nameOf(key, bucket));
    return faultAmounts(bucket, at).every((seconds, column) => found?.[column] === seconds);
  });
}

/** Nothing of it is there that was not lived: what is cut off is unknown, not good. */
export function isPart(collected: Collected, bucket: number): boolean {
  return FAULT_KEYS.every((key, at) => {
    const found = collected.buckets.get(nameOf(key, bucket)) ?? [0, 0, 0];
    const [good, bad, excluded] = faultAmounts(bucket, at);
    const isJudged = found[0] === good && found[1] === bad;
    return (isJudged || (found[0] === 0 && found[1] === 0)) && (found[2] === excluded || found[2] === 0);
  });
}
