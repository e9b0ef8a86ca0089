/**
 * disk.delivered against the truth: a guest that reads all the time, whose disk somebody else caps below what its class promises
 * and uncaps again, and one with the same cap that asks for nothing. What it got is held against the kernel's own count of what
 * QEMU read. The daemon observes, or it would have the cap off within a second.
 *
 * A round of readings ends when libvirt announces that a throttle was changed, so that nobody has to wait for a minute here.
 */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, test } from 'node:test';
import type { DomainSnapshot } from '../../src/snapshot/types.js';
import { READ_LARGE } from '../support/boot-sector.js';
import { waitForRequests } from '../support/disk-rate.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { diskThrottle } from '../support/tuning-view.js';
import { sleep, waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

/** Bytes a second. Six to twelve requests a second: long against the moments between one and the next. */
const PROMISED = 400_000;
const CAPPED = 200_000;
const POLICY = `version: 1
classes:
  promised:
    disk: { limit: { read: 400kB/s } }
    objectives: [{ sli: disk.delivered, at-least: 90%, of: 99%, window: 30d }]
assignments:
  - { class: promised, match: { any: true } }
`;

const reader = await lab.startGuest({ name: 'reader', program: READ_LARGE });
const idle = await lab.startGuest({ name: 'idle', burn: false });
const daemon = await lab.startDaemon({ policies: { '10-disk-promise.yaml': POLICY }, mode: 'observe' });
await waitForRequests(reader, 'vda');

/** What the kernel has counted of the reads of a process, page cache or not, at each moment (proc(5), `io`). */
class KernelReads {
  readonly #samples: { readonly atMs: number; readonly bytes: number }[] = [];

  constructor({ pid }: Guest) {
    const timer = setInterval(() => {
      const bytes = Number(/^rchar: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'latin1'))?.[1]);
      this.#samples.push({ atMs: Date.now(), bytes });
    }, 20);
    lab.cleanup.defer('stop looking', () => clearInterval(timer));
  }

  between(fromMs: number, toMs: number): number {
    const at = (ms: number): number => this.#samples.findLast(({ atMs }) => atMs <= ms)?.bytes ?? Number.NaN;
    return at(toMs) - at(fromMs);
  }
}

const kernel = new KernelReads(reader);

async function snapshotOf({ uuid }: Guest): Promise<DomainSnapshot> {
  return (await (await fetch(`${daemon.url}/api/v1/domains/${uuid}`)).json()) as DomainSnapshot;
}

async function diskOf(guest: Guest): Promise<DomainSnapshot['disks'][number] | undefined> {
  return (await snapshotOf(guest)).disks?.find(({ target }) => target === 'vda');
}

async function seconds(result: 'good' | 'bad', { uuid }: Guest): Promise<number> {
  return (await daemon.metric('virtsla_slo_seconds_total', { uuid, sli: 'disk.delivered', result })) ?? 0;
}

/** Bytes a second: another each time, so that it is a change. */
let idleCap = CAPPED;

async function throttle(guest: Guest, fields: readonly string[]): Promise<void> {
  await guest.virshOk(['blkdeviotune', guest.uuid, 'vda', '--live', ...fields]);
}

/** Sets the throttle, which ends a round; gives that round when a cycle has shown it. */
async function endRound(fields: readonly string[]) {
  const before = (await diskOf(reader))?.atMs;
  await throttle(reader, fields);
  idleCap -= 1;
  await throttle(idle, ['--read-bytes-sec', String(idleCap)]);
  const disk = await waitUntil(
    'a round to end',
    async () => {
      const now = await diskOf(reader);
      return now !== undefined && now.atMs !== before && now.rates !== null && now;
    },
    { seconds: 20, everyMs: 100 },
  );
  assert.ok(disk.rates !== null);
  const { overSeconds, readBytesPerSecond, readIops, readLatencySeconds } = disk.rates;
  const truth = kernel.between(disk.atMs - overSeconds * 1000, disk.atMs) / overSeconds;
  return {
    atMs: disk.atMs,
    rate: readBytesPerSecond,
    truth,
    words:
      `over ${overSeconds.toFixed(1)} s: ${(readBytesPerSecond / 1e3).toFixed(1)} kB/s, true ` +
      `${(truth / 1e3).toFixed(1)}; requests under way ${(100 * readIops * (readLatencySeconds ?? 0)).toFixed(1)} % of the time`,
  };
}

function agrees({ rate, truth, words }: Awaited<ReturnType<typeof endRound>>): void {
  assert.ok(Math.abs(rate - truth) <= 0.03 * truth, words);
}

const AS_PROMISED = ['--read-bytes-sec', String(PROMISED)];
const TOO_LITTLE = ['--read-bytes-sec', String(CAPPED)];
/** The same for a guest that only reads: it announces a change, no more. */
const AS_PROMISED_TOO = [...AS_PROMISED, '--write-bytes-sec', String(PROMISED)];

test('a guest that runs at the limit it is promised is charged nothing', async (t) => {
  await waitUntil('a first reading', () => diskOf(reader), { seconds: 20, everyMs: 200 });
  await endRound(AS_PROMISED);
  await sleep(20);
  const round = await endRound(TOO_LITTLE);
  t.diagnostic(round.words);
  agrees(round);
  assert.ok(round.rate >= 0.9 * PROMISED, round.words);
  const good = await seconds('good', reader);
  await waitUntil('it to be judged', async () => (await seconds('good', reader)) >= good + 9, {
    seconds: 30,
    everyMs: 200,
  });
  assert.equal(await seconds('bad', reader), 0);
});

test('one whose disk is capped below that is charged for as long', async (t) => {
  await sleep(25);
  assert.deepEqual(await diskThrottle(reader, 'vda'), { read_bytes_sec: String(CAPPED) }, 'nobody took the cap off');
  const capped = await endRound(AS_PROMISED);
  t.diagnostic(capped.words);
  agrees(capped);
  assert.ok(capped.rate < 0.6 * PROMISED, capped.words);
  await waitUntil('bad seconds', async () => (await seconds('bad', reader)) >= 10, { seconds: 30, everyMs: 200 });
  const [objective] = (await snapshotOf(reader)).objectives;
  assert.ok((objective?.totals.bad ?? 0) >= 10 && (objective?.remainingRatio ?? 1) < 0, JSON.stringify(objective));

  await sleep(12);
  const again = await endRound(AS_PROMISED_TOO);
  t.diagnostic(again.words);
  agrees(again);
  assert.ok(again.rate >= 0.9 * PROMISED, again.words);
  const bad = await seconds('bad', reader);
  await sleep(11);
  assert.equal(await seconds('bad', reader), bad, 'the charge ends with the round');
  // A round stands until the next one ends, and is seen by whole cycles of 5 s.
  const stood = (again.atMs - capped.atMs) / 1000;
  t.diagnostic(`charged ${bad.toFixed(1)} s; the round stood for ${stood.toFixed(1)} s`);
  assert.ok(Math.abs(bad - stood) <= 11, `${bad} of ${stood} s`);
});

test('one with the same cap that asks for nothing is charged nothing', async (t) => {
  const good = await seconds('good', idle);
  t.diagnostic(`good ${good.toFixed(1)} s`);
  assert.ok(good >= 20, `${good} s`);
  assert.equal(await seconds('bad', idle), 0);
});
