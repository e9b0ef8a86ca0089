/** Every control that virtslad knows. Adding one is a file and a line here. */
import type { Control, KeySpec } from './control.js';
import { cpuBurst } from './cpu-burst.js';
import { cpuGuarantee } from './cpu-guarantee.js';
import { cpuLimit } from './cpu-limit.js';
import { cpuPin } from './cpu-pin.js';
import { cpuWeight } from './cpu-weight.js';
import { diskHistogram } from './disk-histogram.js';
import { diskLatency } from './disk-latency.js';
import { diskLimit } from './disk-limit.js';
import { diskWeight } from './disk-weight.js';
import { memoryGuarantee } from './memory-guarantee.js';
import { memoryHigh } from './memory-high.js';
import { memoryLimit } from './memory-limit.js';
import { memoryMerge } from './memory-merge.js';
import { memorySwap } from './memory-swap.js';
import { networkLimit } from './network-limit.js';
import { PLANNED_PROMISES } from './planned.js';
import { svirtLabel } from './svirt-label.js';

export const CONTROLS: readonly Control[] = [
  cpuLimit,
  cpuBurst,
  cpuWeight,
  cpuPin,
  memoryGuarantee,
  memoryLimit,
  memoryHigh,
  memorySwap,
  memoryMerge,
  diskLimit,
  diskWeight,
  diskHistogram,
  networkLimit,
  svirtLabel,
];

/** Keys that are promises and not settings: they steer controls and SLIs (`cpu.guarantee`, `disk.latency`). */
export const PROMISES: readonly KeySpec[] = [cpuGuarantee, diskLatency, ...PLANNED_PROMISES];

/** All keys of a class, for the policy schema. */
export const CLASS_KEYS: readonly KeySpec[] = [...CONTROLS.flatMap((control) => control.keys), ...PROMISES];
