/**
 * Domain XML to facts: takes the text that virDomainGetXMLDesc gave, gives what the rest of the daemon wants of it.
 * Pure. The text is libvirt's, but names, title, description and metadata in it may be a tenant's, so sizes are capped.
 * Format: https://libvirt.org/formatdomain.html
 */
import type { DomainFacts, DomainSeclabel, Hardware, Tuning } from '../../domains/types.js';
import type { XmlElement } from '../../policy/types.js';
import { readHardware } from './domain-hardware.js';
import { readTuning } from './domain-tuning.js';
import { readSeclabels } from './seclabel-xml.js';
import { attribute, child, childText, elements, integer, parseXml, text, type XmlNode } from './xml-tree.js';

/** Our element in `<metadata>`: how originals travel with a guest. */
export const ORIGINALS = {
  namespace: 'https://virtslad.dev/xmlns/originals/1',
  prefix: 'virtslad',
  element: 'originals',
} as const;

/** Over ten times the largest XML seen of real guests. */
export const XML_LENGTH_MAX = 1024 * 1024;
/** Our own originals are in it: those of a guest with hundreds of vCPUs must not cost it the metadata that gives it its class. */
export const METADATA_LENGTH_MAX = 384 * 1024;
export const METADATA_DEPTH_MAX = 16;

/** What the XML alone says; state and persistence come from other calls. */
export interface DomainXml {
  readonly id: number | null;
  readonly uuid: string;
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly vcpusOnline: number;
  readonly vcpusMax: number;
  readonly hardware: Hardware;
  readonly tuning: Tuning;
  readonly seclabels: readonly DomainSeclabel[];
  /** Children of `<metadata>`, ours left out. Empty when `metadataProblem` is set. */
  readonly metadata: readonly XmlElement[];
  /** Why metadata was left out (too large, too deep, not well-formed); null when it was not. */
  readonly metadataProblem: string | null;
  readonly originalsXml: string | null;
}

/** Gives attribute records their null prototype back, which the structured clone between threads takes from them. */
export function reviveFacts(facts: DomainFacts): DomainFacts {
  return { ...facts, metadata: facts.metadata.map(reviveElement) };
}

function reviveElement(element: XmlElement): XmlElement {
  const attributes: Record<string, string> = Object.assign(Object.create(null), element.attributes);
  return { ...element, attributes, children: element.children.map(reviveElement) };
}

/**
 * @throws Error with a message for people when the text is too large, not well-formed or not a domain.
 */
export function parseDomainXml(xml: string): DomainXml {
  const domain = parseDomain(xml);
  const vcpu = child(domain, 'vcpu');
  const vcpusMax = vcpu === undefined ? 1 : (integer(text(vcpu)) ?? 1);
  return {
    id: integer(attribute(domain, 'id')) ?? null,
    uuid: childText(domain, 'uuid').trim(),
    name: childText(domain, 'name'),
    title: childText(domain, 'title'),
    description: childText(domain, 'description'),
    vcpusMax,
    vcpusOnline: integer(attribute(vcpu, 'current')) ?? vcpusMax,
    hardware: readHardware(domain),
    tuning: readTuning(domain),
    seclabels: readSeclabels(domain),
    ...parseMetadata(childText(domain, 'metadata')),
  };
}

/**
 * The tuning alone, of a persistent definition.
 * @throws Error as parseDomainXml
 */
export function parseTuning(xml: string): Tuning {
  return readTuning(parseDomain(xml));
}

/**
 * The tuning and the labels of a persistent definition.
 * @throws Error as parseDomainXml
 */
export function parseDefinition(xml: string): Pick<DomainXml, 'tuning' | 'seclabels'> {
  const domain = parseDomain(xml);
  return { tuning: readTuning(domain), seclabels: readSeclabels(domain) };
}

/**
 * The labels alone, of a definition or a saved image.
 * @throws Error as parseDomainXml
 */
export function parseSeclabels(xml: string): DomainSeclabel[] {
  return readSeclabels(parseDomain(xml));
}

/** Whether a disk of this domain may be in a group with others: parsing costs a hundred times as much as asking this. */
export function mayNameGroup(xml: string): boolean {
  return xml.includes('<group_name>');
}

function parseDomain(xml: string): XmlNode {
  if (xml.length > XML_LENGTH_MAX) throw new Error(`domain XML of ${xml.length} characters is over ${XML_LENGTH_MAX}`);
  // `<metadata>` is kept as text and parsed apart, so that nothing in it can spoil the rest.
  const domain = parseXml(xml, { rawPath: ['domain', 'metadata'] }).find((node) => node.name === 'domain');
  if (domain === undefined) throw new Error('domain XML has no <domain> element');
  return domain;
}

function parseMetadata(raw: string): Pick<DomainXml, 'metadata' | 'metadataProblem' | 'originalsXml'> {
  const without = (metadataProblem: string) => ({ metadata: [], metadataProblem, originalsXml: null });
  if (raw.length > METADATA_LENGTH_MAX) {
    return without(`metadata of ${raw.length} characters is over ${METADATA_LENGTH_MAX}`);
  }
  let found: readonly XmlNode[];
  try {
    found = elements(parseXml(`<metadata>${raw}</metadata>`, { depthMax: METADATA_DEPTH_MAX })[0]);
  } catch (error) {
    return without(`metadata cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  const ours = found.find(isOriginals);
  return {
    metadata: found.filter((node) => node !== ours).map(toXmlElement),
    metadataProblem: null,
    originalsXml: ours === undefined ? null : serialize(ours, splitName(ours.name)[0]),
  };
}

/** Our element: local name and namespace, whatever the prefix. */
function isOriginals(node: XmlNode): boolean {
  const [prefix, local] = splitName(node.name);
  const declaration = prefix === '' ? 'xmlns' : `xmlns:${prefix}`;
  return local === ORIGINALS.element && node.attributes.get(declaration) === ORIGINALS.namespace;
}

/**
 * Our element as text, as setOriginals was given it: libvirt put our prefix on every element, its declaration on the
 * outermost, and white space for indentation between them; all are taken off again.
 */
function serialize(node: XmlNode, ownPrefix: string): string {
  const [prefix, local] = splitName(node.name);
  const name = prefix === ownPrefix ? local : node.name;
  const attributes = [...node.attributes]
    .filter(([key, value]) => !(key.startsWith('xmlns') && value === ORIGINALS.namespace))
    .map(([key, value]) => ` ${key}="${escapeXml(value)}"`)
    .join('');
  const hasElements = node.children.some((part) => typeof part !== 'string');
  const content = node.children
    .filter((part) => typeof part !== 'string' || !hasElements || part.trim() !== '')
    .map((part) => (typeof part === 'string' ? escapeXml(part) : serialize(part, ownPrefix)))
    .join('');
  return content === '' ? `<${name}${attributes}/>` : `<${name}${attributes}>${content}</${name}>`;
}

function escapeXml(value: string): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };
  // White space in attributes would come back as blanks.
  return value.replace(/[&<>"\t\n\r]/g, (char) => entities[char] ?? `&#${char.charCodeAt(0)};`);
}

function toXmlElement(node: XmlNode): XmlElement {
  const attributes: Record<string, string> = Object.create(null);
  for (const [key, value] of node.attributes) attributes[key] = value;
  return { name: node.name, attributes, text: text(node).trim(), children: elements(node).map(toXmlElement) };
}

function splitName(name: string): [prefix: string, local: string] {
  const colon = name.indexOf(':');
  return colon < 0 ? ['', name] : [name.slice(0, colon), name.slice(colon + 1)];
}
