/** Keys of a class about SELinux labels (sVirt). */
import { mcsCategories, selinuxType } from '../policy/svirt-values.js';
import { duration, flag, oneOf } from '../policy/value-types.js';
import type { KeySpec } from './control.js';

export const SVIRT_KEYS: readonly KeySpec[] = [
  {
    key: 'svirt.required',
    schema: flag,
    summary:
      'Whether a guest whose label is wrong breaks its promise (default: true where any svirt key is set); with false violations are reported only',
    unit: 'true or false',
    range: 'true, false',
    example: 'true',
  },
  {
    key: 'svirt.mode',
    schema: oneOf('dynamic', 'static'),
    summary: 'Who chooses the categories: libvirt at each start, or virtslad once',
    unit: 'word',
    range: 'dynamic, static',
    example: 'dynamic',
  },
  {
    key: 'svirt.type',
    schema: selinuxType,
    summary: 'Type of the process label',
    unit: 'SELinux type',
    range: 'a name of letters, digits, "_" and "."',
    example: 'svirt_t',
  },
  {
    key: 'svirt.categories',
    schema: mcsCategories,
    summary: 'MCS categories to choose the pair from; with mode static only',
    unit: 'MCS categories',
    range: 'c0–c1023 and ranges',
    example: 'c100.c199',
  },
  {
    key: 'svirt.apply',
    schema: oneOf('next-start', 'save-restore'),
    summary: 'When a changed label takes force: when the guest is started next, or at once by saving and restoring it',
    unit: 'word',
    range: 'next-start, save-restore',
    example: 'next-start',
  },
  {
    key: 'svirt.max-downtime',
    schema: duration('100ms', '1h'),
    summary: 'Longest pause that save-restore may cost the guest; without it there is none',
    unit: 'duration',
    range: '100ms–1h',
    example: '10s',
  },
  {
    key: 'svirt.on-violation',
    schema: oneOf('alert', 'suspend'),
    summary: 'What to do with a guest whose label breaks its isolation',
    unit: 'word',
    range: 'alert, suspend',
    example: 'alert',
  },
  {
    key: 'svirt.images',
    schema: oneOf('verify', 'relabel'),
    summary: 'Whether wrong labels of images are reported or put right',
    unit: 'word',
    range: 'verify, relabel',
    example: 'verify',
  },
];
