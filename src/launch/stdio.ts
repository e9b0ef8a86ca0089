/**
 * Whether a guest can use what it is handed as stdin, stdout and stderr. A pipe or socket wears the label of who made it,
 * whole range and all, and MCS lets a process use one only when its own categories are at least those. What it may not use,
 * the kernel replaces by /dev/null when the program starts: the guest runs, and its messages go nowhere. Pure.
 * Source: the MCS constraints of the Reference Policy; security_bprm_committing_creds in the kernel.
 */
import { includesAll } from '../svirt/categories.js';
import { levelText, parseLabel } from '../svirt/label.js';
import { printable } from '../text/printable.js';

export interface HandedStream {
  /** 0, 1 or 2. */
  readonly fd: number;
  readonly kind: 'pipe' | 'socket';
  /** Of the pipe or socket. */
  readonly label: string;
}

const NAMES = ['stdin', 'stdout', 'stderr'];

/** One sentence for all that a guest under this label cannot use; null: it can use all. */
export function unusableStreams(streams: readonly HandedStream[], guestLabel: string): string | null {
  const guest = parseLabel(guestLabel);
  if (!guest.ok) return null;
  const denied = streams.filter(({ label }) => {
    const parsed = parseLabel(label);
    return parsed.ok && !includesAll(guest.label.high.categories, parsed.label.high.categories);
  });
  const [first] = denied;
  if (first === undefined) return null;
  const names = denied.map(({ fd, kind }) => `${NAMES[fd] ?? fd} (a ${kind})`).join(' and ');
  return `the guest, at ${levelText(guestLabel)}, may not use ${names}, made at ${printable(levelText(first.label), 64)}, and gets /dev/null instead; hand it a file or a terminal, or start it from a unit or from a shell at s0 (runcon -l s0 sh)`;
}
