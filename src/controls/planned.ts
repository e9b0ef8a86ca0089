/** Keys of parts that are not built yet: validated, and nothing follows from them. None at present. */
import type { KeySpec } from './control.js';

/** Keys of planned parts that set nothing. */
export const PLANNED_PROMISES: readonly KeySpec[] = [];
