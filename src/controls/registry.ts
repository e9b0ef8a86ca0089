/** Every control that virtslad knows. Adding one is a file and a line here. */
import type { Control, KeySpec } from './control.js';

export const CONTROLS: readonly Control[] = [];

/** Keys that are promises and not settings: they steer controls and SLIs (`cpu.guarantee`, `disk.latency`). */
export const PROMISES: readonly KeySpec[] = [];

/** All keys of a class, for the policy schema. */
export const CLASS_KEYS: readonly KeySpec[] = [...CONTROLS.flatMap((control) => control.keys), ...PROMISES];
