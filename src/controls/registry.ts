/** Every control that virtslad knows. Adding one is a file and a line here. */
import type { Control, KeySpec } from './control.js';
import { cpuGuarantee } from './cpu-guarantee.js';
import { cpuLimit } from './cpu-limit.js';
import { cpuWeight } from './cpu-weight.js';
import { PLANNED_CONTROLS, PLANNED_PROMISES } from './planned.js';

export const CONTROLS: readonly Control[] = [cpuLimit, cpuWeight, ...PLANNED_CONTROLS];

/** Keys that are promises and not settings: they steer controls and SLIs (`cpu.guarantee`, `disk.latency`). */
export const PROMISES: readonly KeySpec[] = [cpuGuarantee, ...PLANNED_PROMISES];

/** All keys of a class, for the policy schema. */
export const CLASS_KEYS: readonly KeySpec[] = [...CONTROLS.flatMap((control) => control.keys), ...PROMISES];
