/**
 * The audit of labels, before each full cycle: what every QEMU process and image wears, judged over all guests together,
 * because what breaks a guest's isolation may be another guest's label. Guests that nobody manages are judged too. The
 * findings go into the inventory, where plan and picture see them; nothing is changed here.
 */
import type { Inventory } from '../../domains/inventory.js';
import type { Domain, DomainSecurity } from '../../domains/types.js';
import type { FileLabel } from '../../host/selinux/file-labels.js';
import type { FileLabelReader, ProcessLabelReader, SecurityReader } from '../../host/selinux/ports.js';
import type { SecurityStatus } from '../../host/selinux/status.js';
import { inSlices } from '../../host/slices.js';
import type { Log } from '../../log.js';
import type { EffectiveClass } from '../../policy/types.js';
import { CATEGORY_COUNT, type CategorySet } from '../../svirt/categories.js';
import { CONTENT_TYPES, GUEST_TYPES, IMAGE_TYPES } from '../../svirt/guest-types.js';
import {
  type GuestLabel,
  type ImageLabel,
  imageNote,
  type JudgeOptions,
  judgeLabels,
  VIOLATIONS,
  type Violation,
} from '../../svirt/judge.js';
import { parseLabel } from '../../svirt/label.js';
import { printable } from '../../text/printable.js';
import type { LabelPairs, Worn } from './pairs.js';

export interface LabelAuditOptions {
  readonly inventory: Pick<Inventory, 'all' | 'learn'>;
  readonly status: SecurityReader;
  readonly processLabel: ProcessLabelReader;
  readonly fileLabels: FileLabelReader;
  readonly pairs: Pick<LabelPairs, 'settle' | 'pairOf' | 'problemOf'>;
  readonly log: Log;
  classOf(domain: Domain): EffectiveClass | null;
  /** The process is still the one that the inventory knows. */
  isAlive(domain: Domain): boolean;
}

/** A cycle does not wait longer for images: what a slow file system says counts in the next. */
const IMAGES_WAIT_MS = 250;

const LABEL_LENGTH = 200;

export class LabelAudit {
  readonly #options: LabelAuditOptions;
  /** Of which process an image was read tells whose it was: a restarted guest's may have been labelled anew since. */
  #images: ReadonlyMap<string, ReadImages> = new Map();
  #reading: Promise<void> | null = null;
  /** Of the last look. */
  host: SecurityStatus | null = null;

  constructor(options: LabelAuditOptions) {
    this.#options = options;
  }

  async look(): Promise<void> {
    const { inventory, status } = this.#options;
    const host = status.read();
    const before = this.host === null ? true : this.host.enforcing;
    if (before !== host.enforcing) this.#sayEnforcing(host);
    this.host = host;
    if (host.model !== 'selinux') {
      for (const domain of inventory.all()) this.#learn(domain, { ...NOTHING, host });
      return;
    }
    await this.#readImages();
    const read = new Map<string, Reading>();
    await inSlices(inventory.all(), (domain) => {
      const { process, uuid } = domain;
      // Until QEMU is executed its process wears libvirt's own label.
      if (process === null || domain.state === 'starting') return;
      const raw = this.#options.processLabel(process.pid);
      // One that has ended, or whose number another has by now, wears nothing that could be judged.
      if (this.#options.isAlive(domain)) read.set(uuid, { process, raw });
    });
    this.#judge(host, read);
  }

  /** Resolves when no image is being looked at. */
  async idle(): Promise<void> {
    await this.#reading;
  }

  async close(): Promise<void> {
    await this.#options.fileLabels.close();
  }

  #judge(host: SecurityStatus, read: ReadonlyMap<string, Reading>): void {
    const { inventory, pairs } = this.#options;
    // One that ended meanwhile wears nothing any more, and its successor something else.
    const running = inventory
      .all()
      .filter(({ process, uuid }) => process !== null && read.get(uuid)?.process === process);
    const rawOf = ({ uuid }: Domain): string | null => read.get(uuid)?.raw ?? null;
    const guests = running.map((domain) => this.#guestLabel(domain, host, rawOf(domain)));
    const found = judgeLabels(guests, optionsFor(host, guests));
    pairs.settle(categoriesOf(new Map(running.map((domain) => [domain.uuid, rawOf(domain)]))));
    const notes = new Map(guests.map(({ uuid, images }) => [uuid, images.flatMap((image) => imageNote(image) ?? [])]));
    for (const domain of inventory.all()) {
      const looked = found.has(domain.uuid);
      if (!looked && domain.process !== null) continue;
      this.#learn(domain, {
        host,
        process: looked ? rawOf(domain) : null,
        pair: pairs.pairOf(domain.uuid),
        pairProblem: pairs.problemOf(domain.uuid),
        violations: found.get(domain.uuid) ?? [],
        notes: notes.get(domain.uuid) ?? [],
      });
    }
  }

  #guestLabel(domain: Domain, host: SecurityStatus, raw: string | null): GuestLabel {
    const type = this.#options.classOf(domain)?.values.get('svirt.type')?.value as string | undefined;
    return {
      uuid: domain.uuid,
      name: domain.name,
      raw,
      allowedTypes: type === undefined ? [...GUEST_TYPES, ...host.guestTypes] : [type],
      wanted: labelledWith(domain),
      images: imagesOf(domain, this.#images.get(domain.uuid)),
    };
  }

  async #readImages(): Promise<void> {
    const { fileLabels, inventory } = this.#options;
    this.#reading ??= (async () => {
      const running = inventory.all().filter(({ process, state }) => process !== null && state !== 'starting');
      const labels = await fileLabels.read([...new Set(running.flatMap(pathsOf))]);
      const byPath = new Map(labels.map((one) => [one.path, one]));
      this.#images = new Map(running.map(({ process, uuid }) => [uuid, { process, byPath }]));
    })().finally(() => {
      this.#reading = null;
    });
    let timer: NodeJS.Timeout | undefined;
    await Promise.race([
      this.#reading,
      new Promise<void>((resolve) => {
        timer = setTimeout(resolve, IMAGES_WAIT_MS);
      }),
    ]);
    clearTimeout(timer);
  }

  #learn(domain: Domain, security: DomainSecurity): void {
    const before = domain.security;
    if (before !== null && sameFindings(before, security)) return;
    this.#options.inventory.learn(domain.uuid, { security });
    this.#sayChanges(domain, before?.violations ?? [], security);
  }

  #sayChanges({ uuid, name }: Domain, before: readonly Violation[], { process, violations }: DomainSecurity): void {
    const { log } = this.#options;
    const at = ({ reason, detail }: Violation): string => `${reason} ${detail}`;
    const known = new Set(before.map(at));
    const now = new Set(violations.map(at));
    const label = process === null ? null : printable(process, LABEL_LENGTH);
    for (const one of violations) {
      const { detail, others, reason } = one;
      if (known.has(at(one))) continue;
      const level = VIOLATIONS[reason].severity === 'critical' ? 'error' : 'warn';
      log[level]('svirt.violation', { domain: name, uuid, reason, label, others }, detail);
    }
    for (const one of before) {
      if (!now.has(at(one))) log.info('svirt.violation_over', { domain: name, uuid, reason: one.reason }, one.detail);
    }
  }

  #sayEnforcing({ enforcing }: SecurityStatus): void {
    if (enforcing === true) this.#options.log.info('svirt.enforcing', {}, 'SELinux enforces again');
    if (enforcing === false)
      this.#options.log.error('svirt.permissive', {}, 'SELinux is permissive: labels do not isolate guests');
  }
}

interface Reading {
  readonly process: NonNullable<Domain['process']>;
  readonly raw: string | null;
}

interface ReadImages {
  readonly process: Domain['process'];
  readonly byPath: ReadonlyMap<string, FileLabel>;
}

const NOTHING = { process: null, pair: null, pairProblem: null, violations: [], notes: [] } as const;

/** What confines guests here: by libvirt and its policy, by the host's own, and by what any class asks for. */
function optionsFor({ guestTypes, imageTypes }: SecurityStatus, guests: readonly GuestLabel[]): JudgeOptions {
  const asked = guests.flatMap(({ allowedTypes }) => allowedTypes);
  const content = new Set(CONTENT_TYPES);
  return {
    guestTypes: [...new Set([...GUEST_TYPES, ...guestTypes, ...asked])],
    imageTypes: [...new Set([...IMAGE_TYPES, ...imageTypes.filter((type) => !content.has(type))])],
  };
}

/** What libvirt says it gave the process at its start; null where it says nothing. */
function labelledWith({ facts, process }: Domain): readonly number[] | null {
  const said = process === null ? undefined : facts?.seclabels?.find(({ model }) => model === 'selinux');
  const parsed = parseLabel(said?.label ?? '');
  return parsed.ok ? parsed.label.low.categories : null;
}

function pathsOf({ facts }: Domain): readonly string[] {
  return facts?.tuning.disks.flatMap(({ path, empty }) => (path === null || empty ? [] : [path])) ?? [];
}

function imagesOf(domain: Domain, read: ReadImages | undefined): readonly ImageLabel[] {
  if (read === undefined || read.process?.pid !== domain.process?.pid) return [];
  if (read.process?.startTicks !== domain.process?.startTicks) return [];
  const managed = labelsImages(domain);
  return (domain.facts?.tuning.disks ?? []).flatMap((disk): ImageLabel[] => {
    const { target, path, empty, readOnly, shareable, unlabelled } = disk;
    const found = path === null || empty ? undefined : read.byPath.get(path);
    if (path === null || found === undefined) return [];
    const common = { target, path, raw: found.label, problem: found.problem, readOnly };
    return [{ ...common, shareable: shareable === true, managed: managed && unlabelled !== true }];
  });
}

/** Whether anybody but an operator labels its images. */
function labelsImages({ facts, source }: Domain): boolean {
  const said = facts?.seclabels?.find(({ model }) => model === 'selinux');
  return source === 'libvirt' && (said === undefined || (said.type !== 'none' && said.relabel));
}

/** What a guest reaches is decided by its high level. */
function categoriesOf(labels: ReadonlyMap<string, string | null>): Worn {
  const worn = new Map<string, CategorySet>();
  for (const [uuid, raw] of labels) {
    const parsed = parseLabel(raw ?? '');
    // One that has them all would leave no pair for anybody; it is a violation of its own.
    if (parsed.ok && parsed.label.high.categories.length < CATEGORY_COUNT) worn.set(uuid, parsed.label.high.categories);
  }
  return worn;
}

/** In the order in which they are most likely to differ. */
function sameFindings(one: DomainSecurity, other: DomainSecurity): boolean {
  return (
    one.process === other.process &&
    one.host === other.host &&
    one.pair?.join() === other.pair?.join() &&
    one.pairProblem === other.pairProblem &&
    sameViolations(one.violations, other.violations) &&
    one.notes.join('\n') === other.notes.join('\n')
  );
}

function sameViolations(one: readonly Violation[], other: readonly Violation[]): boolean {
  if (one.length === 0 && other.length === 0) return true;
  return JSON.stringify(one) === JSON.stringify(other);
}
