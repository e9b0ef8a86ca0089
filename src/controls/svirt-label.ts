/**
 * svirt.label: the SELinux label of the guest's QEMU process. Nobody can change the label of another process, so what is
 * set is the `<seclabel>` of the persistent definition, in force from the guest's next start; what the process wears is
 * audited apart. A class that says nothing of mode, type or categories has nothing set: its guests are only audited.
 * Sources: formatdomain "Security label", refpolicy policy/mcs; proc(5), /proc/PID/attr/current.
 */
import type { Domain } from '../domains/types.js';
import type { EffectiveClass } from '../policy/types.js';
import { equalCategories } from '../svirt/categories.js';
import { parseLabel } from '../svirt/label.js';
import { parseSeclabelText, wantedSeclabel } from '../svirt/seclabel.js';
import { type Control, type Desired, type Override, type Place, told } from './control.js';
import { SVIRT_KEYS } from './svirt-keys.js';

export const SVIRT_LABEL = 'svirt.label';
export const SECLABEL_SETTING = 'seclabel';
/** Of libvirt's persistent definition. */
const DEFINITION: Place = { path: 'definition:seclabel', writer: 'libvirt', depth: 0 };

export const svirtLabel: Control = {
  id: SVIRT_LABEL,
  scope: 'domain',
  built: true,
  summary: 'SELinux label of the QEMU process and its images',
  keys: SVIRT_KEYS,
  metrics: [],
  lasting: true,

  desired(wanted, domain): Desired {
    const asked = SVIRT_KEYS.map(({ key }) => wanted.values.get(key)).find((one) => one !== undefined);
    if (asked === undefined) return { kind: 'unmanaged' };
    const askedKey = SVIRT_KEYS.find(({ key }) => wanted.values.get(key) === asked)?.key ?? SVIRT_LABEL;
    const unsupported = (reason: string): Desired => ({ kind: 'unsupported', reason, asked, askedKey });
    const { facts, security, source } = domain;
    if (security === null) return unsupported('its label has not been looked at yet');
    if (security.host.model !== 'selinux') return unsupported(security.host.reason ?? 'this host has no SELinux');
    const notes = notesOf(domain);
    const set = { kind: 'set', asked, askedKey, amounts: [], notes } as const;
    const wish = wishOf(wanted, domain);
    if (wish === null) return { ...set, display: 'a confined label of its own', settings: [] };
    if (source === 'bare') {
      const display = `${wish.mode} label${wish.type === null ? '' : ` of type ${wish.type}`}`;
      const given = 'libvirt does not run it: `virtslad launch` gives the label when it starts the guest';
      return { ...set, display, settings: [], notes: [given, ...notes] };
    }
    if (facts?.definitionSeclabels === null) return unsupported('a transient domain has no definition to write to');
    if (wish.mode === 'static' && !isGiven(wanted, security)) {
      if (security.pairProblem !== null) return { kind: 'refused', reason: security.pairProblem, asked, askedKey };
      return unsupported('it is given its categories as soon as virtslad may write');
    }
    const text = wantedSeclabel({ ...wish, categories: security.pair, context: security.host.guestContext ?? DEFAULT });
    if (text === null) return { ...set, display: 'a confined label of its own', settings: [] };
    return { ...set, display: text, settings: [{ ...DEFINITION, key: SECLABEL_SETTING, text }] };
  },

  place: (key, { source }) => (key === SECLABEL_SETTING && source === 'libvirt' ? DEFINITION : null),

  displayOf: (texts) => texts.get(SECLABEL_SETTING) ?? 'unreadable',

  tellFor(texts) {
    const text = texts.get(SECLABEL_SETTING);
    return text === undefined ? null : told([{ call: 'seclabel', text }]);
  },

  overriddenBy(desired, domain, _sight, wanted): Override | null {
    if (desired.kind !== 'set' || domain.process === null || domain.security === null) return null;
    const text = desired.settings[0]?.text;
    const pending = text !== undefined && !wearsAlready(domain, text);
    const required = wanted?.values.get('svirt.required')?.value !== false;
    const broken = domain.security.violations.filter(({ reason }) => !(pending && reason === 'wrong-type'));
    if (broken.length > 0 && required) {
      return { status: 'violated', reason: broken.map(({ detail }) => detail).join('; '), path: null };
    }
    if (!pending) return null;
    const worn = domain.security.process ?? 'a label that cannot be read';
    return { status: 'pending-restart', reason: `in force from its next start; it still runs as ${worn}`, path: null };
  },
};

/** Of libvirt's own driver for KVM guests, where the host's policy does not say. */
const DEFAULT = 'system_u:system_r:svirt_t:s0';

/**
 * What a class says of the definition; null when it leaves it as it is. The type that the host gives every guest needs no
 * word in a definition.
 */
export function wishOf(
  { values }: EffectiveClass,
  { security }: Domain,
): { readonly mode: 'dynamic' | 'static'; readonly type: string | null } | null {
  const type = (values.get('svirt.type')?.value as string | undefined) ?? null;
  const mode = values.get('svirt.mode')?.value as 'dynamic' | 'static' | undefined;
  // Categories to choose from are for who chooses.
  if (mode === 'static' || values.get('svirt.categories') !== undefined) return { mode: 'static', type };
  const usual = parseLabel(security?.host.guestContext ?? DEFAULT);
  const own = type === null || (usual.ok && usual.label.type === type) ? null : type;
  return mode === undefined && own === null ? null : { mode: 'dynamic', type: own };
}

/** It has a pair, and one of those that its class allows. */
function isGiven({ values }: EffectiveClass, { pair }: NonNullable<Domain['security']>): boolean {
  const pool = values.get('svirt.categories')?.value as readonly number[] | undefined;
  return pair !== null && (pool === undefined || pair.every((category) => pool.includes(category)));
}

/** True when the running process wears what the definition asks for; libvirt's own choice of categories is its own. */
export function wearsAlready({ security, facts }: Domain, text: string): boolean {
  const wanted = parseSeclabelText(text);
  const worn = parseLabel(security?.process ?? '');
  if (wanted === null || !worn.ok) return false;
  if (wanted.type === 'none') return true;
  const asked = parseLabel(wanted.label ?? wanted.baselabel ?? '');
  if (asked.ok && asked.label.type !== worn.label.type) return false;
  if (wanted.type === 'static') {
    return asked.ok && equalCategories(asked.label.high.categories, worn.label.high.categories);
  }
  // A guest that was started under a label of somebody's choice, or of a type of somebody's choice, keeps it.
  const live = facts?.seclabels?.find(({ model }) => model === 'selinux');
  if (live === undefined) return true;
  return live.type === 'dynamic' && (live.baselabel === null || wanted.baselabel !== null);
}

function notesOf({ security }: Domain): readonly string[] {
  if (security === null) return [];
  const permissive = security.host.enforcing === false;
  return [...(permissive ? ['SELinux is permissive: labels are worn and nothing is denied'] : []), ...security.notes];
}
