/** svirt.label: what a class asks of the definition, and when a process wears it. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { svirtLabel, wearsAlready } from '../../src/controls/svirt-label.js';
import type { Domain, DomainSeclabel } from '../../src/domains/types.js';
import { fakeSeclabel } from '../fakes/fake-seclabel.js';

const WORN = 'system_u:system_r:svirt_t:s0:c1,c2';

function domain(process: string | null, live: readonly DomainSeclabel[] = []): Domain {
  return { security: { process }, facts: { seclabels: live } } as unknown as Domain;
}

describe('a process wears what the definition asks', () => {
  const dynamic = (change: Partial<DomainSeclabel> = {}) => [fakeSeclabel({ ...change, type: 'dynamic', label: WORN })];
  const cases: readonly (readonly [boolean, string, string | null, readonly DomainSeclabel[]])[] = [
    [true, `static ${WORN}`, WORN, []],
    [true, 'static system_u:system_r:svirt_t:s0:c2,c1', WORN, []],
    [false, 'static system_u:system_r:svirt_t:s0:c1,c3', WORN, []],
    [false, 'static system_u:system_r:svirt_tcg_t:s0:c1,c2', WORN, []],
    [false, `static ${WORN}`, `${WORN}-s0:c0.c1023`, []],
    [false, `static ${WORN}`, null, []],
    [false, `static ${WORN}`, 'rubbish', []],
    [true, 'dynamic', WORN, dynamic()],
    [true, 'dynamic', WORN, []],
    [false, 'dynamic', WORN, [fakeSeclabel({ label: WORN })]],
    [false, 'dynamic', WORN, dynamic({ baselabel: 'system_u:system_r:svirt_t:s0' })],
    [false, 'dynamic', 'system_u:system_r:unconfined_t:s0', [fakeSeclabel({ type: 'none' })]],
    [true, 'dynamic system_u:system_r:svirt_t:s0', WORN, dynamic({ baselabel: 'system_u:system_r:svirt_t:s0' })],
    [true, 'dynamic system_u:system_r:svirt_t:s0', WORN, dynamic()],
    [false, 'dynamic system_u:system_r:svirt_tcg_t:s0', WORN, dynamic()],
    [false, 'no text of ours', WORN, dynamic()],
  ];
  for (const [wears, text, process, live] of cases) {
    it(`${wears ? '' : 'not '}${text} as ${process} (${live.map(({ type, baselabel }) => `${type} ${baselabel}`)})`, () => {
      assert.equal(wearsAlready(domain(process, live), text), wears);
    });
  }
});

describe('what libvirt is told', () => {
  it('is the label alone, and where it stands is the definition of a guest of libvirt', () => {
    const texts = new Map([['seclabel', 'dynamic']]);
    assert.deepEqual(svirtLabel.tellFor?.(texts, domain(null))?.calls, [{ call: 'seclabel', text: 'dynamic' }]);
    assert.equal(svirtLabel.tellFor?.(new Map(), domain(null)), null);
    assert.equal(svirtLabel.place?.('seclabel', { source: 'bare' } as Domain), null);
    assert.equal(svirtLabel.place?.('seclabel', { source: 'libvirt' } as Domain)?.path, 'definition:seclabel');
  });
});
