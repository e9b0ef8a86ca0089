/** The canonical text of a `<seclabel>`: both ways, and what a class asks for. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseLabel } from '../../src/svirt/label.js';
import { parseSeclabelText, type Seclabel, seclabelText, wantedSeclabel } from '../../src/svirt/seclabel.js';

const DYNAMIC: Seclabel = { type: 'dynamic', relabel: true, label: null, baselabel: null, imagelabel: null };
const BASE = 'system_u:system_r:svirt_custom_t:s0';
const STATIC = 'system_u:system_r:svirt_t:s0:c1,c2';

describe('the text of a seclabel', () => {
  const texts: [Seclabel, string][] = [
    [DYNAMIC, 'dynamic'],
    [{ ...DYNAMIC, baselabel: BASE }, `dynamic ${BASE}`],
    [{ ...DYNAMIC, type: 'static', label: STATIC }, `static ${STATIC}`],
    [{ ...DYNAMIC, type: 'static', label: STATIC, relabel: false }, `static ${STATIC} relabel=no`],
    [{ ...DYNAMIC, type: 'static' }, 'static'],
    [{ ...DYNAMIC, type: 'static', relabel: false }, 'static relabel=no'],
    [{ ...DYNAMIC, type: 'none', relabel: false }, 'none'],
  ];
  for (const [seclabel, text] of texts) {
    it(`"${text}" both ways`, () => {
      assert.equal(seclabelText(seclabel), text);
      assert.deepEqual(parseSeclabelText(text), seclabel);
    });
  }

  it('is that of a dynamic label where there is no element', () => assert.equal(seclabelText(null), 'dynamic'));

  it('leaves out what libvirt adds to a running guest', () => {
    const live = { ...DYNAMIC, label: STATIC, imagelabel: 'system_u:object_r:svirt_image_t:s0:c1,c2' };
    assert.equal(seclabelText(live), 'dynamic');
  });

  const none = [
    '',
    'dynamic ',
    'dynamic  x',
    'none x',
    'none relabel=no',
    'dynamic relabel=no',
    'Static x',
    'static\nx',
  ];
  for (const text of [...none, 'static x y', 'static x relabel=yes', ' dynamic', 'dynamic x relabel=no']) {
    it(`${JSON.stringify(text)} is none`, () => assert.equal(parseSeclabelText(text), null));
  }

  it('comes back from whatever a definition holds', () => {
    const text = fc.option(
      fc.oneof(fc.string({ unit: 'binary', minLength: 1 }), fc.constantFrom(' relabel=no', '%0020')),
    );
    const seclabel: fc.Arbitrary<Seclabel> = fc.oneof(
      text.map((baselabel) => ({ ...DYNAMIC, baselabel })),
      fc.tuple(text, fc.boolean()).map(([label, relabel]) => ({ ...DYNAMIC, type: 'static' as const, label, relabel })),
    );
    fc.assert(
      fc.property(seclabel, (one) => {
        const line = seclabelText(one);
        assert.match(line, /^[\x20-\x7e]+$/);
        assert.deepEqual(parseSeclabelText(line), one);
      }),
      { numRuns: 2000 },
    );
  });
});

describe('the seclabel that a class asks for', () => {
  const context = 'system_u:system_r:svirt_t:s0\n';
  const asked: [string, Partial<Parameters<typeof wantedSeclabel>[0]>, string | null][] = [
    ['nothing', {}, null],
    ['a type alone, which the audit watches', { type: 'svirt_custom_t' }, null],
    ['dynamic', { mode: 'dynamic' }, 'dynamic'],
    ['dynamic with its own type', { mode: 'dynamic', type: 'svirt_custom_t' }, `dynamic ${BASE}`],
    ['static', { mode: 'static', categories: [2, 1] }, `static ${STATIC}`],
    [
      'static with its own type',
      { mode: 'static', type: 'svirt_custom_t', categories: [7, 1023] },
      `static ${BASE}:c7,c1023`,
    ],
    ['static before a pair is assigned', { mode: 'static' }, null],
    ['dynamic on a host whose context is unreadable', { mode: 'dynamic', context: 'junk' }, 'dynamic'],
    ['static on a host whose context is unreadable', { mode: 'static', categories: [1, 2], context: 'junk' }, null],
  ];
  for (const [what, wanted, text] of asked) {
    it(what, () => {
      assert.equal(wantedSeclabel({ mode: null, type: null, categories: null, context, ...wanted }), text);
      const seclabel = text === null ? null : parseSeclabelText(text);
      const label = seclabel?.label ?? seclabel?.baselabel;
      if (label != null) assert.ok(parseLabel(label).ok);
    });
  }
});
