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

  desired(wanted, { facts }): Desired {
    const asked = wanted.values.get('memory.merge');
    if (asked === undefined) return { kind: 'unmanaged' };
    if (facts === null) return { kind: 'unsupported', reason: 'its memory is not known yet', asked };
    const may = asked.value === true;
    if (may === facts.hardware.unmerged) {
      const reason = may
        ? 'it was started with <nosharepages/>: take that out of its definition and start it anew'
        : 'it was started without <nosharepages/>: add that to <memoryBacking> in its definition and start it anew';
      return { kind: 'unsupported', reason, asked };
    }
    return { kind: 'set', asked, amounts: [], display: may ? 'shared' : 'not shared', settings: [], notes: [] };
  },
};
