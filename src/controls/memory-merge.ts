/**
 * memory.merge: whether KSM may share identical pages with other guests. QEMU decides at its start (`<nosharepages/>`)
 * and nobody can change it afterwards, so this control verifies and sets nothing.
 * Source: formatdomain.html (`<nosharepages>`), admin-guide/mm/ksm.rst.
 */
import { flag } from '../policy/value-types.js';
import type { Control, Desired } from './control.js';

export const memoryMerge: Control = {
  id: 'memory.merge',
  scope: 'domain',
  built: true,
  summary: 'Sharing of identical pages with other guests (KSM); verified, not set',
  keys: [
    {
      key: 'memory.merge',
      schema: flag,
      summary: 'Whether identical pages may be shared with other guests (KSM)',
      unit: 'true or false',
      range: 'true, false',
      example: 'false',
    },
  ],
  metrics: [],

  desired(wanted, { facts, source }): Desired {
    const asked = wanted.values.get('memory.merge');
    if (asked === undefined) return { kind: 'unmanaged' };
    if (facts === null) return { kind: 'unsupported', reason: 'its memory is not known yet', asked };
    const may = asked.value === true;
    if (may !== facts.hardware.unmerged) {
      return { kind: 'set', asked, amounts: [], display: may ? 'shared' : 'not shared', settings: [], notes: [] };
    }
    const [option, where] =
      source === 'libvirt' ? ['<nosharepages/>', '<memoryBacking>'] : ['mem-merge=off', '-machine'];
    const reason = may
      ? `it was started with ${option} in ${where}: take that out and start it anew`
      : `it was started without ${option} in ${where}: add that and start it anew`;
    // The host and the guest could; the promise is not kept.
    return { kind: 'refused', reason, asked };
  },
};
