/**
 * The `<seclabel>` for SELinux in a domain's XML: takes the XML as text and what the element is to say (the canonical text of
 * src/svirt/seclabel.ts), gives the XML with that one element put in, changed or taken out, and every other character as it
 * was. Pure.
 * Format: https://libvirt.org/formatdomain.html#security-label
 */
import { parseSeclabelText, type Seclabel, seclabelText } from '../../svirt/seclabel.js';
import { parseSeclabels } from './domain-xml.js';

const MODEL = 'selinux';
/** Over ten times the longest label with two categories; the kernel takes a page at most. */
const LABEL_LENGTH_MAX = 4096;

export type Edited = { readonly ok: true; readonly xml: string } | { readonly ok: false; readonly problem: string };

interface Element {
  readonly name: string;
  readonly attributes: string;
  readonly start: number;
  readonly end: number;
}

/** The same text when the element says it already, in whatever words. */
export function editSeclabel(xml: string, text: string): Edited {
  const wanted = parseSeclabelText(text);
  const label = wanted?.label ?? wanted?.baselabel ?? '';
  const missing = wanted?.type === 'static' && wanted.label === null;
  if (wanted === null || missing || label.length > LABEL_LENGTH_MAX || /[\p{Cc}\p{Cs}]/u.test(label)) {
    return { ok: false, problem: `${JSON.stringify(text)} is no label that could be written` };
  }
  try {
    return edit(xml, wanted);
  } catch (error) {
    return { ok: false, problem: error instanceof Error ? error.message : String(error) };
  }
}

function edit(xml: string, wanted: Seclabel): Edited {
  if (saysSeclabel(xml, seclabelText(wanted))) return { ok: true, xml };
  const found = topElements(xml);
  if (found === null) return { ok: false, problem: 'the XML of the domain is not as libvirt writes it' };
  const present = ours(found);
  if (present.length > 1) return { ok: false, problem: 'there is more than one <seclabel> for SELinux' };
  const [element] = present;
  const written = format(wanted);
  if (element !== undefined) {
    const start = written === '' ? indentation(xml, element.start) : element.start;
    return { ok: true, xml: xml.slice(0, start) + written + xml.slice(element.end) };
  }
  const at = found.find(({ name }) => name === 'devices')?.end ?? xml.lastIndexOf('</domain>');
  if (at < 0) return { ok: false, problem: 'the XML of the domain is not as libvirt writes it' };
  return { ok: true, xml: `${xml.slice(0, at)}\n  ${written}${xml.slice(at)}` };
}

/**
 * Whether the XML says it; false for a text that is none of the four.
 * @throws Error as parseDomainXml
 */
export function saysSeclabel(xml: string, text: string): boolean {
  const all = parseSeclabels(xml);
  const named = all.filter(({ model }) => model === MODEL);
  // libvirt takes one without a model for one of the first model of the host, and refuses it beside others.
  const lone = all.length === 1 && all[0]?.model === null ? all : [];
  const [now = null, second] = named.length > 0 ? named : lone;
  return second === undefined && seclabelText(now) === text;
}

/** The XML without the element: what must not change when the element does. */
export function withoutSeclabel(xml: string): string {
  const element = ours(topElements(xml) ?? [])[0];
  return element === undefined ? xml : xml.slice(0, indentation(xml, element.start)) + xml.slice(element.end);
}

/** No element says the same as a plain dynamic one. */
function format({ type, relabel, label, baselabel }: Seclabel): string {
  if (type === 'none') return `<seclabel type='none' model='${MODEL}'/>`;
  if (type === 'dynamic' && baselabel === null) return '';
  const content =
    type === 'static' ? `<label>${escaped(label)}</label>` : `<baselabel>${escaped(baselabel)}</baselabel>`;
  return `<seclabel type='${type}' model='${MODEL}' relabel='${relabel ? 'yes' : 'no'}'>${content}</seclabel>`;
}

function escaped(label: string | null): string {
  const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;' };
  return (label ?? '').replace(/[&<>]/g, (char) => entities[char] ?? char);
}

function ours(found: readonly Element[]): Element[] {
  const all = found.filter(({ name }) => name === 'seclabel');
  const named = all.filter(({ attributes }) => modelOf(attributes) === MODEL);
  return named.length === 0 && all.length === 1 ? all.filter(({ attributes }) => modelOf(attributes) === '') : named;
}

function modelOf(attributes: string): string {
  return /\smodel\s*=\s*(?:'([^']*)'|"([^"]*)")/.exec(attributes)?.slice(1).join('') ?? '';
}

/** Where the white space before an element begins. */
function indentation(xml: string, start: number): number {
  return start - (/\s*$/.exec(xml.slice(Math.max(0, start - 80), start))?.[0].length ?? 0);
}

const TOKEN =
  /<!--[\s\S]*?-->|<!\[CDATA\[[\s\S]*?\]\]>|<\?[\s\S]*?\?>|<\/([^\s>]+)\s*>|<([^\s/>!?]+)((?:"[^"]*"|'[^']*'|[^"'>/])*)(\/?)>/g;

/** Elements directly below the outermost, in order; null when they do not nest as they should. */
function topElements(xml: string): Element[] | null {
  const found: Element[] = [];
  const open: { readonly name: string; readonly attributes: string; readonly start: number }[] = [];
  for (const token of xml.matchAll(TOKEN)) {
    const [whole, closed, name, attributes = '', empty] = token;
    const end = token.index + whole.length;
    if (name !== undefined) {
      const element = { name, attributes, start: token.index };
      if (empty !== '/') open.push(element);
      else if (open.length === 1) found.push({ ...element, end });
    } else if (closed !== undefined) {
      const element = open.pop();
      if (element?.name !== closed) return null;
      if (open.length === 1) found.push({ ...element, end });
    }
  }
  return open.length === 0 ? found : null;
}
