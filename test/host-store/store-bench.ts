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
