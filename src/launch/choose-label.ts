/**
 * The security label that a guest is started under: user, role and type, and out of which categories its own two come. Or
 * none, where the host has no SELinux and the class does not insist. Pure.
 */
import type { Problem } from '../errors.js';
import type { SecurityStatus } from '../host/selinux/status.js';
import type { EffectiveClass, KeyPath } from '../policy/types.js';
import { formatLabel, type Label, parseLabel } from '../svirt/label.js';

export type ChosenLabel =
  /** Started without: `note` says why. */
  | { readonly kind: 'none'; readonly note: string }
  | {
      readonly kind: 'label';
      /** Without categories. */
      readonly base: Label;
      /** Categories to choose two from; null: all of them. */
      readonly pool: readonly number[] | null;
      /** The pair stays the guest's while it does not run. */
      readonly lasting: boolean;
      readonly notes: readonly string[];
    }
  | { readonly kind: 'refused'; readonly problem: Problem };

export function chooseLabel(status: SecurityStatus, effective: EffectiveClass, usesKvm: boolean): ChosenLabel {
  const required = classValue<boolean>(effective, 'svirt.required') ?? false;
  const without = withoutLabels(status);
  if (without !== null) {
    if (!required) return { kind: 'none', note: `started without a label of its own: ${without}` };
    return refused(effective, `class ${effective.name} requires a confined label, and ${without}`, CANNOT);
  }
  const parsed = parseLabel(status.guestContext ?? '');
  if (!parsed.ok) {
    const reason = `the label that this host gives guests (contexts/virtual_domain_context) ${parsed.reason}`;
    if (!required) return { kind: 'none', note: `started without a label of its own: ${reason}` };
    return refused(effective, reason, 'install the SELinux policy of the distribution whole');
  }
  const { user, role, type, low } = parsed.label;
  const level = { sensitivity: low.sensitivity, categories: [] };
  // As libvirt does: the second line of virtual_domain_context is for guests without KVM.
  const usual = usesKvm ? type : (status.guestTypes[1] ?? type);
  const chosen = classValue<string>(effective, 'svirt.type') ?? usual;
  const notes = status.enforcing === true ? [] : ['SELinux is permissive: the label is worn and keeps nobody out'];
  const pool = classValue<readonly number[]>(effective, 'svirt.categories');
  return {
    kind: 'label',
    base: { user, role, type: chosen, low: level, high: level, isRange: false },
    pool,
    // Categories to choose from are for who chooses, as for libvirt's guests.
    lasting: pool !== null || classValue<string>(effective, 'svirt.mode') === 'static',
    notes,
  };
}

/** The whole label with its pair. */
export function labelWith(base: Label, [low, high]: readonly [number, number]): string {
  const level = { ...base.low, categories: [low, high] };
  return formatLabel({ ...base, low: level, high: level });
}

/** That of the guest's images: the same categories. `imageType`: `svirt_image_t`. */
export function imageLabel(base: Label, imageType: string, pair: readonly [number, number]): string {
  return labelWith({ ...base, role: 'object_r', type: imageType }, pair);
}

const CANNOT = 'start it on a host with SELinux, or in a class without svirt.required';

function withoutLabels({ model, mls, reason }: SecurityStatus): string | null {
  if (model === 'apparmor') return 'this host has AppArmor, under which virtslad gives no labels';
  if (model === 'none') return reason ?? 'this host has no SELinux';
  return mls ? null : 'the SELinux policy of this host has no categories';
}

export function classValue<T>(effective: EffectiveClass, key: KeyPath): T | null {
  return (effective.values.get(key)?.value as T | undefined) ?? null;
}

function refused(effective: EffectiveClass, message: string, fix: string): ChosenLabel {
  const where = effective.values.get('svirt.required')?.source;
  return { kind: 'refused', problem: { code: 'LAUNCH_LABEL', message, ...(where && { where }), fix } };
}
