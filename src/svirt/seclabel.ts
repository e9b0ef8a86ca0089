/**
 * What a `<seclabel model='selinux'>` of a domain's definition says, as one canonical line, and what a class asks it to
 * say. Source: formatdomain, "Security label". `label` and `imagelabel` of a dynamic label are libvirt's output and
 * are left out: two elements that ask the same have the same text.
 */
import { categorySet } from './categories.js';
import { formatLabel, type Level, parseLabel } from './label.js';

export interface Seclabel {
  readonly type: 'dynamic' | 'static' | 'none';
  /** Whether libvirt labels the images; always true for dynamic, never for none. */
  readonly relabel: boolean;
  /** Only what a static label says is an input. */
  readonly label: string | null;
  /** Context whose user, role and type a dynamic label takes; its categories are ignored. */
  readonly baselabel: string | null;
  readonly imagelabel: string | null;
}

const DYNAMIC: Seclabel = { type: 'dynamic', relabel: true, label: null, baselabel: null, imagelabel: null };

/**
 * `dynamic`, `dynamic BASELABEL`, `static LABEL`, `static LABEL relabel=no` or `none`; without an element libvirt
 * assigns a dynamic label (qemu.conf, security_default_confined).
 */
export function seclabelText(seclabel: Seclabel | null): string {
  if (seclabel === null) return 'dynamic';
  const { type, relabel, label, baselabel } = seclabel;
  if (type === 'none') return 'none';
  if (type === 'dynamic') return baselabel === null ? 'dynamic' : `dynamic ${escaped(baselabel)}`;
  return ['static', ...(label === null ? [] : [escaped(label)]), ...(relabel ? [] : ['relabel=no'])].join(' ');
}

/** Inverse of {@link seclabelText} but for what it leaves out; null for any other text. */
export function parseSeclabelText(text: string): Seclabel | null {
  const match = /^(dynamic|static|none)(?: ([A-Za-z0-9_.:,%-]+))?( relabel=no)?$/.exec(text);
  if (match === null) return null;
  const [, type, said, unlabelled] = match;
  const label = said === undefined ? null : plain(said);
  const relabel = unlabelled === undefined;
  if (type === 'static') return { ...DYNAMIC, type, relabel, label };
  if (!relabel) return null;
  if (type === 'dynamic') return { ...DYNAMIC, baselabel: label };
  return label === null ? { ...DYNAMIC, type: 'none', relabel: false } : null;
}

export interface WantedSeclabel {
  readonly mode: 'dynamic' | 'static' | null;
  /** null: the type that the host gives its guests. */
  readonly type: string | null;
  /** The pair that the allocator gave; null: none yet, or not asked for. */
  readonly categories: readonly number[] | null;
  /** The host's own context of guests, `system_u:system_r:svirt_t:s0` (virtual_domain_context). */
  readonly context: string;
}

/**
 * The text that the definition should have. Null: it asks nothing. Without a mode nothing is set, a type alone says
 * what the audit accepts; nor is anything set for a static label without its pair, or under an unreadable context.
 */
export function wantedSeclabel({ mode, type, categories, context }: WantedSeclabel): string | null {
  if (mode === null) return null;
  if (mode === 'dynamic' && type === null) return 'dynamic';
  const host = parseLabel(context);
  if (!host.ok || (mode === 'static' && categories === null)) return null;
  const { sensitivity } = host.label.low;
  const level: Level = { sensitivity, categories: mode === 'static' ? categorySet(categories ?? []) : [] };
  const label = formatLabel({ ...host.label, type: type ?? host.label.type, low: level, high: level, isRange: false });
  return `${mode} ${label}`;
}

// A definition may hold any text there. What occurs in no context is escaped, so that a blank ends a word.
function escaped(label: string): string {
  return label.replace(/[^A-Za-z0-9_.:,-]/g, (unit) => `%${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

function plain(text: string): string {
  return text.replace(/%([0-9a-f]{4})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
