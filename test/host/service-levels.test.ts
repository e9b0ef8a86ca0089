/**
 * What virtslad says that guests wanted, were promised and got, against the kernel's own counters read beside it: two guests
 * that contend for one core, one that idles, one at its own limit.
 */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import type { DomainSnapshot } from '../../src/snapshot/types.js';
import { vcpuDemandSeconds, vcpuSeconds } from '../support/cpu-time.js';
import type { Guest } from '../support/guest.js';
import { Lab } from '../support/lab.js';
import { sleep, waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

const OBJECTIVE =
  'objectives: [{ sli: cpu.delivered, at-least: 95%, of: 99%, window: 30d }, { sli: available, of: 99%, window: month }]';
const POLICY = `version: 1
classes:
  promised: { cpu: { guarantee: 80%, weight: 100 }, ${OBJECTIVE} }
  neighbour: { cpu: { weight: 100 } }
  limited: { cpu: { guarantee: 20%, limit: 40% }, ${OBJECTIVE} }
assignments:
  - { class: promised, match: { name: ["promised-*", "idle-*"] } }
  - { class: limited, match: { name: "limited-*" } }
  - { class: neighbour, match: { any: true } }
`;
const GUARANTEED_CORES = 0.8;

const promised = await lab.startGuest({ name: 'promised-1', cpuset: '0' });
const neighbour = await lab.startGuest({ name: 'neighbour-1', cpuset: '0' });
const idle = await lab.startGuest({ name: 'idle-1', burn: false });
const limited = await lab.startGuest({ name: 'limited-1', cpuset: '1' });
await promised.waitUntilBusy();
await neighbour.waitUntilBusy();
for (const name of ['limited-2', 'limited-3']) lab.uuid(name);
const daemon = await lab.startDaemon({ policies: { '10-slo.yaml': POLICY } });
await daemon.waitUntilCompliant([promised, limited]);

interface Reading {
  readonly atMs: number;
  readonly delivered: number;
  readonly demanded: number;
  readonly entitled: number;
  readonly shortfall: number;
  readonly ran: number;
  readonly wanted: number;
}

async function counter(name: string, { uuid }: Guest): Promise<number> {
  return (await daemon.metric(`virtsla_cpu_${name}_seconds_total`, { uuid })) ?? 0;
}

/** Of the daemon and of the kernel, both of the moment of a cycle. */
async function readingOf(guest: Guest): Promise<Reading> {
  const before = await counter('delivered', guest);
  const told = async () => (await counter('delivered', guest)) !== before;
  let [ran, wanted, atMs] = [0, 0, 0];
  await waitUntil(
    'the next cycle',
    async () => {
      [ran, wanted, atMs] = [vcpuSeconds(guest.pid), vcpuDemandSeconds(guest.pid), performance.now()];
      return told();
    },
    { seconds: 20, everyMs: 10 },
  );
  const [delivered, demanded, entitled, shortfall] = await Promise.all(
    ['delivered', 'demanded', 'entitled', 'shortfall'].map((name) => counter(name, guest)),
  );
  return {
    atMs,
    ran,
    wanted,
    ...({ delivered, demanded, entitled, shortfall } as Omit<Reading, 'atMs' | 'ran' | 'wanted'>),
  };
}

async function objectivesOf({ uuid }: Guest): Promise<DomainSnapshot['objectives']> {
  const response = await fetch(`${daemon.url}/api/v1/domains/${uuid}`);
  // Not known yet.
  return response.ok ? ((await response.json()) as DomainSnapshot).objectives : [];
}

test('two guests on one core: demanded, delivered and short agree with the kernel within 3 %', async (t) => {
  const from = await readingOf(promised);
  await sleep(20);
  const to = await readingOf(promised);
  const seconds = (to.atMs - from.atMs) / 1000;
  const rise = (name: keyof Reading): number => to[name] - from[name];
  const short = GUARANTEED_CORES * seconds - rise('ran');
  const words = (name: keyof Reading, truth: number): string =>
    `${name} ${rise(name).toFixed(2)} s, true ${truth.toFixed(2)} s`;
  t.diagnostic(
    `over ${seconds.toFixed(1)} s: ${words('delivered', rise('ran'))}; ${words('demanded', rise('wanted'))}`,
  );
  t.diagnostic(`${words('entitled', GUARANTEED_CORES * seconds)}; ${words('shortfall', short)}`);
  const agrees = (name: keyof Reading, truth: number): void =>
    assert.ok(Math.abs(rise(name) - truth) <= 0.03 * seconds * GUARANTEED_CORES, words(name, truth));
  agrees('delivered', rise('ran'));
  agrees('demanded', rise('wanted'));
  agrees('entitled', GUARANTEED_CORES * seconds);
  agrees('shortfall', short);
  assert.ok(short > 0.2 * seconds, `it got what it was promised: ${short} s short`);
});

test('one that idles, and one at its own limit above its guarantee, are short of nothing', async (t) => {
  for (const guest of [idle, limited]) {
    const from = await counter('shortfall', guest);
    const [ran, began] = [vcpuSeconds(guest.pid), performance.now()];
    await sleep(11);
    const short = (await counter('shortfall', guest)) - from;
    const cores = (vcpuSeconds(guest.pid) - ran) / ((performance.now() - began) / 1000);
    t.diagnostic(`${guest.name}: used ${cores.toFixed(2)} cores, short of ${short.toFixed(3)} s`);
    assert.ok(short <= 0.03 * 11 * 0.2, `${guest.name}: ${short} s`);
    const [objective] = await objectivesOf(guest);
    assert.equal(objective?.totals.bad, 0, guest.name);
  }
});

test('bad time is charged to its error budget, told, and not forgotten by a restart', async (t) => {
  const [before] = await objectivesOf(promised);
  t.diagnostic(JSON.stringify({ totals: before?.totals, left: before?.remainingRatio, burn: before?.burnRates['1h'] }));
  assert.ok((before?.totals.bad ?? 0) >= 20, JSON.stringify(before));
  assert.ok((before?.remainingRatio ?? 1) < 0 && (before?.burnRates['5m'] ?? 0) > 10);
  const { stdout } = await daemon.virtslad('status', promised.name);
  assert.match(stdout, /objective +cpu\.delivered 99% of 30d: error budget overspent by .* bad of /);
  await daemon.kill('SIGTERM');
  await daemon.start();
  const kept = async () => ((await objectivesOf(promised))[0]?.totals.bad ?? 0) >= (before?.totals.bad ?? 0);
  await waitUntil('history to be read', kept, { seconds: 15 });
  const [after] = await objectivesOf(promised);
  assert.equal(after?.counters.unknown, 0, 'the time without a daemon is in the window, and in no counter');
});

test('a guest whose QEMU is killed is not available; one that is shut down asks for nothing', async (t) => {
  const [crashed, stopped] = await Promise.all(
    ['limited-2', 'limited-3'].map((name) => lab.startGuest({ name, burn: false, persistent: true })),
  );
  assert.ok(crashed !== undefined && stopped !== undefined);
  const available = async (guest: Guest) =>
    (await objectivesOf(guest)).find(({ sli }) => sli === 'available')?.totals ?? { good: 0, bad: 0 };
  for (const guest of [crashed, stopped]) {
    await waitUntil('it to be judged', async () => (await available(guest)).good > 0, { seconds: 20, everyMs: 200 });
  }
  process.kill(crashed.pid, 'SIGKILL');
  await stopped.virshOk(['destroy', stopped.uuid]);
  await waitUntil('it to be missed', async () => (await available(crashed)).bad >= 5, { seconds: 20, everyMs: 200 });
  t.diagnostic(
    `killed: ${JSON.stringify(await available(crashed))}, stopped: ${JSON.stringify(await available(stopped))}`,
  );
  assert.equal((await available(stopped)).bad, 0);
  assert.ok((await available(stopped)).good > 0);
});
