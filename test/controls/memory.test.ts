/** The memory controls, row by row: what is set, by whom, on which layout, and what is refused with which figures. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { Control, Desired } from '../../src/controls/control.js';
import { memoryGuarantee } from '../../src/controls/memory-guarantee.js';
import { memoryHigh } from '../../src/controls/memory-high.js';
import { memoryLimit } from '../../src/controls/memory-limit.js';
import { memoryMerge } from '../../src/controls/memory-merge.js';
import { hardwareFloor, overheadBytes } from '../../src/controls/memory-overhead.js';
import { memorySwap } from '../../src/controls/memory-swap.js';
import { defaultHardware } from '../fakes/fake-tuning.js';
import {
  desiredOf,
  GIB,
  type GuestOptions,
  guestOn,
  HOST,
  type Layout,
  MIB,
  SEES_NOTHING,
  sees,
  tellOf,
  textsOf,
  writersOf,
} from './some-guest.js';

const on = (
  control: Control,
  text: string,
  layout: Layout = 'v2-nested',
  options: GuestOptions = {},
  seen: Record<string, string> = {},
): Desired => desiredOf(control, text, guestOn(layout, options), sees(seen));

describe('memory.limit', () => {
  const rows: [string, string, Layout, GuestOptions, Record<string, string>, Record<string, string> | RegExp][] = [
    ['none is no limit', 'none', 'v2-nested', {}, {}, { 'memory.max': 'max' }],
    ['a share is of the guest’s memory', '150%', 'v2-nested', {}, {}, { 'memory.max': String(1.5 * GIB) }],
    ['whole pages', '1610612737B', 'v2', {}, {}, { 'memory.max': '1610612736' }],
    [
      'a ballooned guest may grow back: its whole memory counts',
      '200%',
      'v2',
      { hardware: { memoryBytes: 2 * GIB, currentMemoryBytes: GIB / 2 } },
      {},
      { 'memory.max': String(4 * GIB) },
    ],
    ['at the floor it is set', '1317011456B', 'v2', {}, {}, { 'memory.max': '1317011456' }],
    [
      'under it, it is refused with the figures',
      '1200MiB',
      'v2',
      { hardware: { memoryBytes: 2 * GIB } },
      {},
      /^refused: 1200MiB is under the 2\.15 GiB that it may need: guest memory 2 GiB \+ QEMU's own 150 MiB$/,
    ],
    [
      'its peak use has the last word, page cache included',
      '4GiB',
      'v2',
      {},
      { 'memory.peak': String(4 * GIB), 'memory.current': String(GIB), 'memory.max': 'max' },
      /^refused: 4GiB is under the 4\.4 GiB that it may need: 1\.1 × its peak use of 4 GiB, page cache included$/,
    ],
    [
      'so has its present use',
      '4GiB',
      'v2',
      {},
      { 'memory.peak': '1', 'memory.current': String(4 * GIB - MIB) },
      /its present use of 4 GiB, page cache included, \+ 64 MiB/,
    ],
    [
      'what stands was judged when it was set, however near the guest has come to it since',
      '4GiB',
      'v2',
      {},
      { 'memory.peak': String(4 * GIB), 'memory.current': String(4 * GIB), 'memory.max': String(4 * GIB) },
      { 'memory.max': String(4 * GIB) },
    ],
    [
      'a wider one takes nothing from the guest either',
      '4200MiB',
      'v2',
      {},
      { 'memory.peak': String(4 * GIB), 'memory.max': String(4 * GIB) },
      { 'memory.max': String(4200 * MIB) },
    ],
    [
      'a narrower one is judged by its use',
      '4000MiB',
      'v2',
      {},
      { 'memory.peak': String(4 * GIB), 'memory.max': String(4 * GIB) },
      /^refused: .*peak use/,
    ],
    ['VFIO pins all memory', '8GiB', 'v2', { hardware: { vfio: true } }, {}, /^unsupported: .*handed through/],
    ['locked', '8GiB', 'v2', { hardware: { locked: true } }, {}, /^unsupported: .*locked/],
    ['huge pages', '8GiB', 'v2', { hardware: { hugepages: true } }, {}, /^unsupported: .*huge pages/],
    ['none on such a guest takes a limit off', 'none', 'v2', { hardware: { vfio: true } }, {}, { 'memory.max': 'max' }],
    [
      'a command line that does not say all',
      '8GiB',
      'bare',
      { domain: { gaps: ['a gap'] } },
      {},
      /^unsupported: .*a gap/,
    ],
    [
      'no memory group',
      '8GiB',
      'v2',
      { domain: { groups: {}, reasons: { memory: 'crowded' } } },
      {},
      /^unsupported: crowded/,
    ],
    ['not described yet', '8GiB', 'v2', { domain: { facts: null } }, {}, /^unsupported: .*not known yet/],
  ];
  for (const [name, limit, layout, options, seen, wanted] of rows) {
    test(name, () => {
      const found = textsOf(on(memoryLimit, `memory: { limit: ${limit} }`, layout, options, seen));
      if (wanted instanceof RegExp) assert.match(String(found), wanted);
      else assert.deepEqual(found, wanted);
    });
  }

  test('pages of 64 KiB are whole, too', () => {
    const host = { ...HOST, pageBytes: 65_536 };
    const desired = desiredOf(memoryLimit, 'memory: { limit: 1317100000B }', guestOn('v2'), SEES_NOTHING, host);
    assert.deepEqual(textsOf(desired), { 'memory.max': String(1_317_100_000 - (1_317_100_000 % 65_536)) });
  });

  test('memory or a device plugged in later: a limit that would have it killed is given back', () => {
    const limited = { 'memory.max': String(2 * GIB), 'memory.peak': String(GIB) };
    const giveBack = (options: GuestOptions, text = 'memory: { limit: 2GiB }') => {
      const desired = on(memoryLimit, text, 'v2', options, limited);
      return desired.kind === 'refused' || desired.kind === 'unsupported' ? desired.giveBack === true : desired.kind;
    };
    assert.equal(giveBack({}), 'set');
    assert.equal(giveBack({ hardware: { memoryBytes: 2 * GIB } }), true);
    assert.equal(giveBack({ hardware: { vfio: true } }), true);
    // The one that stands is safe: refusing a narrower one is no reason to lift it.
    assert.equal(giveBack({}, 'memory: { limit: 1100MiB }'), false);
  });

  const writers: [Layout, string, unknown, unknown][] = [
    ['v1', 'direct', 'memory', undefined],
    ['v1-nested', 'direct', 'memory', undefined],
    ['v1-flat', 'libvirt', 'memory', undefined],
    ['v2', 'direct', 'memory', undefined],
    ['v2-nested', 'direct', 'memory', undefined],
    ['v2-flat', 'systemd', 'memory', 'MemoryMax'],
    ['bare', 'direct', undefined, undefined],
    ['bare-v1', 'direct', undefined, undefined],
    ['bare-scope', 'systemd', undefined, 'MemoryMax'],
    ['bare-scope-v1', 'systemd', undefined, 'MemoryMax'],
  ];
  for (const [layout, writer, call, property] of writers) {
    test(`${layout}: written by ${writer}`, () => {
      const domain = guestOn(layout);
      const desired = desiredOf(memoryLimit, 'memory: { limit: 2GiB }', domain);
      assert.deepEqual(writersOf(desired), { 'memory.max': writer });
      const tell = tellOf(memoryLimit, desired, domain);
      assert.equal(tell?.calls[0]?.call, call);
      assert.equal(tell?.units[0]?.properties[0]?.name, property);
      if (property !== undefined) assert.equal(tell?.units[0]?.unit, 'guest-1.scope');
    });
  }

  test('libvirt counts in KiB, and has a number for no limit', () => {
    const domain = guestOn('v2-nested');
    const told = (text: string) => {
      const [call] = memoryLimit.tellFor?.(new Map([['memory.max', text]]), domain)?.calls ?? [];
      return call?.call === 'memory' ? call.parameters : null;
    };
    assert.deepEqual(told(String(2 * GIB)), { hard_limit: 2_097_152n });
    assert.deepEqual(told('max'), { hard_limit: 9_007_199_254_740_991n });
    assert.equal(memoryLimit.tellFor?.(new Map([['memory.max', 'no size']]), domain), null);
  });

  test('a group above with less decides', () => {
    const domain = guestOn('v2-nested');
    const desired = desiredOf(memoryLimit, 'memory: { limit: 2GiB }', domain);
    const with1 = (texts: Record<string, string>) => memoryLimit.overriddenBy?.(desired, domain, sees(texts)) ?? null;
    assert.match(with1({ '.scope/memory.max': String(GIB) })?.reason ?? '', /limited to 1 GiB/);
    assert.match(with1({ 'machine.slice/memory.max': String(GIB) })?.path ?? '', /machine\.slice/);
    assert.equal(with1({ 'libvirt/memory.max': String(GIB), 'machine.slice/memory.max': 'max' }), null);
  });

  test('overhead grows with what the guest has', () => {
    const plain = overheadBytes(defaultHardware(), 1);
    const parts: [Partial<ReturnType<typeof defaultHardware>>, number][] = [
      [{ ioThreads: 2 }, 16],
      [{ videos: 1 }, 32],
      [{ tpm: true }, 53],
      [{ arch: 'aarch64' }, 128],
      [{ encrypted: true }, 256],
    ];
    for (const [hardware, mib] of parts) {
      assert.equal(overheadBytes(defaultHardware(hardware), 1) - plain, mib * MIB, JSON.stringify(hardware));
    }
    assert.equal(overheadBytes(defaultHardware(), 9) - plain, 64 * MIB);
    assert.equal(hardwareFloor(defaultHardware(), 1).bytes, GIB + Math.ceil(plain * 1.25));
  });
});

describe('memory.guarantee', () => {
  const HALF = String(GIB / 2);
  test('the scope around the guest is protected with it, through systemd', () => {
    const domain = guestOn('v2-nested');
    const soft = desiredOf(memoryGuarantee, 'memory: { guarantee: 50% }', domain);
    assert.deepEqual(textsOf(soft), { 'scope/memory.low': HALF, 'memory.low': HALF });
    assert.deepEqual(writersOf(soft), { 'scope/memory.low': 'systemd', 'memory.low': 'direct' });
    const properties = [{ name: 'MemoryLow', value: BigInt(HALF) }];
    assert.deepEqual(tellOf(memoryGuarantee, soft, domain)?.units, [{ unit: 'guest-1.scope', properties }]);
    const hard = desiredOf(memoryGuarantee, 'memory: { guarantee: 50%, hard: true }', domain);
    assert.deepEqual(textsOf(hard), { 'scope/memory.min': HALF, 'memory.min': HALF });
  });

  test('where there is one level, that level', () => {
    for (const layout of ['v2', 'bare'] as const) {
      const desired = on(memoryGuarantee, 'memory: { guarantee: 512MiB }', layout);
      assert.deepEqual(writersOf(desired), { 'memory.low': 'direct' }, layout);
    }
    for (const layout of ['v2-flat', 'bare-scope'] as const) {
      const desired = on(memoryGuarantee, 'memory: { guarantee: 512MiB }', layout);
      assert.deepEqual(writersOf(desired), { 'memory.low': 'systemd' }, layout);
    }
  });

  test('both properties of one scope are one call', () => {
    const texts = new Map([
      ['scope/memory.low', '0'],
      ['scope/memory.min', HALF],
      ['memory.min', HALF],
    ]);
    const tell = memoryGuarantee.tellFor?.(texts, guestOn('v2-nested'));
    assert.deepEqual(
      tell?.units.map(({ properties }) => properties.map(({ name, value }) => `${name}=${value}`)),
      [['MemoryLow=0', `MemoryMin=${HALF}`]],
    );
  });

  test('v1 has nothing like it; a host without that much memory neither', () => {
    assert.match(String(textsOf(on(memoryGuarantee, 'memory: { guarantee: 50% }', 'v1'))), /^unsupported: cgroup v1/);
    const huge = on(memoryGuarantee, 'memory: { guarantee: 100GiB }');
    assert.match(String(textsOf(huge)), /^refused: 100GiB is more than this host's memory of 64 GiB$/);
  });

  test('the least protected level is what people see, and no limit is not a number', () => {
    const domain = guestOn('v2-nested');
    const shown = (scope: string, own: string) =>
      memoryGuarantee.displayOf?.(
        new Map([
          ['scope/memory.low', scope],
          ['memory.low', own],
        ]),
        domain,
      );
    assert.equal(shown('max', HALF), '512MiB');
    assert.equal(shown('0', HALF), '0B');
    const texts = new Map([['memory.low', 'max']]);
    assert.deepEqual(memoryGuarantee.amountsOf?.(texts, domain), [
      { metric: 'memory_guarantee_bytes', labels: {}, value: null },
    ]);
  });

  test('protected no further than the groups above', () => {
    const domain = guestOn('v2-nested');
    const desired = desiredOf(memoryGuarantee, 'memory: { guarantee: 50%, hard: true }', domain);
    const above = (low: string, min: string) =>
      memoryGuarantee.overriddenBy?.(desired, domain, sees({ 'slice/memory.low': low, 'slice/memory.min': min })) ??
      null;
    assert.match(above(HALF, '0')?.path ?? '', /memory\.min$/);
    assert.equal(above('0', HALF), null);
  });
});

describe('memory.high', () => {
  test('set as written, and said what it does', () => {
    const desired = on(memoryHigh, 'memory: { high: 110% }', 'v2');
    assert.deepEqual(textsOf(desired), { 'memory.high': String(Math.floor((1.1 * GIB) / 4096) * 4096) });
    assert.match(desired.kind === 'set' ? desired.notes.join() : '', /slowed down/);
    assert.deepEqual(textsOf(on(memoryHigh, 'memory: { high: none }', 'v2')), { 'memory.high': 'max' });
  });
  test('never to nothing, nor on guests whose memory cannot be reclaimed', () => {
    assert.match(String(textsOf(on(memoryHigh, 'memory: { high: 100B }', 'v2'))), /^refused: .*less than a page/);
    const pinned = on(memoryHigh, 'memory: { high: 50% }', 'v2', { hardware: { locked: true } });
    assert.equal(pinned.kind === 'unsupported' && pinned.giveBack, true);
    assert.match(String(textsOf(on(memoryHigh, 'memory: { high: 50% }', 'v1'))), /^unsupported: cgroup v1/);
  });
});

describe('memory.swap', () => {
  test('v2 has a limit of its own, which libvirt is not told', () => {
    for (const [layout, writer] of [
      ['v2', 'direct'],
      ['v2-nested', 'direct'],
      ['v2-flat', 'systemd'],
      ['bare', 'direct'],
      ['bare-scope', 'systemd'],
    ] as const) {
      const domain = guestOn(layout);
      const desired = desiredOf(memorySwap, 'memory: { swap: 0 }', domain);
      assert.deepEqual(textsOf(desired), { 'memory.swap.max': '0' });
      assert.deepEqual(writersOf(desired), { 'memory.swap.max': writer });
      const tell = tellOf(memorySwap, desired, domain);
      assert.deepEqual(tell?.calls ?? [], []);
      assert.equal(tell?.units[0]?.properties[0]?.name, writer === 'systemd' ? 'MemorySwapMax' : undefined);
    }
  });

  test('v1 limits memory and swap together', () => {
    const both = on(memorySwap, 'memory: { swap: 1GiB, limit: 2GiB }', 'v1');
    assert.deepEqual(textsOf(both), { 'memory.memsw.max': String(3 * GIB) });
    assert.match(both.kind === 'set' ? both.display : '', /^1GiB \(3GiB with memory\)$/);
    assert.deepEqual(textsOf(on(memorySwap, 'memory: { swap: none }', 'v1')), { 'memory.memsw.max': 'max' });
    for (const text of ['swap: 1GiB', 'swap: 1GiB, limit: none', 'swap: 1GiB, limit: 1GiB']) {
      const alone = on(memorySwap, `memory: { ${text} }`, 'v1');
      assert.match(String(textsOf(alone)), /^unsupported: cgroup v1 limits swap only together/);
      assert.equal(alone.kind === 'unsupported' && alone.giveBack, true, 'no sum outlives the limit in it');
    }
  });

  test('v1 takes no memory limit over that of both: refused before the kernel does', () => {
    const both = { 'memory.memsw.max': String(3 * GIB), 'memory.max': String(2 * GIB) };
    const rows: [string, string][] = [
      ['limit: 3GiB', 'set'],
      ['limit: 4GiB', 'refused'],
      ['limit: none', 'refused'],
      ['limit: 4GiB, swap: 0', 'set'],
      ['limit: none, swap: none', 'set'],
      ['limit: none, swap: 0', 'refused'],
    ];
    for (const [text, kind] of rows)
      assert.equal(on(memoryLimit, `memory: { ${text} }`, 'v1', {}, both).kind, kind, text);
    const refused = String(textsOf(on(memoryLimit, 'memory: { limit: 4GiB }', 'v1', {}, both)));
    assert.match(
      refused,
      /4GiB is over the 3GiB that memory and swap together are limited to: write memory\.swap too$/,
    );
    assert.equal(on(memoryLimit, 'memory: { limit: 4GiB }', 'v2', {}, both).kind, 'set');
  });

  test('a kernel without swap accounting, a systemd without a property for it', () => {
    const domain = guestOn('v2');
    const blind = desiredOf(memorySwap, 'memory: { swap: 0 }', domain, sees({}, ['memory.swap.max']));
    assert.match(String(textsOf(blind)), /^unsupported: this kernel/);
    assert.match(
      String(textsOf(on(memorySwap, 'memory: { swap: 0, limit: 2GiB }', 'bare-scope-v1'))),
      /^unsupported: systemd/,
    );
  });
});

describe('memory.merge', () => {
  const rows: [boolean, boolean, Layout, RegExp | null][] = [
    [true, false, 'v2', null],
    [false, true, 'v2', null],
    [true, true, 'v2', /^refused: it was started with <nosharepages\/> in <memoryBacking>/],
    [false, false, 'v2', /^refused: it was started without <nosharepages\/>/],
    [false, false, 'bare', /^refused: it was started without mem-merge=off in -machine/],
  ];
  for (const [merge, unmerged, layout, refused] of rows) {
    test(`${merge} of a guest that is ${unmerged ? 'not ' : ''}merged, ${layout}`, () => {
      const desired = on(memoryMerge, `memory: { merge: ${merge} }`, layout, { hardware: { unmerged } });
      if (refused === null) assert.deepEqual(textsOf(desired), {});
      else assert.match(String(textsOf(desired)), refused);
    });
  }
});
