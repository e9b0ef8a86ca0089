/**
 * svirt.compliant: the last audit found nothing wrong with the label of the guest's process and of its images. Unknown on
 * a host without SELinux, before the first audit and of a guest that does not run. Takes no bound.
 */
import type { Sli } from '../types.js';

export const svirtCompliant = {
  name: 'svirt.compliant',
  bound: 'none',
  unit: 'share',
  help: 'Whether the last audit found the labels of the guest and of its images to be as promised. Bad while it did not.',
  judge({ labelCompliant }) {
    if (labelCompliant === null) return 'unknown';
    return labelCompliant ? 'good' : 'bad';
  },
  figure: ({ labelCompliant }) => (labelCompliant === null ? null : Number(labelCompliant)),
} as const satisfies Sli;
