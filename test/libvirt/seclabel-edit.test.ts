import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { parseDomainXml, parseSeclabels } from '../../src/host/libvirt/domain-xml.js';
import { editSeclabel, saysSeclabel, withoutSeclabel } from '../../src/host/libvirt/seclabel-edit.js';
import { seclabelText } from '../../src/svirt/seclabel.js';

const LABEL = 'system_u:system_r:svirt_t:s0:c1,c2';
const STATIC = `<seclabel type='static' model='selinux' relabel='yes'><label>${LABEL}</label></seclabel>`;
const DAC = "<seclabel type='dynamic' model='dac' relabel='yes'/>";

/** Everything in it that looks like our element is something else. */
const AROUND = `<domain type='kvm' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>
  <name>db &lt;seclabel&gt;</name>
  <!-- <seclabel model='selinux'/> </domain> -->
  <metadata>
    <a:b xmlns:a="u" c="</devices><seclabel model='selinux'/>"><seclabel model='selinux'/><![CDATA[</domain><seclabel/>]]></a:b>
  </metadata>
  <devices>
    <disk><source file='/x>y'><seclabel model='selinux' relabel='no'/></source></disk>
    <graphics passwd="a'b>c"/>
  </devices>
  <?pi <seclabel model='selinux'/> ?>@@
  <qemu:commandline>
    <qemu:arg value='-foo'/>
    <seclabel model='selinux'/>
  </qemu:commandline>
</domain>
`;

function edited(xml: string, text: string): string {
  const result = editSeclabel(xml, text);
  return result.ok ? result.xml : assert.fail(result.problem);
}

function around(...elements: readonly string[]): string {
  return AROUND.replace('@@', elements.map((element) => `\n  ${element}`).join(''));
}

describe('editSeclabel', () => {
  it('puts the element in, takes it out, and leaves every other character', () => {
    const bare = around();
    const xml = edited(bare, `static ${LABEL}`);
    assert.equal(xml, bare.replace('</devices>\n', `</devices>\n  ${STATIC}\n`));
    assert.deepEqual(
      parseSeclabels(xml).map(({ model, type, label }) => [model, type, label]),
      [['selinux', 'static', LABEL]],
    );
    assert.equal(edited(xml, 'dynamic'), bare);
    assert.equal(withoutSeclabel(xml), bare);
    assert.equal(withoutSeclabel(bare), bare);
  });

  it('changes the element that is there, and none of another model', () => {
    const xml = around(DAC, STATIC);
    assert.equal(edited(xml, 'none'), around(DAC, "<seclabel type='none' model='selinux'/>"));
    assert.equal(edited(xml, 'dynamic'), around(DAC));
    assert.equal(
      edited(xml, 'dynamic a:b:c:s0'),
      around(DAC, "<seclabel type='dynamic' model='selinux' relabel='yes'><baselabel>a:b:c:s0</baselabel></seclabel>"),
    );
    assert.match(
      edited(around(DAC), `static ${LABEL} relabel=no`),
      /<seclabel type='static' model='selinux' relabel='no'>/,
    );
  });

  it('takes a lone element without a model for ours, as libvirt does where SELinux is first', () => {
    const xml = around("<seclabel type='none'/>");
    assert.ok(saysSeclabel(xml, 'none'));
    assert.equal(edited(xml, `static ${LABEL}`), around(STATIC));
    assert.ok(!saysSeclabel(around("<seclabel type='none'/>", DAC), 'none'));
  });

  it('changes nothing when it says so already, in whatever words', () => {
    for (const [xml, text] of [
      [around(), 'dynamic'],
      [around(DAC), 'dynamic'],
      [around("<seclabel model=\"selinux\" type='dynamic' relabel='yes'></seclabel>"), 'dynamic'],
      [
        around("<seclabel relabel='yes'  model='selinux'\n type='static'><label>\n a:b:c:s0 </label></seclabel>"),
        'static a:b:c:s0',
      ],
      [around("<seclabel type='none' model='selinux'/>"), 'none'],
    ] as const) {
      assert.equal(edited(xml, text), xml);
      assert.ok(saysSeclabel(xml, text));
    }
  });

  it('tells a text from each other one', () => {
    const texts = [
      'dynamic',
      'dynamic a:b:c:s0',
      'none',
      'static a:b:c:s0',
      'static a:b:c:s0 relabel=no',
      'static a:b:d:s0',
    ];
    for (const from of texts) {
      const xml = edited(around(DAC), from);
      for (const text of texts) assert.equal(saysSeclabel(xml, text), text === from, `${from} is not ${text}`);
      for (const text of texts) assert.equal(edited(edited(xml, text), from), xml);
    }
  });

  for (const text of [
    '',
    'static',
    'static ',
    'static a b',
    'static a:b:c\n',
    'static a\u0000',
    'static a%0000',
    'static a%000ab',
    'static relabel=no',
    'static a\u202eb',
    'dynamic a relabel=no',
    'Dynamic',
    'none x',
    "static a'/><x y='",
    `static ${'a'.repeat(5000)}`,
  ]) {
    it(`refuses ${JSON.stringify(text.slice(0, 30))}`, () => {
      const result = editSeclabel(around(), text);
      assert.equal(result.ok, false);
    });
  }

  it('gives back no element that a label could have put in', () => {
    const label = '</label></seclabel><x>&amp;]]>\'"';
    const text = seclabelText({ type: 'static', relabel: true, label, baselabel: null, imagelabel: null });
    const [element] = parseSeclabels(edited(around(), text));
    assert.equal(element?.label, label);
    assert.equal(edited(edited(around(), text), 'dynamic'), around());
  });

  it('refuses two elements for SELinux, and XML that does not nest', () => {
    assert.equal(editSeclabel(around(STATIC, STATIC), 'none').ok, false);
    for (const xml of ['<domain><a></b></domain>', '<domain><a>', '<domain/>', '']) {
      assert.equal(editSeclabel(xml, 'none').ok, false, xml);
    }
  });

  it('whatever the label, the rest stays as it is and the label is what was asked', () => {
    const part = fc
      .stringMatching(/^[a-z:,.%]{0,1}[!-~]{1,40}$/)
      .map((label) =>
        seclabelText({ type: 'static', relabel: true, label, baselabel: null, imagelabel: null }).slice(
          'static '.length,
        ),
      );
    const text = fc.oneof(
      fc.constantFrom('dynamic', 'none'),
      part.map((label) => `dynamic ${label}`),
      fc.tuple(part, fc.boolean()).map(([label, no]) => `static ${label}${no ? ' relabel=no' : ''}`),
    );
    fc.assert(
      fc.property(
        text,
        text,
        fc.subarray([DAC, "<seclabel type='none' model='apparmor'/>"]),
        (first, second, others) => {
          const xml = around(...others);
          const once = edited(xml, first);
          const twice = edited(once, second);
          assert.ok(saysSeclabel(twice, second));
          assert.equal(withoutSeclabel(twice), xml);
          assert.equal(edited(twice, second), twice);
          assert.equal(parseDomainXml(twice).metadata.length, 1);
          assert.equal(edited(twice, 'dynamic'), xml);
        },
      ),
      { numRuns: 300 },
    );
  });
});
