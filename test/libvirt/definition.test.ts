/** What others may do to a definition while its label is changed; libvirt itself is a few functions in memory. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { LibvirtLibrary } from '../../src/host/libvirt/bindings.js';
import { setSeclabel } from '../../src/host/libvirt/definition.js';

const LABEL = 'system_u:system_r:svirt_t:s0:c1,c2';
const TEXT = `static ${LABEL}`;
const PLAIN = '<domain>\n  <title>one</title>\n  <devices>\n  </devices>\n</domain>\n';

class Definition {
  xml = PLAIN;
  persistent = 1;
  refusal: string | null = null;
  readonly defined: string[] = [];
  reads = 0;
  /** Called with the number of the reading that comes next, and after each define with 0. */
  meanwhile: (reading: number) => void = () => {};
  readonly #functions: Partial<Record<keyof LibvirtLibrary, (...all: never[]) => unknown>> = {
    virDomainLookupByUUIDString: () => 7n,
    virDomainFree: () => 0,
    virDomainIsPersistent: () => this.persistent,
    virDomainGetXMLDesc: (_domain: bigint, flags: number) => {
      assert.equal(flags, 3, 'the definition, with its passwords');
      this.reads++;
      this.meanwhile(this.reads);
      return this.xml;
    },
    virDomainDefineXMLFlags: (_connection: bigint, xml: string, flags: number) => {
      assert.equal(flags, 0);
      if (this.refusal !== null) return null;
      this.defined.push(xml);
      this.xml = xml;
      this.meanwhile(0);
      return 8n;
    },
    virGetLastErrorCode: () => 1,
    virGetLastErrorMessage: () => this.refusal,
    virConnectIsAlive: () => 1,
  };

  set(text = TEXT) {
    return setSeclabel({ libvirt: this.#functions as unknown as LibvirtLibrary, handle: 1n }, 'uuid', text);
  }
}

describe('the label of a definition', () => {
  it('is defined once, and not again', () => {
    const definition = new Definition();
    assert.deepEqual(definition.set(), { ok: true, value: null });
    assert.equal(definition.defined.length, 1);
    assert.deepEqual(definition.set(), { ok: true, value: null });
    assert.equal(definition.defined.length, 1);
    assert.deepEqual(definition.set('dynamic'), { ok: true, value: null });
    assert.equal(definition.xml, PLAIN);
  });

  it('is not written over what somebody else has just defined', () => {
    const definition = new Definition();
    definition.meanwhile = (reading) => {
      if (reading === 2) definition.xml = definition.xml.replace('one', 'two');
    };
    assert.deepEqual(definition.set(), { ok: true, value: null });
    assert.equal(definition.defined.length, 1);
    assert.match(definition.xml, /two/);
    assert.match(definition.xml, /s0:c1,c2/);
  });

  it('is given up when somebody else goes on defining', () => {
    const definition = new Definition();
    definition.meanwhile = (reading) => {
      definition.xml = definition.xml.replace(/<title>.*</, `<title>${reading}<`);
    };
    const outcome = definition.set();
    assert.deepEqual(definition.defined, []);
    assert.match(outcome.ok ? '' : `${outcome.failure} ${outcome.message}`, /^refused somebody else/);
  });

  it('is written once more when somebody else has taken it out, and no more than that', () => {
    const definition = new Definition();
    definition.meanwhile = (reading) => {
      if (reading === 0) definition.xml = PLAIN;
    };
    const outcome = definition.set();
    assert.equal(definition.defined.length, 2);
    assert.match(outcome.ok ? '' : outcome.message, /somebody else .* something else/);
  });

  it('is said to have come with other changes', () => {
    const definition = new Definition();
    definition.meanwhile = (reading) => {
      if (reading === 0) definition.xml = definition.xml.replace('one', 'two');
    };
    const outcome = definition.set();
    assert.match(outcome.ok ? '' : outcome.message, /label is written, but more of the definition differs/);
    assert.deepEqual(definition.set(), { ok: true, value: null });
  });

  it('is refused by libvirt in its own words, and by us for a transient domain', () => {
    const definition = new Definition();
    definition.refusal = 'unsupported configuration: no';
    assert.deepEqual(definition.set(), { ok: false, failure: 'refused', message: definition.refusal });
    definition.persistent = 0;
    const outcome = definition.set();
    assert.match(outcome.ok ? '' : `${outcome.failure} ${outcome.message}`, /^refused a transient domain/);
  });
});
