/**
 * The `<seclabel>` for SELinux in a domain's XML: takes the XML as text and what the element is to say, gives the XML with
 * that one element put in, changed or taken out, and every other character as it was. Pure.
 *
 * What it says is the canonical text of a setting: `dynamic` | `dynamic BASELABEL` | `static LABEL[ relabel=no]` | `none`.
 * Format: https://libvirt.org/formatdomain.html#security-label
 */
import type { DomainSeclabel } from '../../domains/types.js';
import { parseSeclabels } from './domain-xml.js';

const MODEL = 'selinux';
/** Over ten times the longest label with two categories; the kernel takes a page at most. */
const LABEL_LENGTH_MAX = 4096;

type Wanted = Pick<DomainSeclabel, 'type' | 'relabel' | 'label' | 'baselabel'>;

/** No element says the same as this. */
const PLAIN: Wanted = { type: 'dynamic', relabel: true, label: null, baselabel: null };

export type Edited = { readonly ok: true; readonly xml: string } | { readonly ok: false; readonly problem: string };

interface Element {
  readonly name: string;
  readonly attributes: string;
  readonly start: number;
  readonly end: number;
}

/** The same text when the element says it already, in whatever words. */
export function editSeclabel(xml: string, text: string): Edited {
  const wanted = parseWanted(text);
  if (wanted === null) return { ok: false, problem: `${JSON.stringify(text)} is no label that could be written` };
  if (isSaid(xml, wanted)) return { ok: true, xml };
  const found = topElements(xml);
  if (found === null) return { ok: false, problem: 'the XML of the domain is not as libvirt writes it' };
  const present = ours(found);
  if (present.length > 1) return { ok: false, problem: 'there is more than one <seclabel> for SELinux' };
  const [element] = present;
  const written = wanted === PLAIN ? '' : format(wanted);
  if (element !== undefined) {
    const start = written === '' ? indentation(xml, element.start) : element.start;
    return { ok: true, xml: xml.slice(0, start) + written + xml.slice(element.end) };
  }
  const devices = found.find(({ name }) => name === 'devices');
  const at = devices?.end ?? xml.lastIndexOf('</domain>');
  return { ok: true, xml: `${xml.slice(0, at)}\n  ${written}${xml.slice(at)}` };
}

/** Whether the XML says it; false for a text that is none of the four. */
export function saysSeclabel(xml: string, text: string): boolean {
  const wanted = parseWanted(text);
  return wanted !== null && isSaid(xml, wanted);
}

/** The XML without the element: what must not change when the element does. */
export function withoutSeclabel(xml: string): string {
  const element = ours(topElements(xml) ?? [])[0];
  return element === undefined ? xml : xml.slice(0, indentation(xml, element.start)) + xml.slice(element.end);
}

function isSaid(xml: string, wanted: Wanted): boolean {
  const all = parseSeclabels(xml);
  const named = all.filter(({ model }) => model === MODEL);
  // libvirt takes one without a model for one of the first model of the host, and refuses it beside others.
  const lone = all.length === 1 && all[0]?.model === null ? all : [];
  const [now = PLAIN, second] = named.length > 0 ? named : lone;
  if (second !== undefined || now.type !== wanted.type) return false;
  if (now.type === 'static') return now.label === wanted.label && now.relabel === wanted.relabel;
  return now.type === 'none' || now.baselabel === wanted.baselabel;
}

function parseWanted(text: string): Wanted | null {
  if (text === 'dynamic') return PLAIN;
  if (text === 'none') return { type: 'none', relabel: false, label: null, baselabel: null };
  const [, type, label = '', no] = /^(dynamic|static) ([^\s\p{C}]+)( relabel=no)?$/u.exec(text) ?? [];
  if (label === '' || label.length > LABEL_LENGTH_MAX) return null;
  if (type === 'static') return { type, relabel: no === undefined, label, baselabel: null };
  return no === undefined ? { type: 'dynamic', relabel: true, label: null, baselabel: label } : null;
}

function format({ type, relabel, label, baselabel }: Wanted): string {
  if (type === 'none') return `<seclabel type='none' model='${MODEL}'/>`;
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
