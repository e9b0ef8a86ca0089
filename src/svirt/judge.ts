/**
 * What the labels of all guests of a host, and of their images, say about each guest. Pure, one pass, in linear time but
 * for sets of three and more categories, which are compared with each other.
 *
 * Guests are compared by the categories of their high level alone, whatever their types: all guest types share files
 * (refpolicy, virt.te: every virt_domain manages svirt_runtime_t; Fedora: svirt_t and svirt_tcg_t both manage
 * svirt_image_t, the only type that libvirt gives images), so that MCS is all that keeps guests of two types apart. A
 * set without categories and the set of all take no part: each is a violation of its own, and as one is held by all
 * and the other holds all, it would have every guest of the host named for the fault of one.
 */
import { printable } from '../text/printable.js';
import { CATEGORY_COUNT, type CategorySet, categorySet, equalCategories, formatCategories } from './categories.js';
import { Domination, type Group, type Members } from './domination.js';
import { CONTENT_TYPES, GUEST_TYPES, IMAGE_TYPES, isUnconfinedType } from './guest-types.js';
import { type ImageLabel, type ImageTypes, judgeImage } from './judge-images.js';
import { formatLabel, type KnownRanges, type Label, parseLabel } from './label.js';
import { OTHERS_MAX, type Violation, type ViolationReason } from './violations.js';

export { type ImageLabel, imageNote } from './judge-images.js';
export { OTHERS_MAX, VIOLATIONS, type Violation, type ViolationKind, type ViolationReason } from './violations.js';

export interface GuestLabel {
  readonly uuid: string;
  readonly name: string;
  /** Label of the running QEMU process; null: it could not be read. */
  readonly raw: string | null;
  /** Types that its class and its host give it; empty: any type made for guests. */
  readonly allowedTypes: readonly string[];
  /** Static categories assigned to it; null: none. */
  readonly wanted: readonly number[] | null;
  readonly images: readonly ImageLabel[];
}

export interface JudgeOptions {
  /** Types that confine guests on this host; the common ones otherwise. What a guest is allowed counts in any case. */
  readonly guestTypes?: readonly string[];
  /** Types of images that guests may write; the common ones otherwise. */
  readonly imageTypes?: readonly string[];
  /** Types of images that guests may only read; the common ones otherwise. */
  readonly contentTypes?: readonly string[];
}

/** Longest label shown, in characters. */
const LABEL_LENGTH_MAX = 160;
/** Guests called by name in a detail. */
const NAMED_MAX = 3;

/** By uuid; every guest has an entry, an empty one if nothing is wrong. Its process comes first, then its images. */
export function judgeLabels(
  guests: readonly GuestLabel[],
  options: JudgeOptions = {},
): ReadonlyMap<string, readonly Violation[]> {
  // In one order, that of uuids: what is said of a guest must not depend on the order in which the host lists them.
  const ordered = [...guests].sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
  const known: KnownRanges = new Map();
  const parsed = ordered.map(({ raw }) => (raw === null ? null : parseLabel(raw, known)));
  const index = new Domination(
    parsed.map((one) =>
      one?.ok && one.label.high.categories.length < CATEGORY_COUNT ? one.label.high.categories : null,
    ),
  );
  const others = new Others(ordered, index);
  const guestTypes = new Set(options.guestTypes ?? GUEST_TYPES);
  const imageTypes: ImageTypes = {
    writable: options.imageTypes ?? IMAGE_TYPES,
    content: options.contentTypes ?? CONTENT_TYPES,
  };

  const verdicts = new Map<string, readonly Violation[]>();
  for (const [at, guest] of ordered.entries()) {
    const found: Violation[] = [];
    const one = parsed[at] ?? null;
    const say: Say = (reason, detail, members) =>
      found.push({ reason, detail, others: members === undefined ? [] : others.uuids(members) });
    if (one === null) say('unreadable', 'the label of its QEMU process could not be read');
    else if (!one.ok) say('malformed', `its label ${one.reason}: "${printable(guest.raw ?? '', LABEL_LENGTH_MAX)}"`);
    else {
      judgeType(one.label, guest, guestTypes, say);
      judgeShape(one.label, guest, say);
      judgeOthers(index.groupOf(at), at, others, say);
    }
    const label = one?.ok ? one.label : null;
    const reachedBy = (categories: CategorySet): Members => others.reaching(categories, at);
    for (const image of byTarget(guest.images)) {
      judgeImage(image, label, imageTypes, { known, say, reachedBy, names: (members) => others.names(members) });
    }
    verdicts.set(guest.uuid, found);
  }
  return verdicts;
}

type Say = (reason: ViolationReason, detail: string, members?: Members) => void;

function judgeType(label: Label, { allowedTypes }: GuestLabel, guestTypes: ReadonlySet<string>, say: Say): void {
  const { type } = label;
  if (isUnconfinedType(type)) say('unconfined', `${shown(label)}: ${type} confines no guest`);
  else if (allowedTypes.includes(type)) return;
  else if (!guestTypes.has(type)) say('unknown-type', `${shown(label)}: ${printable(type)} is no known type of guests`);
  else if (allowedTypes.length > 0) {
    say('wrong-type', `${shown(label)}: not of the type ${allowedTypes.map((one) => printable(one)).join(' or ')}`);
  }
}

function judgeShape(label: Label, { wanted }: GuestLabel, say: Say): void {
  const { categories } = label.high;
  if (label.isRange || categories.length === CATEGORY_COUNT) {
    say('full-range', `${shown(label)} is ${label.isRange ? 'a range' : 'the set of all categories'}`);
  } else if (categories.length === 0) say('no-categories', `${shown(label)} has no categories`);
  else if (categories.length > 2) say('too-many-categories', `${shown(label)} has ${categories.length} categories`);
  if (wanted === null) return;
  const assigned = categorySet(wanted);
  if (!equalCategories(categories, assigned)) {
    say('wrong-categories', `${shown(label)}: not the assigned ${formatCategories(assigned) || 'empty set'}`);
  }
}

function judgeOthers(group: Group | null, at: number, others: Others, say: Say): void {
  if (group === null || (group.members.length === 1 && group.held.length === 0 && group.holders.length === 0)) return;
  const categories = printable(formatCategories(group.categories), LABEL_LENGTH_MAX);
  if (group.members.length > 1) {
    const same = others.of([group], at);
    say('duplicate', `${categories}: the categories of ${others.names(same)} too`, same);
  }
  if (group.held.length > 0) {
    const held = others.held(group);
    say('superset', `${categories}: includes the categories of ${others.names(held)}`, held);
  }
  if (group.holders.length > 0) {
    const holders = others.holders(group);
    say('subset', `${categories}: included in the categories of ${others.names(holders)}`, holders);
  }
}

/** Calls other guests by name and uuid. What is the same for all guests of a group is made once. */
class Others {
  readonly #guests: readonly GuestLabel[];
  readonly #index: Domination;
  readonly #held = new Map<Group, Members>();
  readonly #holders = new Map<Group, Members>();

  constructor(guests: readonly GuestLabel[], index: Domination) {
    this.#guests = guests;
    this.#index = index;
  }

  of(groups: readonly Group[], except: number | null): Members {
    return this.#index.membersOf(groups, OTHERS_MAX, except);
  }

  /** Images have the categories of their guest as a rule. */
  reaching(categories: CategorySet, guest: number): Members {
    const own = this.#index.groupOf(guest);
    if (own === null || !equalCategories(own.categories, categories)) {
      return this.of(this.#index.holdersOf(categories), guest);
    }
    return own.members.length === 1 ? this.holders(own) : this.of([own, ...own.holders], guest);
  }

  held(group: Group): Members {
    return kept(this.#held, group, () => this.of(group.held, null));
  }

  holders(group: Group): Members {
    return kept(this.#holders, group, () => this.of(group.holders, null));
  }

  uuids({ first }: Members): readonly string[] {
    return first.map((at) => this.#guests[at]?.uuid ?? '');
  }

  /** `"web", "db" and 4 others` */
  names({ count, first }: Members): string {
    const named = first.slice(0, NAMED_MAX).map((at) => `"${printable(this.#guests[at]?.name ?? '')}"`);
    const rest = count - named.length;
    if (rest > 0) return `${named.join(', ')} and ${rest === 1 ? 'one other' : `${rest} others`}`;
    return named.length > 1 ? `${named.slice(0, -1).join(', ')} and ${named.at(-1)}` : (named[0] ?? 'none');
  }
}

function kept(cache: Map<Group, Members>, group: Group, make: () => Members): Members {
  const known = cache.get(group);
  if (known !== undefined) return known;
  const made = make();
  cache.set(group, made);
  return made;
}

function byTarget(images: readonly ImageLabel[]): readonly ImageLabel[] {
  if (images.length < 2) return images;
  const compare = (a: string, b: string): number => (a === b ? 0 : a < b ? -1 : 1);
  return [...images].sort((a, b) => compare(a.target, b.target) || compare(a.path, b.path));
}

function shown(label: Label): string {
  return printable(formatLabel(label), LABEL_LENGTH_MAX);
}
