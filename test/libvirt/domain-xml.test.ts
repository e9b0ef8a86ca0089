import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  METADATA_DEPTH_MAX,
  METADATA_LENGTH_MAX,
  ORIGINALS,
  parseDomainXml,
  parseTuning,
  reviveFacts,
  XML_LENGTH_MAX,
} from '../../src/host/libvirt/domain-xml.js';

const UUID = '6be05a0d-4457-4be3-a7f7-b43c015f4841';

function domain(content: string, attributes = "type='kvm' id='7'"): string {
  return `<domain ${attributes}>\n  <name>db-1</name>\n  <uuid>${UUID}</uuid>\n  ${content}\n</domain>\n`;
}

function metadata(content: string): string {
  return domain(`<metadata>\n    ${content}\n  </metadata>`);
}

describe('parseDomainXml', () => {
  it('reads identity, vCPUs and an absent cputune', () => {
    const xml = parseDomainXml(domain("<vcpu placement='static' current='2'>4</vcpu>"));
    assert.equal(xml.uuid, UUID);
    assert.equal(xml.name, 'db-1');
    assert.equal(xml.id, 7);
    assert.equal(xml.vcpusOnline, 2);
    assert.equal(xml.vcpusMax, 4);
    assert.deepEqual(xml.tuning.cpu, { realtimeVcpus: false });
    assert.deepEqual([xml.title, xml.description, xml.metadata, xml.originalsXml], ['', '', [], null]);
  });

  it('counts all vCPUs as online when none is named current', () => {
    assert.equal(parseDomainXml(domain('<vcpu>3</vcpu>')).vcpusOnline, 3);
    assert.equal(parseDomainXml(domain('')).vcpusOnline, 1);
  });

  it('reads the tuning of a definition alone', () => {
    const xml = domain('<cputune><shares>7</shares></cputune><metadata><unclosed></metadata>', "type='kvm'");
    assert.deepEqual(parseTuning(xml), parseDomainXml(xml).tuning);
    assert.equal(parseTuning(xml).cpu.shares, 7);
  });

  it('has no id when the domain does not run', () => {
    assert.equal(parseDomainXml(domain('', "type='kvm'")).id, null);
  });

  it('decodes the entities that libvirt writes, once', () => {
    const xml = parseDomainXml(
      domain('<title>a &amp; b &lt;c&gt; &#10;&#x20AC;</title><description>&amp;lt;</description>'),
    );
    assert.equal(xml.title, 'a & b <c> \n€');
    assert.equal(xml.description, '&lt;');
  });

  it('gives metadata as a tree with prefixes as bound', () => {
    const xml = parseDomainXml(
      metadata(
        "<nova:instance xmlns:nova='http://n/1.1'><nova:flavor name='m1.critical'>\n  <nova:vcpus>2</nova:vcpus>" +
          '</nova:flavor></nova:instance>\n<app:x xmlns:app="y" a="1&#10;2&quot;">t</app:x>',
      ),
    );
    assert.equal(
      JSON.stringify(xml.metadata),
      JSON.stringify([
        {
          name: 'nova:instance',
          attributes: { 'xmlns:nova': 'http://n/1.1' },
          text: '',
          children: [
            {
              name: 'nova:flavor',
              attributes: { name: 'm1.critical' },
              text: '',
              children: [{ name: 'nova:vcpus', attributes: {}, text: '2', children: [] }],
            },
          ],
        },
        { name: 'app:x', attributes: { 'xmlns:app': 'y', a: '1\n2"' }, text: 't', children: [] },
      ]),
    );
  });

  it('takes names of object properties for names', () => {
    const { metadata: tree, metadataProblem } = parseDomainXml(
      metadata(
        '<p:__proto__ xmlns:p="p"/><constructor xmlns="c" __proto__="evil" constructor="1"><toString/></constructor>',
      ),
    );
    assert.equal(metadataProblem, null);
    assert.deepEqual(
      tree.map((element) => element.name),
      ['p:__proto__', 'constructor'],
    );
    const attributes = tree[1]?.attributes ?? {};
    assert.equal(Object.getPrototypeOf(attributes), null);
    assert.deepEqual(Object.keys(attributes), ['xmlns', '__proto__', 'constructor']);
    assert.equal(attributes.toString, undefined);
    assert.equal(tree[1]?.children[0]?.name, 'toString');
    assert.equal(({} as Record<string, unknown>).evil, undefined);
  });

  it('leaves a comment, a CDATA section or a nested metadata element where they are', () => {
    const xml = parseDomainXml(
      `${metadata('<a xmlns="x"><!-- </metadata> --><![CDATA[</metadata><b>]]><metadata>in</metadata></a>')}`.replace(
        '</domain>',
        '<vcpu>5</vcpu></domain>',
      ),
    );
    assert.equal(xml.metadataProblem, null);
    assert.equal(xml.vcpusMax, 5);
    assert.equal(xml.metadata[0]?.text, '</metadata><b>');
    assert.equal(xml.metadata[0]?.children[0]?.text, 'in');
  });

  it('leaves out metadata that is too large, and keeps the rest', () => {
    const xml = parseDomainXml(metadata(`<a xmlns="x">${'y'.repeat(METADATA_LENGTH_MAX)}</a>`));
    assert.match(xml.metadataProblem ?? '', new RegExp(`over ${METADATA_LENGTH_MAX}`));
    assert.deepEqual([xml.metadata, xml.originalsXml, xml.name], [[], null, 'db-1']);
  });

  it('accepts metadata as deep as the limit and leaves out deeper', () => {
    const nested = (depth: number) => '<a xmlns="x">'.repeat(depth) + '</a>'.repeat(depth);
    assert.equal(parseDomainXml(metadata(nested(METADATA_DEPTH_MAX))).metadataProblem, null);
    const deeper = parseDomainXml(metadata(nested(METADATA_DEPTH_MAX + 1)));
    assert.match(deeper.metadataProblem ?? '', /cannot be read/);
    assert.equal(deeper.name, 'db-1');
  });

  it('expands no entity of a document type', () => {
    const bomb = `<!DOCTYPE d [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;">]>${domain('<title>&b;</title>')}`;
    let title = '';
    try {
      title = parseDomainXml(bomb).title;
    } catch {
      // Refusing it is as good.
    }
    assert.doesNotMatch(title, /aaaa/);
  });

  it('refuses what is no domain or too large', () => {
    assert.throws(() => parseDomainXml('<network/>'), /no <domain>/);
    assert.throws(() => parseDomainXml(''), /no <domain>/);
    assert.throws(() => parseDomainXml(domain(' '.repeat(XML_LENGTH_MAX))), /is over/);
  });

  it('gives our originals back as they were set, and keeps them out of the metadata', () => {
    // As libvirt 9 formats `<originals version="1"><knob name="cpu.max">max &amp; 100000</knob><empty/></originals>`.
    const { originalsXml, metadata: tree } = parseDomainXml(
      metadata(
        `<other:x xmlns:other="o"/>\n<virtslad:originals xmlns:virtslad="${ORIGINALS.namespace}" version="1">\n` +
          '      <virtslad:knob name="cpu.max">max &amp; 100000</virtslad:knob>\n      <virtslad:empty/>\n    </virtslad:originals>',
      ),
    );
    assert.equal(
      originalsXml,
      '<originals version="1"><knob name="cpu.max">max &amp; 100000</knob><empty/></originals>',
    );
    assert.deepEqual(
      tree.map((element) => element.name),
      ['other:x'],
    );
  });

  it('knows our element by namespace, not by prefix', () => {
    const foreign = parseDomainXml(
      metadata('<virtslad:originals xmlns:virtslad="https://example.org/">x</virtslad:originals>'),
    );
    assert.equal(foreign.originalsXml, null);
    assert.equal(foreign.metadata.length, 1);
    const renamed = parseDomainXml(metadata(`<o:originals xmlns:o="${ORIGINALS.namespace}"><o:a/></o:originals>`));
    assert.equal(renamed.originalsXml, '<originals><a/></originals>');
  });
});

describe('reviveFacts', () => {
  it('takes the prototype off attributes that crossed a thread', () => {
    const xml = parseDomainXml(metadata('<a xmlns="x" constructor="1"><b c="2"/></a>'));
    const { metadataProblem: _problem, ...live } = xml;
    const cloned = structuredClone({ ...live, state: 'running' as const, persistent: false, definition: null });
    assert.notEqual(Object.getPrototypeOf(cloned.metadata[0]?.attributes), null);
    const [element] = reviveFacts(cloned).metadata;
    assert.equal(Object.getPrototypeOf(element?.attributes), null);
    assert.equal(element?.attributes.constructor, '1');
    assert.equal(Object.getPrototypeOf(element?.children[0]?.attributes), null);
  });
});
