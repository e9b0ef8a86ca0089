/** How long a guest would stand still, and what is learnt from one that did. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { EffectiveClass } from '../../../src/policy/types.js';
import { type CandidateInput, candidateOf, measuredSpeed } from '../../../src/reconcile/labels/save-restore-checks.js';
import { defaultHardware } from '../../fakes/fake-tuning.js';

const GIB = 1024 ** 3;
const TEXT = 'static system_u:system_r:svirt_t:s0:c1,c2';

function input(values: Record<string, unknown>, change: Partial<CandidateInput> & { hardware?: object } = {}) {
  const { hardware, ...rest } = change;
  const facts = { persistent: true, hardware: defaultHardware(hardware), seclabels: [] };
  const entries = Object.entries(values).map(([key, value]) => [`svirt.${key}`, { value }] as const);
  return {
    domain: { facts, state: 'running', security: { process: 'system_u:system_r:svirt_t:s0:c3,c4' } },
    effective: { values: new Map(entries) } as unknown as EffectiveClass,
    desired: { kind: 'set', settings: [{ text: TEXT }] },
    defined: TEXT,
    usedBytes: GIB,
    space: { ok: true, freeBytes: 8 * GIB },
    bytesPerSecond: null,
    ...rest,
  } as unknown as CandidateInput;
}

const ASKED = { apply: 'save-restore', 'max-downtime': 60 };

describe('the estimate', () => {
  it('is what is in use, written and read back, and a second', () => {
    const found = candidateOf(input(ASKED, { bytesPerSecond: 2 ** 28 }));
    assert.deepEqual([found?.refused, found?.estimateMs, found?.bytes], [null, 1_000 + 8_000, GIB]);
    assert.equal(found?.maxDowntimeMs, 60_000);
  });

  it('counts no more than the guest has, and all of it where nobody can tell', () => {
    const bytes = (change: Parameters<typeof input>[1]) => candidateOf(input(ASKED, change))?.bytes;
    assert.equal(bytes({ usedBytes: 5 * GIB, hardware: { memoryBytes: 2 * GIB } }), 2 * GIB);
    assert.equal(bytes({ usedBytes: null, hardware: { memoryBytes: 2 * GIB } }), 2 * GIB);
    assert.equal(bytes({ usedBytes: GIB / 8, hardware: { memoryBytes: 2 * GIB, hugepages: true } }), 2 * GIB);
  });

  it('decides with max-downtime, in seconds', () => {
    assert.match(
      candidateOf(input({ ...ASKED, 'max-downtime': 8.9 }, { bytesPerSecond: 2 ** 28 }))?.refused ?? '',
      /about 9 s \(256 MiB\/s measured\), over svirt.max-downtime/,
    );
    assert.match(candidateOf(input({ ...ASKED, 'max-downtime': 20 }))?.refused ?? '', /about 23 s \(.* assumed\)/);
  });

  it('is of nobody who does not want it, or whose definition does not say it yet', () => {
    assert.equal(candidateOf(input({ apply: 'next-start', 'max-downtime': 60 })), null);
    assert.equal(candidateOf(input(ASKED, { defined: 'dynamic' })), null);
    assert.equal(candidateOf(input(ASKED, { desired: { kind: 'unmanaged' } })), null);
  });
});

describe('the measured speed', () => {
  it('makes the same estimate of the same guest', () => {
    const speed = measuredSpeed(GIB, 9_000) ?? 0;
    assert.equal(speed, 2 ** 28);
    assert.equal(candidateOf(input(ASKED, { bytesPerSecond: speed }))?.estimateMs, 9_000);
  });

  it('is not taken from a guest that is too small, or was too quick', () => {
    assert.equal(measuredSpeed(GIB, 1_050), null);
    assert.equal(measuredSpeed(2 ** 20, 9_000), null);
  });
});
