/**
 * What a class asks to be done about a violation, after the audit: an image's label is put right (`images: relabel`), a
 * guest is suspended (`on-violation: suspend`). Never killed, never frozen; suspended once for a violation of an instance
 * and never again when an operator has resumed it.
 */
import type { Inventory } from '../domains/inventory.js';
import type { Domain } from '../domains/types.js';
import type { LibvirtClient } from '../host/libvirt/client.js';
import type { FileLabelReader, ImageRelabeler, ProcessLabelReader } from '../host/selinux/ports.js';
import type { Log } from '../log.js';
import type { EffectiveClass } from '../policy/types.js';
import { printable } from '../printable.js';
import { VIOLATIONS, type Violation, type ViolationReason } from '../svirt/judge.js';
import { parseLabel } from '../svirt/label.js';
import type { Counters } from './counters.js';
import type { LabelState } from './label-state.js';
import { instanceOf } from './originals.js';

export interface LabelActionsOptions {
  readonly inventory: Pick<Inventory, 'all' | 'get'>;
  readonly libvirt: Pick<LibvirtClient, 'suspend'>;
  readonly images: FileLabelReader & ImageRelabeler;
  readonly processLabel: ProcessLabelReader;
  readonly state: LabelState;
  readonly counters: Counters;
  readonly log: Log;
  nowMs(): number;
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
    const { counters, libvirt, log, mayAct, nowMs, state } = this.#options;
    const { security, facts, uuid, name } = domain;
    const severe = (security?.violations ?? []).filter(isItsOwn);
    if (severe.length === 0 || domain.state !== 'running' || facts?.id == null) return;
    const instance = instanceOf(domain);
    const violations = severe.map(({ reason, others }) => [reason, ...others].join(' ')).sort();
    const before = state.current.suspended[uuid];
    const known = before?.instance === instance ? before.violations : [];
    if (violations.every((one) => known.includes(one))) return;
    // Looked at once more: suspending a guest for what is over would be harm done for nothing.
    const worn = domain.process === null ? null : this.#options.processLabel(domain.process.pid);
    if (worn !== security?.process) return;
    const entry = { instance, violations: [...new Set([...known, ...violations])], atMs: nowMs() };
    await state.change({ suspended: { ...state.current.suspended, [uuid]: entry } });
    if (!mayAct(domain)) return;
    const outcome = await libvirt.suspend(uuid, facts.id);
    const reasons = severe.map(({ reason }) => reason);
    if (outcome.ok) {
      counters.suspensions++;
      log.error(
        'svirt.suspended',
        { domain: name, uuid, reasons },
        'suspended, as its class asks; `virsh resume` ends it',
      );
      return;
    }
    // Not done: tried again.
    const { [uuid]: _undone, ...others } = state.current.suspended;
    await state.change({ suspended: before === undefined ? others : { ...others, [uuid]: before } });
    if (outcome.failure !== 'vanished') {
      log.error('svirt.suspend_failed', { domain: name, uuid, reasons, reason: outcome.message });
    }
  }

  async #mendImages(domain: Domain): Promise<void> {
    const { counters, images, log, nowMs } = this.#options;
    const { facts, security, name, uuid } = domain;
    const said = facts?.seclabels?.find(({ model }) => model === 'selinux');
    const label = said?.imagelabel ?? null;
    if (label === null || facts === null || security === null || !parseLabel(label).ok) return;
    if (!security.violations.some(({ reason }) => IMAGE_REASONS.includes(reason))) return;
    const allowedTypes = security.host.imageTypes.length > 0 ? security.host.imageTypes : IMAGE_TYPES;
    for (const { target, path, readOnly, shareable, unlabelled } of facts.tuning.disks) {
      // What several guests share, or libvirt leaves alone, has no label that could be known here.
      if (path === null || readOnly || shareable === true || unlabelled === true) continue;
      const key = `${uuid} ${path}`;
      if (nowMs() < (this.#tried.get(key) ?? 0)) continue;
      this.#tried.set(key, nowMs() + IMAGE_RETRY_MS);
      const [found] = await images.read([path]);
      if (found === undefined || found.label === null || found.label === label) continue;
      const outcome = await images.relabel({ path, label, allowedTypes, expected: found.label });
      const fields = { domain: name, uuid, target, path: printable(path, 1024), label };
      if (outcome.ok) {
        counters.imageRelabels++;
        log.warn('svirt.image_relabelled', { ...fields, from: printable(outcome.from, 512) });
      } else log.error('svirt.image_relabel_failed', { ...fields, code: outcome.code, reason: outcome.reason });
    }
  }

  /** A violation that is over, or an instance that is gone, counts no more. */
  async #forgetEnded(): Promise<void> {
    const { inventory, log, nowMs, state } = this.#options;
    for (const [key, notBeforeMs] of this.#tried) if (nowMs() > notBeforeMs) this.#tried.delete(key);
    const { suspended } = state.current;
    const kept = Object.entries(suspended).filter(([uuid, { instance }]) => {
      const domain = inventory.get(uuid);
      if (domain === null || domain.process === null || instanceOf(domain) !== instance) return false;
      return domain.state === 'paused' || (domain.security?.violations.some(isItsOwn) ?? true);
    });
    if (kept.length === Object.keys(suspended).length) return;
    await state.change({ suspended: Object.fromEntries(kept) }).catch((error: Error) => {
      log.error('svirt.state_unsaved', { reason: error.message });
    });
  }
}

/** Where another guest is at fault, stopping this one closes no gap. */
function isItsOwn({ reason }: Violation): boolean {
  return VIOLATIONS[reason].suspendHelps;
}
