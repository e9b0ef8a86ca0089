/** The meaning of cpu.limit and cpu.weight, row by row, and what people are told of it. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Desired, Sight } from '../../src/controls/control.js';
import { cpuLimit } from '../../src/controls/cpu-limit.js';
import { autoWeight, cpuWeight, sharesOf, weightOf as weightOfText } from '../../src/controls/cpu-weight.js';
import type { Domain } from '../../src/domains/types.js';
import type { CpuAmount, EffectiveClass, Sourced } from '../../src/policy/types.js';
import { coresAllowed, formatCpuMax, parseCpuMax } from '../../src/text/cpu-max.js';
import { GuestModel, HOST } from '../reconcile/guest-model.js';

const SOURCE = { file: 'p.yaml', line: 3, column: 5 };
const percent = (value: number): CpuAmount => ({ unit: 'percent', fraction: value / 100 });
const cores = (value: number): CpuAmount => ({ unit: 'cores', cores: value });

const sees = (read: (path: string) => string | null): Sight => ({
  read: ({ path }) => read(path),
  exists: () => true,
  problem: () => null,
});
const SEES_NOTHING = sees(() => null);
const keyed = (desired: Desired & { kind: 'set' }) => new Map(desired.settings.map(({ key, text }) => [key, text]));

function classOf(values: Record<string, unknown>): EffectiveClass {
  const sourced = Object.entries(values).map(([key, value]): [string, Sourced] => [
    key,
    { value, text: JSON.stringify(value), source: SOURCE },
  ]);
  return { name: 'c', priority: 100, values: new Map(sourced), assignment: SOURCE, openSchedules: [] };
}

function limitOn(domain: Domain, limit: CpuAmount): Desired {
  return cpuLimit.desired(classOf({ 'cpu.limit': limit }), domain, HOST, SEES_NOTHING);
}

const texts = (desired: Desired): string[] =>
  desired.kind === 'set' ? desired.settings.map(({ text }) => text) : [desired.kind];

describe('cpu.limit', () => {
  const rows: [string, number, CpuAmount, string[]][] = [
    ['half of one vCPU', 1, percent(50), ['50000 100000']],
    ['half of four vCPUs is half of each', 4, percent(50), Array(4).fill('50000 100000')],
    ['100 % is no quota', 2, percent(100), ['max 100000', 'max 100000']],
    ['one core over four vCPUs', 4, cores(1), Array(4).fill('25000 100000')],
    ['as many cores as vCPUs is no quota', 2, cores(2), ['max 100000', 'max 100000']],
    ['more cores than vCPUs counts as all of them', 2, cores(16), ['max 100000', 'max 100000']],
    ['1 % is the least', 1, percent(1), ['1000 100000']],
    ['a quota is a whole number of microseconds', 3, cores(1), Array(3).fill('33333 100000')],
    ['under 1 % of a vCPU is refused', 64, cores(0.5), ['refused']],
  ];
  for (const [name, vcpus, limit, wanted] of rows) {
    test(name, () => assert.deepEqual(texts(limitOn(new GuestModel(2, vcpus).domain, limit)), wanted));
  }

  test('an absent key is not managed', () => {
    assert.equal(cpuLimit.desired(classOf({}), new GuestModel(2, 1).domain, HOST, SEES_NOTHING).kind, 'unmanaged');
  });

  test('real-time vCPUs escape quotas: unsupported, and said so', () => {
    const model = new GuestModel(2, 1);
    model.cputune = { realtimeVcpus: true };
    const desired = limitOn(model.domain, percent(50));
    assert.equal(desired.kind, 'unsupported');
    assert.match(desired.kind === 'unsupported' ? desired.reason : '', /real-time/);
  });

  test('while the guest starts, the number of vCPUs is its definition’s, not that of the groups made so far', () => {
    const model = new GuestModel(2, 4);
    const domain: Domain = { ...model.domain, state: 'starting', vcpuGroups: [0] };
    assert.deepEqual(texts(limitOn(domain, cores(2))), Array(4).fill('50000 100000'));
  });

  test('only vCPU groups are written, never emulator or I/O threads', () => {
    const desired = limitOn(new GuestModel(1, 3).domain, percent(20));
    assert.ok(desired.kind === 'set');
    assert.deepEqual(
      desired.settings.map(({ key }) => key),
      ['vcpu0/cpu.max', 'vcpu1/cpu.max', 'vcpu2/cpu.max'],
    );
  });

  test('libvirt is told the quota, and the period only where its own is another', () => {
    const model = new GuestModel(2, 1);
    const tell = (desired: Desired): unknown => {
      const told = desired.kind === 'set' ? cpuLimit.tellFor?.(keyed(desired), model.domain) : null;
      const [call] = told?.calls ?? [];
      return call?.call === 'scheduler' ? call.parameters : null;
    };
    assert.deepEqual(tell(limitOn(model.domain, percent(20))), { vcpu_quota: 20_000n });
    assert.deepEqual(tell(limitOn(model.domain, percent(100))), { vcpu_quota: -1n });
    model.cputune = { realtimeVcpus: false, vcpuPeriodUsec: 50_000 };
    assert.deepEqual(tell(limitOn(model.domain, percent(20))), { vcpu_quota: 20_000n, vcpu_period: 100_000n });
  });

  test('a lower quota on the whole guest overrides ours', () => {
    const { domain } = new GuestModel(2, 2);
    const desired = limitOn(domain, percent(50));
    const with1 = (text: string) =>
      cpuLimit.overriddenBy?.(
        desired,
        domain,
        sees(() => text),
      ) ?? null;
    assert.match(with1('60000 100000')?.reason ?? '', /0\.60 cores/);
    assert.equal(with1('100000 100000'), null);
    assert.equal(with1('max 100000'), null);
    const above = (path: string) => (path === '/cg/machine/cpu.max' ? '50000 100000' : 'max 100000');
    assert.match(cpuLimit.overriddenBy?.(desired, domain, sees(above))?.reason ?? '', /group above/);
    const none = limitOn(domain, percent(100));
    assert.ok(
      cpuLimit.overriddenBy?.(
        none,
        domain,
        sees(() => '150000 100000'),
      ),
      'no quota wanted, 1.5 of 2 cores allowed',
    );
  });
});

describe('cpu.weight', () => {
  const weightOf = (values: Record<string, unknown>, vcpus = 2, version: 1 | 2 = 2): string[] =>
    texts(cpuWeight.desired(classOf(values), new GuestModel(version, vcpus).domain, HOST, SEES_NOTHING));

  test('given as a number it is that number', () => assert.deepEqual(weightOf({ 'cpu.weight': 250 }), ['250']));
  test('auto is 100 for each guaranteed core', () => {
    assert.deepEqual(weightOf({ 'cpu.guarantee': percent(75) }, 4), ['300']);
    assert.deepEqual(weightOf({ 'cpu.guarantee': percent(75), 'cpu.weight': 'auto' }, 4), ['300']);
    assert.deepEqual(weightOf({ 'cpu.guarantee': cores(1.5) }, 4), ['150']);
  });
  test('auto stays within 1–10000', () => {
    assert.equal(autoWeight(0), 1);
    assert.equal(autoWeight(1000), 10_000);
  });
  test('a guarantee over the limit is cut to it, and reported', () => {
    const wanted = classOf({ 'cpu.guarantee': cores(2), 'cpu.limit': percent(50) });
    const desired = cpuWeight.desired(wanted, new GuestModel(2, 2).domain, HOST, SEES_NOTHING);
    assert.deepEqual(texts(desired), ['100']);
    assert.ok(desired.kind === 'set' && desired.notes.some((note) => note.includes('cut')));
  });
  test('neither weight nor guarantee: not managed', () => assert.deepEqual(weightOf({}), ['unmanaged']));
  test('a whole weight read back from shares is that weight', () => {
    const { domain } = new GuestModel(1, 1);
    for (const weight of [1, 10, 30, 39, 60, 100, 9999])
      assert.equal(weightOfText(String(sharesOf(weight)), domain), weight);
    assert.equal(weightOfText('500', domain), 48.83);
  });
  test('v1 has shares, 1024 for 100 and at least 2', () => {
    assert.deepEqual(weightOf({ 'cpu.weight': 100 }, 1, 1), ['1024']);
    assert.deepEqual([1, 39, 100, 200, 10_000].map(sharesOf), [10, 399, 1024, 2048, 102_400]);
    assert.ok(sharesOf(0.01) >= 2);
  });
  test('systemd’s scope is set through libvirt, everything else directly', () => {
    const { domain } = new GuestModel(2, 1);
    const writerOn = (systemdOwned: boolean) =>
      cpuWeight.place?.('cpu.weight', { ...domain, cgroup: domain.cgroup && { ...domain.cgroup, systemdOwned } })
        ?.writer;
    assert.equal(writerOn(true), 'libvirt');
    assert.equal(writerOn(false), 'direct');
  });
});

test('cpu.max text: what is formatted is parsed back, and nothing else is', () => {
  for (const quotaUsec of [null, 1000, 17_592_186_044_415]) {
    assert.deepEqual(parseCpuMax(formatCpuMax({ quotaUsec, periodUsec: 100_000 })), { quotaUsec, periodUsec: 100_000 });
  }
  for (const text of ['', 'max', '-1 100000', '1 0', '1 2 3', 'max max', ' 1 2'])
    assert.equal(parseCpuMax(text), null, text);
  assert.equal(coresAllowed('max 100000'), Number.POSITIVE_INFINITY);
  assert.equal(coresAllowed('25000 50000'), 0.5);
});
