/**
 * What the label audit may find wrong with a guest: a closed list, each with how bad it is, what it means and what to
 * do about it. Pure data.
 */

export type ViolationReason =
  | 'unreadable'
  | 'malformed'
  | 'unconfined'
  | 'unknown-type'
  | 'wrong-type'
  | 'no-categories'
  | 'full-range'
  | 'too-many-categories'
  | 'wrong-categories'
  | 'duplicate'
  | 'superset'
  | 'subset'
  | 'image-unprotected'
  | 'image-foreign'
  | 'image-type'
  | 'image-malformed'
  | 'image-unreadable';

export interface ViolationKind {
  /** critical: SELinux keeps this guest and another one, or the host, apart no more. */
  readonly severity: 'critical' | 'warning';
  /**
   * Whether stopping this very guest closes the gap. Not so where another guest is at fault, where it is unknown
   * whether there is a gap, or where the guest merely harms itself.
   */
  readonly suspendHelps: boolean;
  readonly summary: string;
  readonly remedy: string;
}

const RESTART = 'stop the guest and start it again';

/** In the order in which a guest's violations are told. */
export const VIOLATIONS: Readonly<Record<ViolationReason, ViolationKind>> = {
  unreadable: {
    severity: 'warning',
    suspendHelps: false,
    summary: 'the label of the QEMU process could not be read',
    remedy: 'see whether the process runs and whether the policy lets virtslad read its attributes',
  },
  malformed: {
    severity: 'warning',
    suspendHelps: false,
    summary: 'the label of the QEMU process is no SELinux context with an MCS level',
    remedy: 'see whether an MCS policy is loaded (sestatus)',
  },
  unconfined: {
    severity: 'critical',
    suspendHelps: true,
    summary: 'the QEMU process runs under a type that confines no guest',
    remedy: `remove <seclabel type='none'/> and any label of a service from the definition, ${RESTART}`,
  },
  'unknown-type': {
    severity: 'critical',
    // A class that names another type than before makes all its running guests of an unknown one.
    suspendHelps: false,
    summary: 'the QEMU process runs under a type that is not known as one of guests',
    remedy: `give the guest a type of guests, or name this type in the class if it is one, ${RESTART}`,
  },
  'wrong-type': {
    severity: 'warning',
    suspendHelps: false,
    summary: 'the QEMU process is confined, but under another type than the class asks for',
    remedy: RESTART,
  },
  'no-categories': {
    severity: 'critical',
    suspendHelps: true,
    summary: 'the label has no MCS category: nothing keeps other guests off this one',
    remedy: `give the guest a dynamic label or a static one with two categories, ${RESTART}`,
  },
  'full-range': {
    severity: 'critical',
    suspendHelps: true,
    summary: 'the label is a range or has all MCS categories, as that of a service that reaches every guest',
    remedy: `give the guest a dynamic label or a static one with two categories, ${RESTART}`,
  },
  'too-many-categories': {
    severity: 'warning',
    suspendHelps: false,
    summary: 'the label has more than two MCS categories, and so reaches every guest whose pair is among them',
    remedy: `give the guest a dynamic label or a static one with two categories, ${RESTART}`,
  },
  'wrong-categories': {
    severity: 'warning',
    suspendHelps: false,
    summary: 'the MCS categories are not those assigned to the guest',
    remedy: RESTART,
  },
  duplicate: {
    severity: 'critical',
    suspendHelps: true,
    summary: 'another guest has the same MCS categories: each reaches what is of the other',
    remedy: 'give one of the two other categories, stop it and start it again',
  },
  superset: {
    severity: 'critical',
    suspendHelps: true,
    summary: 'the MCS categories include all of another guest: this one reaches what is of the other',
    remedy: `give the guest other categories, ${RESTART}`,
  },
  subset: {
    severity: 'warning',
    suspendHelps: false,
    summary: 'another guest has all MCS categories of this one: the other reaches what is of this one',
    remedy: 'give the other guest other categories, stop it and start it again',
  },
  'image-unprotected': {
    severity: 'critical',
    suspendHelps: false,
    summary: 'a writable image that is not shared may be written by other guests',
    remedy: 'have libvirt label it at the next start, or mark the disk <shareable/> if it is meant to be shared',
  },
  'image-foreign': {
    severity: 'warning',
    suspendHelps: false,
    summary: 'an image has MCS categories that the guest has not: SELinux denies it its own disk',
    remedy: 'see whether another guest uses the image too; stop both and start the right one',
  },
  'image-type': {
    severity: 'warning',
    suspendHelps: false,
    summary: 'an image has a type that guests may not use in this way',
    remedy: `see what relabelled it (restorecon while the guest runs does), ${RESTART}`,
  },
  'image-malformed': {
    severity: 'warning',
    suspendHelps: false,
    summary: 'the label of an image is no SELinux context with an MCS level',
    remedy: 'label it anew with restorecon while the guest is stopped',
  },
  'image-unreadable': {
    severity: 'warning',
    suspendHelps: false,
    summary: 'the label of an image could not be read',
    remedy: 'see whether its storage answers',
  },
};

export interface Violation {
  readonly reason: ViolationReason;
  /** For people: one line, safe to print, the same from cycle to cycle while nothing changes. */
  readonly detail: string;
  /** The other guests involved by uuid, ascending, the first {@link OTHERS_MAX} of them. */
  readonly others: readonly string[];
}

/** A thousand guests of one label would name each other a million times. */
export const OTHERS_MAX = 16;
