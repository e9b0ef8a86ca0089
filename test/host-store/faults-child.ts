/**
 * What the tests of faults run beside themselves. `write DIRECTORY FROM`: adds bucket after bucket and says the number of each
 * that is stored, until it is killed. `disk DIRECTORY`: mounts a small file system there, in the mount namespace of its own
 * that it must have, and lets it be full, read-only and taken away.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, rmSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { SloStore } from '../../src/host/slo-store/store.js';
import { collect, FAULT_FIRST as FIRST, faultBucket, isWhole } from './store-bench.js';

const [what, directory = '', from = ''] = process.argv.slice(2);
if (what === 'write') await write(Number(from));
else await disk();

async function write(first: number): Promise<void> {
  const store = new SloStore(directory);
  await store.open();
  for (let bucket = first; ; bucket += 1) {
    await store.append([faultBucket(bucket)]);
    assert.equal(store.error, null);
    writeSync(1, `${bucket}\n`);
  }
}

async function disk(): Promise<void> {
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=512k', 'tmpfs', directory]);
  const path = join(directory, 'slo');
  const ballast = join(directory, 'ballast');
  let store = new SloStore(path, { retryMs: 20 });
  await store.open();
  let bucket = FIRST;
  // A bucket is some two pages long: it is cut in the middle of each of its frames in turn.
  for (const free of [1, 2, 3, 4, 5]) {
    await store.append([faultBucket(bucket++)]);
    assert.equal(store.error, null);
    writeFileSync(ballast, Buffer.alloc(freePages() * 4096 - free * 4096));
    for (let more = 0; more < 8; more += 1) await store.append([faultBucket(bucket++)]);
    assert.match(store.error ?? '', /ENOSPC/);
    rmSync(ballast);
    await retried(store);
    await mustHave(path, bucket);
  }

  // Refused while a file is open for writing.
  await store.close();
  execFileSync('mount', ['-o', 'remount,ro', directory]);
  store = new SloStore(path, { retryMs: 20 });
  await store.open();
  assert.equal(store.error, null);
  await store.append([faultBucket(bucket++), faultBucket(bucket++)]);
  assert.match(store.error ?? '', /EROFS/);
  await mustHave(path, bucket - 2);
  execFileSync('mount', ['-o', 'remount,rw', directory]);
  await retried(store);
  await mustHave(path, bucket);

  // Somebody removes it: what comes later is kept again.
  rmSync(path, { recursive: true });
  await store.append([faultBucket(bucket++)]);
  assert.equal(store.error, null);
  const { collected } = await collect(path);
  assert.ok(isWhole(collected, bucket - 1));
  assert.equal(readdirSync(path).length, 1);
  await store.close();

  // One that starts on a disk that cannot be written, with no directory yet.
  rmSync(path, { recursive: true });
  execFileSync('mount', ['-o', 'remount,ro', directory]);
  const early = new SloStore(path, { retryMs: 20 });
  await early.open();
  assert.match(early.error ?? '', /EROFS/);
  await early.append([faultBucket(bucket)]);
  assert.match(early.error ?? '', /EROFS/);
  execFileSync('mount', ['-o', 'remount,rw', directory]);
  await retried(early);
  await early.close();
  assert.ok(isWhole((await collect(path)).collected, bucket));
}

async function retried(store: SloStore): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, 30));
  store.retry();
  await store.append([]);
  assert.equal(store.error, null);
}

async function mustHave(path: string, end: number): Promise<void> {
  const { collected, store } = await collect(path);
  assert.equal(store.error, null);
  assert.deepEqual(store.damage, []);
  for (let bucket = FIRST; bucket < end; bucket += 1) assert.ok(isWhole(collected, bucket), `bucket ${bucket}`);
}

function freePages(): number {
  return Number(execFileSync('stat', ['--file-system', '--format', '%a', directory], { encoding: 'utf8' }));
}
