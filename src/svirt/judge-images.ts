/**
 * What the label of one image says: whether its guest may use it, and whether another guest could write it. A process
 * may use a file whose categories are all among its own (refpolicy, policy/mcs: `h1 dom h2`). libvirt gives a shared
 * disk svirt_image_t without categories and a read-only one virt_content_t: neither is a violation. Pure.
 */
import { printable } from '../text/printable.js';
import { type CategorySet, formatCategories, includesAll } from './categories.js';
import type { Members } from './domination.js';
import { isOneLabelType, isUnconfinedType } from './guest-types.js';
import { formatLabel, type KnownRanges, type Label, parseLabel } from './label.js';
import type { ViolationReason } from './violations.js';

export interface ImageLabel {
  /** `vda` */
  readonly target: string;
  readonly path: string;
  /** The text of security.selinux; null with a problem. */
  readonly raw: string | null;
  /** unsupported: its file system keeps no labels. */
  readonly problem: 'timeout' | 'unsupported' | 'missing' | 'unreadable' | null;
  readonly readOnly: boolean;
  readonly shareable: boolean;
  /** False: the definition says relabel='no' for it. */
  readonly managed: boolean;
}

export interface ImageTypes {
  readonly writable: readonly string[];
  readonly content: readonly string[];
}

export interface ImageVerdicts {
  readonly known: KnownRanges;
  readonly say: (reason: ViolationReason, detail: string, members?: Members) => void;
  /** The other guests whose categories include all of these. */
  readonly reachedBy: (categories: CategorySet) => Members;
  readonly names: (members: Members) => string;
}

const PATH_LENGTH_MAX = 256;
const LABEL_LENGTH_MAX = 160;

/** `guest`: the label of its process, null if it is unknown. */
export function judgeImage(image: ImageLabel, guest: Label | null, types: ImageTypes, verdicts: ImageVerdicts): void {
  if (image.problem === 'unsupported') return;
  const say = (reason: ViolationReason, detail: string, members?: Members): void =>
    verdicts.say(reason, `${diskText(image)}: ${detail}`, members);
  if (image.raw === null || image.problem !== null) {
    say('image-unreadable', whyUnread(image));
    return;
  }
  const parsed = parseLabel(image.raw, verdicts.known);
  if (!parsed.ok) {
    say('image-malformed', `its label ${parsed.reason}: "${printable(image.raw, LABEL_LENGTH_MAX)}"`);
    return;
  }
  const { label } = parsed;
  if (isOneLabelType(label.type)) return;
  const { categories } = label.high;
  const shown = (): string => printable(formatLabel(label), LABEL_LENGTH_MAX);

  if (types.writable.includes(label.type) && !image.readOnly && !image.shareable) {
    const members = verdicts.reachedBy(categories);
    if (categories.length === 0) say('image-unprotected', `any guest may write ${shown()}`);
    else if (members.count > 0) {
      say('image-unprotected', `${verdicts.names(members)} may write ${shown()}`, members);
    }
  }
  // Neither MCS nor libvirt's labelling is for a guest that is not confined.
  if (guest !== null && isUnconfinedType(guest.type)) return;
  if (guest !== null && !includesAll(guest.high.categories, categories)) {
    const own = formatCategories(guest.high.categories);
    const has = own === '' ? 'which has no categories' : `which has ${printable(own, LABEL_LENGTH_MAX)}`;
    say('image-foreign', `${shown()} is denied to the guest, ${has}`);
  }
  const fits = types.writable.includes(label.type) || (image.readOnly && types.content.includes(label.type));
  if (image.managed && !fits) {
    say('image-type', `${shown()} has no type of ${image.readOnly ? '' : 'writable '}images`);
  }
}

/** What an operator should know though it is no violation: the image is not protected by a label of its own. */
export function imageNote(image: ImageLabel): string | null {
  if (image.problem === 'unsupported') return `${diskText(image)}: its file system keeps no labels`;
  if (image.raw === null || image.problem !== null) return null;
  const parsed = parseLabel(image.raw);
  if (!parsed.ok || !isOneLabelType(parsed.label.type)) return null;
  return `${diskText(image)}: ${printable(parsed.label.type)} is one label for all of its file system, which keeps none`;
}

function diskText({ target, path }: ImageLabel): string {
  return `${printable(target)} (${printable(path, PATH_LENGTH_MAX)})`;
}

function whyUnread({ problem }: ImageLabel): string {
  if (problem === 'timeout') return 'its storage did not answer in time';
  return problem === 'missing' ? 'it does not exist' : 'its label could not be read';
}
