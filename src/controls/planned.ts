/**
 * The controls that are not built yet: their keys are validated, and guests whose class asks for one are shown as
 * `unsupported`. Building one means giving it a file of its own and removing it here.
 */
import { mcsCategories, selinuxType } from '../policy/svirt-values.js';
import { duration, flag, oneOf } from '../policy/value-types.js';
import type { Control, Desired, KeySpec } from './control.js';

const FLAG = { unit: 'true or false', range: 'true, false' } as const;

function key(
  name: string,
  schema: KeySpec['schema'],
  summary: string,
  rest: { readonly unit: string; readonly range: string; readonly example: string },
): KeySpec {
  return { key: name, schema, summary, ...rest };
}

function planned(id: string, summary: string, keys: readonly KeySpec[]): Control {
  return {
    id,
    scope: 'domain',
    keys,
    built: false,
    summary,
    metrics: [],
    desired(wanted): Desired {
      for (const { key } of keys) {
        const asked = wanted.values.get(key);
        if (asked !== undefined) return { kind: 'unsupported', reason: 'not built yet', asked };
      }
      return { kind: 'unmanaged' };
    },
  };
}

const SVIRT: readonly Control[] = [
  planned('svirt.label', 'SELinux label of the QEMU process and its images', [
    key('svirt.required', flag, 'Whether a guest without a confined label breaks its promise', {
      ...FLAG,
      example: 'true',
    }),
    key(
      'svirt.mode',
      oneOf('dynamic', 'static'),
      'Who chooses the categories: libvirt at each start, or virtslad once',
      {
        unit: 'word',
        range: 'dynamic, static',
        example: 'dynamic',
      },
    ),
    key('svirt.type', selinuxType, 'Type of the process label', {
      unit: 'SELinux type',
      range: 'a name of letters, digits, "_" and "."',
      example: 'svirt_t',
    }),
    key('svirt.categories', mcsCategories, 'MCS categories to choose from; not with mode dynamic', {
      unit: 'MCS categories',
      range: 'c0–c1023 and ranges',
      example: 'c100.c199',
    }),
    key('svirt.apply', oneOf('next-start', 'save-restore'), 'When a changed label takes force', {
      unit: 'word',
      range: 'next-start, save-restore',
      example: 'next-start',
    }),
    key('svirt.max-downtime', duration('100ms', '1h'), 'Longest pause that save-restore may cost the guest', {
      unit: 'duration',
      range: '100ms–1h',
      example: '10s',
    }),
    key('svirt.on-violation', oneOf('alert', 'suspend'), 'What to do with a guest whose label is wrong', {
      unit: 'word',
      range: 'alert, suspend',
      example: 'alert',
    }),
    key('svirt.images', oneOf('verify', 'relabel'), 'Whether wrong labels of images are reported or put right', {
      unit: 'word',
      range: 'verify, relabel',
      example: 'verify',
    }),
  ]),
];

export const PLANNED_CONTROLS: readonly Control[] = SVIRT;

/** Keys of planned parts that set nothing. */
export const PLANNED_PROMISES: readonly KeySpec[] = [
  key('disk.latency', duration('10us', '60s'), 'Bound of the disk.latency objective; throttles nothing', {
    unit: 'duration',
    range: '10us–60s',
    example: '10ms',
  }),
  key('disk.histogram', flag, "Measure disk latency by QEMU's histograms (marks the guest as tainted)", {
    ...FLAG,
    example: 'false',
  }),
];
