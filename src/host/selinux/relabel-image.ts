/**
 * Gives one image file another security label. Only a regular file with one name or a block device, only from one type
 * that the caller allows to another, and only the very file that was checked: it is opened once without following a
 * symbolic link at its end (O_PATH opens no data and no device), and everything after goes through that descriptor's
 * name in /proc/self/fd. Synchronous: for a thread that may hang. Source: open(2) O_PATH, symlink(7), setxattr(2).
 */

export interface RelabelRequest {
  readonly path: string;
  /** The whole label, `system_u:object_r:svirt_image_t:s0:c1,c2`, as the kernel would write it. */
  readonly label: string;
  /** Types that both the label it wears and the wanted one must be of. */
  readonly allowedTypes: readonly string[];
  /** When given: refused unless the file still wears this. */
  readonly expected?: string;
}

export type RelabelFailure =
  /** Not done because it would be wrong: a link, a directory, a type that is not allowed, another label than expected. */
  | 'refused'
  | 'missing'
  /** The file system keeps no labels. */
  | 'unsupported'
  /** The kernel does not permit it: policy, mode, read-only file system; or does not take this label. */
  | 'denied'
  /** Set, yet read back it was another: the reason names it. */
  | 'not-kept'
  /** Not answered in time. Whether it was set is not known. */
  | 'timeout'
  | 'failed';

export type RelabelOutcome =
  | { readonly ok: true; readonly from: string; readonly to: string }
  | { readonly ok: false; readonly code: RelabelFailure; readonly reason: string };
