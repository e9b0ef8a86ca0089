/**
 * Domain XML to facts: takes the text that virDomainGetXMLDesc gave, gives what the rest of the daemon wants of it.
 * Pure. The text is libvirt's, but names, title, description and metadata in it may be a tenant's, so sizes are capped,
 * no entity is expanded beyond XML's own, and no name from it ever becomes a key of an ordinary object.
 * Format: https://libvirt.org/formatdomain.html
 */
import { XMLParser } from 'fast-xml-parser';
import type { CpuTune, DomainFacts } from '../../domains/types.js';
import type { XmlElement } from '../../policy/types.js';

/** Our element in `<metadata>`: how originals travel with a guest. */
export const ORIGINALS = {
  namespace: 'https://virtslad.dev/xmlns/originals/1',
  prefix: 'virtslad',
  element: 'originals',
} as const;

/** Over ten times the largest XML seen of real guests. */
export const XML_LENGTH_MAX = 1024 * 1024;
export const METADATA_LENGTH_MAX = 64 * 1024;
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
  readonly cputune: CpuTune;
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

/** An element as parsed: children in order, text pieces among them as strings. */
interface Node {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly (Node | string)[];
}

/** Put before every name on its way through the parser, which refuses names such as `constructor`. */
const MARK = '~';
const TEXT = '#text';

/** XML's five entities and character references; what a document type declares is never expanded. */
const ENTITY_DECODER = {
  decode: (value: string) => value.replace(/&(?:(amp|lt|gt|quot|apos)|#(\d{1,7})|#x([\da-fA-F]{1,6}));/g, decodeEntity),
  setExternalEntities: () => {},
  addInputEntities: () => {},
  reset: () => {},
  setXmlVersion: () => {},
};

const NAMED_ENTITIES: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function decodeEntity(whole: string, name?: string, decimal?: string, hex?: string): string {
  if (name !== undefined) return NAMED_ENTITIES[name] ?? whole;
  const code = decimal === undefined ? Number.parseInt(hex ?? '', 16) : Number(decimal);
  return code <= 0x10_ffff ? String.fromCodePoint(code) : whole;
}

const PARSER_OPTIONS = {
  preserveOrder: true,
  ignoreAttributes: false,
  attributeNamePrefix: '',
  parseTagValue: false,
  parseAttributeValue: false,
  trimValues: false,
  textNodeName: TEXT,
  entityDecoder: ENTITY_DECODER,
  ignoreDeclaration: true,
  ignorePiTags: true,
  transformTagName: marked,
  transformAttributeName: marked,
};

/** The parser asks twice for an empty element. */
function marked(name: string): string {
  return name.startsWith(MARK) ? name : MARK + name;
}

/**
 * @throws Error with a message for people when the text is too large, not well-formed or not a domain.
 */
export function parseDomainXml(xml: string): DomainXml {
  if (xml.length > XML_LENGTH_MAX) throw new Error(`domain XML of ${xml.length} characters is over ${XML_LENGTH_MAX}`);
  // `<metadata>` is kept as text and parsed apart, so that nothing in it can spoil the rest.
  const parser = new XMLParser({ ...PARSER_OPTIONS, stopNodes: [`${MARK}domain.${MARK}metadata`] });
  const domain = nodes(parser.parse(xml)).find((node) => node.name === 'domain');
  if (domain === undefined) throw new Error('domain XML has no <domain> element');
  const uuid = childText(domain, 'uuid').trim();
  const vcpu = child(domain, 'vcpu');
  const vcpusMax = vcpu === undefined ? 1 : (integer(text(vcpu)) ?? 1);
  const id = domain.attributes.get('id');
  return {
    id: id === undefined ? null : (integer(id) ?? null),
    uuid,
    name: childText(domain, 'name'),
    title: childText(domain, 'title'),
    description: childText(domain, 'description'),
    vcpusMax,
    vcpusOnline: integer(vcpu?.attributes.get('current') ?? '') ?? vcpusMax,
    cputune: cpuTune(child(domain, 'cputune')),
    ...parseMetadata(childText(domain, 'metadata')),
  };
}

function parseMetadata(raw: string): Pick<DomainXml, 'metadata' | 'metadataProblem' | 'originalsXml'> {
  const without = (metadataProblem: string) => ({ metadata: [], metadataProblem, originalsXml: null });
  if (raw.length > METADATA_LENGTH_MAX) {
    return without(`metadata of ${raw.length} characters is over ${METADATA_LENGTH_MAX}`);
  }
  let children: readonly Node[];
  try {
    const parser = new XMLParser({ ...PARSER_OPTIONS, maxNestedTags: METADATA_DEPTH_MAX });
    const wrapper = nodes(parser.parse(`<metadata>${raw}</metadata>`))[0];
    children = wrapper === undefined ? [] : elements(wrapper);
  } catch (error) {
    return without(`metadata cannot be read: ${error instanceof Error ? error.message : error}`);
  }
  const ours = children.find(isOriginals);
  return {
    metadata: children.filter((node) => node !== ours).map(toXmlElement),
    metadataProblem: null,
    originalsXml: ours === undefined ? null : serialize(ours, splitName(ours.name)[0]),
  };
}

function cpuTune(cputune: Node | undefined): CpuTune {
  const value = (name: string) => {
    const element = cputune && child(cputune, name);
    return element === undefined ? undefined : integer(text(element));
  };
  const shares = value('shares');
  const period = value('period');
  const quota = value('quota');
  const globalPeriod = value('global_period');
  const globalQuota = value('global_quota');
  const realtime = (cputune === undefined ? [] : elements(cputune)).some(
    (node) => node.name === 'vcpusched' && /^(fifo|rr)$/.test(node.attributes.get('scheduler') ?? ''),
  );
  return {
    ...(shares !== undefined && { shares }),
    ...(period !== undefined && { vcpuPeriodUsec: period }),
    ...(quota !== undefined && { vcpuQuotaUsec: quota }),
    ...(globalPeriod !== undefined && { globalPeriodUsec: globalPeriod }),
    ...(globalQuota !== undefined && { globalQuotaUsec: globalQuota }),
    realtimeVcpus: realtime,
  };
}

/** Our element: local name and namespace, whatever the prefix. */
function isOriginals(node: Node): boolean {
  const [prefix, local] = splitName(node.name);
  const declaration = prefix === '' ? 'xmlns' : `xmlns:${prefix}`;
  return local === ORIGINALS.element && node.attributes.get(declaration) === ORIGINALS.namespace;
}

/**
 * Our element as text, as setOriginals was given it: libvirt put our prefix on every element, its declaration on the
 * outermost, and white space for indentation between them; all are taken off again.
 */
function serialize(node: Node, ownPrefix: string): string {
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

function toXmlElement(node: Node): XmlElement {
  const attributes: Record<string, string> = Object.create(null);
  for (const [key, value] of node.attributes) attributes[key] = value;
  return { name: node.name, attributes, text: text(node).trim(), children: elements(node).map(toXmlElement) };
}

/** Text directly in the element, not in its children. */
function text(node: Node): string {
  return node.children.filter((part) => typeof part === 'string').join('');
}

function childText(node: Node, name: string): string {
  const found = child(node, name);
  return found === undefined ? '' : text(found);
}

function child(node: Node, name: string): Node | undefined {
  return elements(node).find((element) => element.name === name);
}

function elements(node: Node): Node[] {
  return node.children.filter((part): part is Node => typeof part !== 'string');
}

function splitName(name: string): [prefix: string, local: string] {
  const colon = name.indexOf(':');
  return colon < 0 ? ['', name] : [name.slice(0, colon), name.slice(colon + 1)];
}

/** Whole numbers only; libvirt writes no others where we read them. */
function integer(value: string): number | undefined {
  return /^\s*-?\d+\s*$/.test(value) ? Number(value) : undefined;
}

/** The parser's own shape: `[{ '~name': [children], ':@': { '~attribute': value } }, { '#text': '…' }]`. */
type Parsed = Readonly<Record<string, unknown>>;

function nodes(parsed: unknown): Node[] {
  return parts(parsed).filter((part): part is Node => typeof part !== 'string');
}

function parts(parsed: unknown): (Node | string)[] {
  return (parsed as readonly Parsed[]).map((entry) => {
    const key = Object.keys(entry).find((name) => name !== ':@') ?? TEXT;
    if (key === TEXT) return String(entry[TEXT] ?? '');
    const attributes = new Map(
      Object.entries((entry[':@'] ?? {}) as Record<string, unknown>).map(([name, value]) => [
        name.slice(MARK.length),
        String(value),
      ]),
    );
    return { name: key.slice(MARK.length), attributes, children: parts(entry[key]) };
  });
}
