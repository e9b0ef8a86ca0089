/**
 * The text of an SELinux context with an MCS or MLS range, `system_u:system_r:svirt_t:s0:c1,c2`, ↔ its parts. The text
 * comes from the kernel or from a definition and is data, never trusted: whatever is no context is told so, without
 * throwing, in linear time. Source: mls.c and services.c of the kernel (security/selinux/ss).
 */
import { type CategorySet, equalCategories, formatCategories, includesAll, parseCategories } from './categories.js';

export { formatCategories } from './categories.js';

/** `s0:c1,c5.c7` */
export interface Level {
  /** 0–15; MCS has s0 alone, MLS policies are built with sixteen (refpolicy, MLS_SENS). */
  readonly sensitivity: number;
  readonly categories: CategorySet;
}

export interface Label {
  readonly user: string;
  readonly role: string;
  readonly type: string;
  readonly low: Level;
  /** What a process may reach is decided by its high level (refpolicy, policy/mcs: `h1 dom h2`). */
  readonly high: Level;
  /** The two levels differ; the kernel prints `s0-s0` as `s0`. */
  readonly isRange: boolean;
}

export type ParsedLabel =
  | { readonly ok: true; readonly label: Label }
  /** Continues the sentence «the label …». */
  | { readonly ok: false; readonly reason: string };

/** By the text of a range; a text as value is the reason why it is none. */
export type KnownRanges = Map<string, Pick<Label, 'low' | 'high' | 'isRange'> | string>;

/** A page, the most that a file below /proc/PID/attr gives. */
const LENGTH_MAX = 4096;
const NAME = /^[A-Za-z_][A-Za-z0-9_.-]*$/;
const LEVEL = /^s(\d|1[0-5])(?::(.*))?$/s;

/**
 * Ends in NUL or newlines or not: attr/current, getxattr and people differ there. With `known` each range text is read
 * once: a guest and its images have the same one.
 */
export function parseLabel(text: string, known?: KnownRanges): ParsedLabel {
  if (text.length > LENGTH_MAX) return refused(`is longer than ${LENGTH_MAX} characters`);
  const bare = withoutEnd(text);
  if (bare === '') return refused('is empty');
  const [user = '', role, type] = bare.split(':', 3);
  if (role === undefined || type === undefined) return refused('is not USER:ROLE:TYPE:LEVEL');
  if (!NAME.test(user)) return refused('has no valid user');
  if (!NAME.test(role)) return refused('has no valid role');
  if (!NAME.test(type)) return refused('has no valid type');
  const start = user.length + role.length + type.length + 3;
  if (bare.length <= start) return refused('has no level: the policy of this host separates no guests');

  const rangeText = bare.slice(start);
  let range = known?.get(rangeText);
  if (range === undefined) {
    range = parseRange(rangeText);
    known?.set(rangeText, range);
  }
  return typeof range === 'string' ? refused(range) : { ok: true, label: { user, role, type, ...range } };
}

/** The levels as they stand in the text, `s0:c1,c2` or `s0-s0:c0.c1023`; empty for a text without. */
export function levelText(label: string): string {
  return label.split(':').slice(3).join(':');
}

/** Canonical, as the kernel prints it. */
export function formatLabel({ user, role, type, low, high, isRange }: Label): string {
  return `${user}:${role}:${type}:${formatLevel(low)}${isRange ? `-${formatLevel(high)}` : ''}`;
}

function formatLevel({ sensitivity, categories }: Level): string {
  return `s${sensitivity}${categories.length === 0 ? '' : `:${formatCategories(categories)}`}`;
}

function parseRange(text: string): Pick<Label, 'low' | 'high' | 'isRange'> | string {
  const dash = text.indexOf('-');
  const low = parseLevel(dash < 0 ? text : text.slice(0, dash));
  if (dash < 0 || typeof low === 'string') return typeof low === 'string' ? low : { low, high: low, isRange: false };
  const high = parseLevel(text.slice(dash + 1));
  if (typeof high === 'string') return high;
  if (high.sensitivity < low.sensitivity || !includesAll(high.categories, low.categories)) {
    return 'has a range whose end does not hold its start';
  }
  const isRange = high.sensitivity !== low.sensitivity || !equalCategories(high.categories, low.categories);
  return { low, high, isRange };
}

function parseLevel(text: string): Level | string {
  const match = LEVEL.exec(text);
  if (match === null) return 'has no valid sensitivity';
  const sensitivity = Number(match[1]);
  if (match[2] === undefined) return { sensitivity, categories: [] };
  const parsed = parseCategories(match[2]);
  return parsed.ok ? { sensitivity, categories: parsed.categories } : parsed.reason;
}

/** One by one: /[\0\n]+$/ would look at each run of them again and again. */
function withoutEnd(text: string): string {
  let end = text.length;
  while (end > 0 && (text[end - 1] === '\0' || text[end - 1] === '\n')) end--;
  return text.slice(0, end);
}

function refused(reason: string): ParsedLabel {
  return { ok: false, reason };
}
