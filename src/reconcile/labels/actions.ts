/**
 * What a class asks to be done about a violation, after the audit: an image's label is put right (`images: relabel`), a
 * guest is suspended (`on-violation: suspend`). Never killed, never frozen; suspended once for a violation of an instance
 * and never again when an operator has resumed it.
 */
import type { Inventory } from '../../domains/inventory.js';
import type { Domain } from '../../domains/types.js';
import type { LibvirtClient } from '../../host/libvirt/client.js';
import type { FileLabelReader, ImageRelabeler, ProcessLabelReader } from '../../host/selinux/ports.js';
import type { Log } from '../../log.js';
import type { EffectiveClass } from '../../policy/types.js';
import { equalCategories } from '../../svirt/categories.js';
import { VIOLATIONS, type Violation, type ViolationReason } from '../../svirt/judge.js';
import { parseLabel } from '../../svirt/label.js';
import { printable } from '../../text/printable.js';
import type { Counters } from '../counters.js';
import { instanceOf } from '../originals.js';
import type { LabelState, Suspension } from './state.js';

export interface LabelActionsOptions {
  readonly inventory: Pick<Inventory, 'all' | 'get'>;
  readonly libvirt: Pick<LibvirtClient, 'suspend'>;
  readonly images: FileLabelReader & ImageRelabeler;
  readonly processLabel: ProcessLabelReader;
  readonly state: LabelState;
  readonly counters: Counters;
  readonly log: Log;
  nowMs(): number;
  /** libvirt has said which guests there are. */
  isComplete(): boolean;
  classOf(domain: Domain): EffectiveClass | null;
  /** False: held, released, not managed, or writing is stopped. */
  mayAct(domain: Domain): boolean;
}

/** Types between which an image may be relabelled where the host's policy names none (contexts/virtual_image_context). */
const IMAGE_TYPES: readonly string[] = ['svirt_image_t', 'virt_content_t', 'virt_image_t'];
/** What another label on an image would mend. */
const IMAGE_REASONS: readonly ViolationReason[] = [
  'image-unprotected',
  'image-foreign',
  'image-type',
  'image-malformed',
];
/** An image that could not be put right is not tried at every cycle. */
const IMAGE_RETRY_MS = 60_000;

export class LabelActions {
  readonly #options: LabelActionsOptions;
  /** `UUID PATH` → not before. */
  readonly #tried = new Map<string, number>();
  /** uuid → why it could not be suspended, so that it is said once. */
  readonly #refused = new Map<string, string>();
  #running: Promise<void> | null = null;

  constructor(options: LabelActionsOptions) {
    this.#options = options;
  }

  /** One pass over all guests; a pass that is under way is not joined by another. */
  act(): void {
    this.#running ??= this.#pass().finally(() => {
      this.#running = null;
    });
  }

  async idle(): Promise<void> {
    await this.#running;
  }

  /** Suspended by us and still paused. */
  suspended(domain: Domain): boolean {
    const entry = this.#options.state.current.suspended[domain.uuid];
    return entry?.instance === instanceOf(domain) && domain.state === 'paused';
  }

  async #pass(): Promise<void> {
    const { classOf, inventory, log, mayAct } = this.#options;
    for (const { uuid } of inventory.all()) {
      const domain = inventory.get(uuid);
      if (domain?.security == null || domain.process === null || domain.security.violations.length === 0) continue;
      if (!mayAct(domain)) continue;
      const values = classOf(domain)?.values;
      try {
        if (values?.get('svirt.images')?.value === 'relabel') await this.#mendImages(domain);
        if (values?.get('svirt.on-violation')?.value === 'suspend') await this.#suspend(domain);
      } catch (error) {
        log.error('svirt.action_failed', { domain: domain.name, uuid, reason: (error as Error).message });
      }
    }
    await this.#forgetEnded();
  }

  async #suspend(domain: Domain): Promise<void> {
    const { mayAct, nowMs, state } = this.#options;
    const { security, facts, uuid } = domain;
    const severe = (security?.violations ?? []).filter(isItsOwn);
    const instance = instanceOf(domain);
    const violations = severe.flatMap(({ reason, others }) =>
      others.length === 0 ? [reason] : others.map((one) => `${reason} ${one}`),
    );
    const entry = state.current.suspended[uuid];
    const before = entry?.instance === instance ? entry : undefined;
    // A call whose answer was lost was carried out.
    if (before?.done === false && domain.state === 'paused') await this.#suspended(domain, before);
    if (severe.length === 0 || domain.state !== 'running' || facts?.id == null) return;
    if (before?.done === true && violations.every((one) => before.violations.includes(one))) return;
    // Looked at once more: suspending a guest for what is over would be harm done for nothing.
    const worn = domain.process === null ? null : this.#options.processLabel(domain.process.pid);
    if (worn !== security?.process) return;
    const known = [...new Set([...(before?.violations ?? []), ...violations])].sort();
    const next = { instance, violations: known, atMs: nowMs(), done: false };
    if (before?.done !== false || before.violations.join() !== known.join()) {
      await state.change({ suspended: { ...state.current.suspended, [uuid]: next } });
      // The disk may have taken its time.
      if (!mayAct(domain)) return;
    }
    const outcome = await this.#options.libvirt.suspend(uuid, facts.id);
    if (outcome.ok) await this.#suspended(domain, next);
    else this.#notSuspended(domain, outcome.failure === 'vanished' ? null : outcome.message);
  }

  async #suspended({ name, security, uuid }: Domain, entry: Suspension): Promise<void> {
    const { counters, log, state } = this.#options;
    this.#refused.delete(uuid);
    counters.suspensions++;
    const reasons = (security?.violations ?? []).filter(isItsOwn).map(({ reason }) => reason);
    const fields = { domain: name, uuid, reasons };
    log.error('svirt.suspended', fields, 'suspended, as its class asks; `virsh resume` ends it');
    await state.keep({ suspended: { ...state.current.suspended, [uuid]: { ...entry, done: true } } });
  }

  /** Tried again at the next pass. */
  #notSuspended({ name, uuid }: Domain, reason: string | null): void {
    if (reason === null || this.#refused.get(uuid) === reason) return;
    this.#refused.set(uuid, reason);
    this.#options.log.error('svirt.suspend_failed', { domain: name, uuid, reason }, 'tried again until it is done');
  }

  async #mendImages(domain: Domain): Promise<void> {
    const { counters, images, log, nowMs } = this.#options;
    const { facts, security, name, uuid } = domain;
    const said = facts?.seclabels?.find(({ model }) => model === 'selinux');
    const label = said?.imagelabel ?? null;
    // relabel='no': somebody else labels them.
    if (label === null || said?.relabel !== true || facts === null || security === null || !parseLabel(label).ok)
      return;
    if (!security.violations.some(({ reason }) => IMAGE_REASONS.includes(reason))) return;
    const allowedTypes = security.host.imageTypes.length > 0 ? security.host.imageTypes : IMAGE_TYPES;
    for (const { target, path, readOnly, shareable, unlabelled } of facts.tuning.disks) {
      // What several guests share, or libvirt leaves alone, has no label that could be known here.
      if (path === null || readOnly || shareable === true || unlabelled === true) continue;
      if (this.#isUsedElsewhere(uuid, path)) continue;
      const key = `${uuid} ${path}`;
      if (nowMs() < (this.#tried.get(key) ?? 0)) continue;
      this.#tried.set(key, nowMs() + IMAGE_RETRY_MS);
      const [found] = await images.read([path]);
      if (found === undefined || found.label === null || found.label === label) continue;
      if (this.#isWornElsewhere(uuid, found.label)) continue;
      const outcome = await images.relabel({ path, label, allowedTypes, expected: found.label });
      const fields = { domain: name, uuid, target, path: printable(path, 1024), label };
      if (outcome.ok) {
        counters.imageRelabels++;
        log.warn('svirt.image_relabelled', { ...fields, from: printable(outcome.from, 512) });
      } else log.error('svirt.image_relabel_failed', { ...fields, code: outcome.code, reason: outcome.reason });
    }
  }

  /** The image is another running guest's too: given to the one it would be taken from the other. */
  #isUsedElsewhere(uuid: string, path: string): boolean {
    return this.#others(uuid).some(
      ({ facts }) =>
        facts?.tuning.disks.some((disk) => disk.path === path || disk.backing?.includes(path) === true) === true,
    );
  }

  /** The same under another path: its categories are those of another guest. */
  #isWornElsewhere(uuid: string, imageLabel: string): boolean {
    const image = parseLabel(imageLabel);
    if (!image.ok || image.label.high.categories.length === 0) return false;
    return this.#others(uuid).some(({ security }) => {
      const worn = parseLabel(security?.process ?? '');
      return worn.ok && equalCategories(worn.label.high.categories, image.label.high.categories);
    });
  }

  #others(uuid: string): Domain[] {
    return this.#options.inventory.all().filter((domain) => domain.uuid !== uuid && domain.process !== null);
  }

  /**
   * An instance that is gone counts no more. A violation that is over does: a label that could not be read once, or a guest
   * that libvirt did not list once, must not have it suspended anew.
   */
  async #forgetEnded(): Promise<void> {
    const { inventory, isComplete, nowMs, state } = this.#options;
    for (const [key, notBeforeMs] of this.#tried) if (nowMs() > notBeforeMs) this.#tried.delete(key);
    for (const uuid of this.#refused.keys()) if (inventory.get(uuid)?.process == null) this.#refused.delete(uuid);
    if (!isComplete()) return;
    const { suspended } = state.current;
    const kept = Object.entries(suspended).filter(([uuid, { instance }]) => {
      const domain = inventory.get(uuid);
      if (domain === null) return false;
      // Not found at this moment, and by libvirt's word not ended.
      if (domain.process === null) return domain.id != null;
      return instanceOf(domain) === instance;
    });
    if (kept.length < Object.keys(suspended).length) await state.keep({ suspended: Object.fromEntries(kept) });
  }
}

/** Where another guest is at fault, stopping this one closes no gap. */
function isItsOwn({ reason }: Violation): boolean {
  return VIOLATIONS[reason].suspendHelps;
}
