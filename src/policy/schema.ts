/**
 * The shape of a policy document, assembled from the keys that the controls declare: which keys a map may have, which
 * are groups and which are values. The reader, the JSON Schema and the reference page all go by it.
 */
import type { KeySpec } from '../controls/control.js';
import { SLI_BOUNDS, type SliName } from '../slo/slis.js';

/** A key of a class, or a group of keys (`disk.limit`). */
export interface KeyTree {
  /** Dotted, empty for the class itself. */
  readonly path: string;
  /** Present on values, absent on groups. */
  readonly spec?: KeySpec;
  readonly children: ReadonlyMap<string, KeyTree>;
}

/** Keys of a class that are no promise of their own. */
export const CLASS_FIXED_KEYS = ['description', 'priority', 'objectives'] as const;
export const DOCUMENT_KEYS = ['version', 'classes', 'assignments', 'schedules', 'maintenance'] as const;
export const ASSIGNMENT_KEYS = ['class', 'match'] as const;
export const MATCH_KEYS = ['any', 'name', 'uuid', 'title', 'description', 'metadata'] as const;
export const SCHEDULE_KEYS = ['name', 'cron', 'for', 'timezone', 'set'] as const;
export const MAINTENANCE_KEYS = ['name', 'cron', 'for', 'timezone', 'classes', 'match', 'slis'] as const;
export const OBJECTIVE_KEYS = ['sli', 'at-least', 'at-most', 'of', 'window'] as const;

export const POLICY_VERSION = 1;
export const CLASS_NAME = /^[a-z][a-z0-9-]{0,31}$/;
/** Of schedules and of maintenance windows. */
export const SCHEDULE_NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/;
export const DEFAULT_PRIORITY = 100;
export const PRIORITY_MAX = 1000;
export const DESCRIPTION_LENGTH_MAX = 1024;

/** The keys as a tree. Throws when a key is declared twice or is both a value and a group: a defect in the registry. */
export function keyTree(keys: readonly KeySpec[]): KeyTree {
  const root = group('');
  for (const spec of keys) {
    let at = root;
    const names = spec.key.split('.');
    for (const [index, name] of names.entries()) {
      const path = names.slice(0, index + 1).join('.');
      const last = index === names.length - 1;
      const known = at.children.get(name);
      if (known !== undefined && (last || known.spec !== undefined))
        throw new Error(`policy key ${spec.key} is declared twice`);
      const next = known ?? (last ? { path, spec, children: new Map<string, MutableTree>() } : group(path));
      at.children.set(name, next);
      at = next;
    }
  }
  return root;
}

interface MutableTree extends KeyTree {
  readonly children: Map<string, MutableTree>;
}

function group(path: string): MutableTree {
  return { path, children: new Map() };
}

/** The node at a dotted path, or nothing. */
export function findKey(tree: KeyTree, path: string): KeyTree | undefined {
  let at: KeyTree | undefined = tree;
  for (const name of path.split('.')) at = at?.children.get(name);
  return at;
}

/** The SLIs of objectives and the bound that each takes (DESIGN, "What a policy means"). */
export const SLIS = SLI_BOUNDS;
export type { SliName };

export function isSli(name: string): name is SliName {
  return Object.hasOwn(SLIS, name);
}
