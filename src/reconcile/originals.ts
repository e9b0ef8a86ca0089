/**
 * What stood in a place before ours did. Pure. The rules, in order: a record of this instance stands; a value of our
 * own that came back (save and restore, migration) is no original, so the older record stands; the record that travels
 * in the guest's live metadata; with the journal lost, the definition or libvirt's default; else what is found: the
 * XML while the guest starts (its groups are half built then), the kernel once it runs.
 */
import type { Control, Original, Setting } from '../controls/control.js';
import type { Domain, DomainFacts, Tuning } from '../domains/types.js';
import type { JournaledSetting, JournalRecord } from './journal-format.js';
import { type Originals, parseOriginalsXml } from './originals-xml.js';

export interface OriginalsInput {
  readonly control: Control;
  readonly domain: Domain;
  readonly record: JournalRecord | null;
  readonly setting: Setting;
  readonly actual: string | null;
  /** The journal was damaged: a value that looks like ours may be ours. */
  readonly baselineUnknown: boolean;
}

/**
 * Text that names the running instance: a restarted guest has another. So has one without libvirt that was moved to
 * another group: libvirt's never leave theirs.
 */
export function instanceOf(domain: Domain): string {
  const { cgroup, facts, process, source } = domain;
  // The same before libvirt has described it as after: what was given to this instance is found again.
  const id = facts?.id ?? domain.id ?? '-';
  const group = source === 'bare' && cgroup !== null ? `:${cgroup.inode}` : '';
  return `${id}:${process?.pid ?? '-'}:${process?.startTicks ?? '-'}${group}`;
}

/** What is recorded of a control is true of this; a definition stays what it is from one instance to the next. */
export function instanceFor(control: Control, domain: Domain): string {
  return control.lasting === true ? 'definition' : instanceOf(domain);
}

/** Of a guest without libvirt, the group that its values are in; null for those that libvirt gives a new one each time. */
export function lastingGroup({ source, cgroup }: Domain): string | null {
  return source === 'bare' && cgroup !== null ? `${cgroup.domainDir} ${cgroup.inode}` : null;
}

/** The instance in which what is recorded of a place was last confirmed. */
export function confirmedIn({ instance }: JournalRecord, setting: JournaledSetting): string {
  return setting.instance ?? instance;
}

export function originalOf(input: OriginalsInput): Original {
  const { control, domain, record, setting, actual } = input;
  const found = findNow(input);
  const prior = record?.settings[setting.key];
  const instance = instanceFor(control, domain);
  if (record !== null && prior !== undefined && confirmedIn(record, prior) === instance) return prior.original;
  if (record !== null && prior === undefined && record.instance === instance) {
    // A vCPU that was plugged in gets from libvirt what we told libvirt: its original is its siblings'.
    const sibling = control.tellsApart === true ? undefined : Object.values(record.settings)[0];
    if (sibling?.written.includes(found.text)) return sibling.original;
    return found;
  }
  if (prior !== undefined && isOurs(control, setting.key, prior, found.text)) {
    return { text: withoutOurs(control, setting.key, prior, found.text), from: prior.original.from };
  }
  const moved = travelledSetting(domain, control.id, setting.key);
  if (moved !== null && isOurs(control, setting.key, moved, found.text)) {
    return { text: withoutOurs(control, setting.key, moved, found.text), from: 'metadata' };
  }
  if (input.baselineUnknown && actual === setting.text) return fromDefinition(control, domain, setting.key) ?? found;
  return found;
}

/** As a whole, or of a text that holds others' values beside ours, in a part. */
export function isOurs(control: Control, key: string, known: JournaledSetting, text: string): boolean {
  return known.written.includes(text) || withoutOurs(control, key, known, text, text) !== text;
}

/** What would stand there without ours. `plain`: of a control that has its places to itself; default: the original. */
export function withoutOurs(
  control: Control,
  key: string,
  { original, written }: JournaledSetting,
  text: string,
  plain: string = original.text,
): string {
  return control.beneath?.(key, text, original.text, written) ?? plain;
}

/** Of a text that is to be written, what of it is ours; what others have set beside it is not ours to take away again. */
export function ownText(
  control: Control,
  { key, text }: Setting,
  actual: string | null,
  known: JournaledSetting,
): string {
  // At rest, and wherever nobody has set anything beside ours, that is all of it.
  if (control.beneath === undefined || actual === null || known.written.includes(text)) return text;
  const theirs = withoutOurs(control, key, known, actual);
  return control.beneath(key, text, known.original.text, [theirs]);
}

/** A record that travelled with the guest, when this host has none of its own: taken over before anything is written. */
export function adoptedRecord(control: Control, domain: Domain): JournalRecord | null {
  const settings = originalsOf(domain.facts)[control.id];
  if (settings === undefined) return null;
  const adopted: Record<string, JournaledSetting> = {};
  for (const [key, { original, written }] of Object.entries(settings)) {
    adopted[key] = { original: { text: original.text, from: 'metadata' }, written };
  }
  return {
    uuid: domain.uuid,
    name: domain.name,
    control: control.id,
    instance: instanceFor(control, domain),
    settings: adopted,
  };
}

function findNow({ control, domain, setting, actual }: OriginalsInput): Original {
  const tuning = domain.facts?.tuning;
  if (domain.state === 'starting' && tuning !== undefined && control.fromXml !== undefined) {
    return control.fromXml(setting.key, tuning, domain);
  }
  return { text: actual ?? setting.text, from: control.lasting === true ? 'definition' : 'kernel' };
}

function fromDefinition(control: Control, domain: Domain, key: string): Original | null {
  if (control.fromXml === undefined) return null;
  const definition = domain.facts?.definition ?? null;
  const original = control.fromXml(key, definition ?? UNTUNED, domain);
  return { text: original.text, from: definition === null ? 'default' : 'definition' };
}

/** What libvirt does where the XML says nothing. */
const UNTUNED: Tuning = {
  cpu: { realtimeVcpus: false },
  memory: {},
  blkio: { devices: [] },
  disks: [],
  interfaces: [],
  pins: {},
};

/** libvirt's XML is parsed once for each reading of it. */
const travelled = new WeakMap<DomainFacts, Originals>();

function originalsOf(facts: DomainFacts | null): Originals {
  if (facts === null || facts.originalsXml === null) return {};
  const known = travelled.get(facts) ?? parseOriginalsXml(facts.originalsXml);
  travelled.set(facts, known);
  return known;
}

function travelledSetting(domain: Domain, control: string, key: string): JournaledSetting | null {
  return originalsOf(domain.facts)[control]?.[key] ?? null;
}
