/**
 * XML text to a tree of elements: takes what libvirt wrote, gives names, attributes and text as they stand there. Pure.
 * No entity is expanded beyond XML's own, and no name from the text ever becomes a key of an ordinary object.
 */
import { XMLParser } from 'fast-xml-parser';

/** An element as parsed: children in order, text pieces among them as strings. */
export interface XmlNode {
  readonly name: string;
  readonly attributes: ReadonlyMap<string, string>;
  readonly children: readonly (XmlNode | string)[];
}

export interface XmlOptions {
  /** Path of an element whose content is kept as text, `['domain', 'metadata']`. */
  readonly rawPath?: readonly string[];
  readonly depthMax?: number;
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
 * The elements at the top of `xml`.
 * @throws Error when it is not well-formed, or nested deeper than `depthMax`.
 */
export function parseXml(xml: string, { rawPath, depthMax }: XmlOptions = {}): XmlNode[] {
  const parser = new XMLParser({
    ...PARSER_OPTIONS,
    ...(rawPath !== undefined && { stopNodes: [rawPath.map(marked).join('.')] }),
    ...(depthMax !== undefined && { maxNestedTags: depthMax }),
  });
  return parts(parser.parse(xml)).filter((part): part is XmlNode => typeof part !== 'string');
}

/** Text directly in the element, not in its children. */
export function text(node: XmlNode): string {
  return node.children.filter((part) => typeof part === 'string').join('');
}

export function elements(node: XmlNode | undefined): XmlNode[] {
  return node === undefined ? [] : node.children.filter((part): part is XmlNode => typeof part !== 'string');
}

/** The first child element of that name. */
export function child(node: XmlNode | undefined, name: string): XmlNode | undefined {
  return elements(node).find((element) => element.name === name);
}

/** All child elements of that name. */
export function children(node: XmlNode | undefined, name: string): XmlNode[] {
  return elements(node).filter((element) => element.name === name);
}

export function childText(node: XmlNode | undefined, name: string): string {
  const found = child(node, name);
  return found === undefined ? '' : text(found);
}

export function attribute(node: XmlNode | undefined, name: string): string | undefined {
  return node?.attributes.get(name);
}

/** Whole numbers that a double holds; libvirt writes no others where we read them. */
export function integer(value: string | undefined): number | undefined {
  const number = value !== undefined && /^\s*-?\d+\s*$/.test(value) ? Number(value) : Number.NaN;
  return Number.isSafeInteger(number) ? number : undefined;
}

/** The number in the first child element of that name. */
export function childInteger(node: XmlNode | undefined, name: string): number | undefined {
  const found = child(node, name);
  return found === undefined ? undefined : integer(text(found));
}

/** The parser's own shape: `[{ '~name': [children], ':@': { '~attribute': value } }, { '#text': '…' }]`. */
type Parsed = Readonly<Record<string, unknown>>;

function parts(parsed: unknown): (XmlNode | string)[] {
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
