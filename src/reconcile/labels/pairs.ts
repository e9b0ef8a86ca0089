/**
 * Who of libvirt's guests has which pair of categories for its static label: gives one to every guest whose class asks
 * for one, another where somebody else turns out to wear what clashes with it, and takes it back when nothing of it is
 * left in the definition, in the process and in our records.
 */
import { SECLABEL_SETTING, svirtLabel, wishOf } from '../../controls/svirt-label.js';
import type { Inventory } from '../../domains/inventory.js';
import type { Domain } from '../../domains/types.js';
import type { Log } from '../../log.js';
import type { EffectiveClass } from '../../policy/types.js';
import { InUse } from '../../svirt/allocator.js';
import { type CategorySet, equalCategories } from '../../svirt/categories.js';
import { parseLabel } from '../../svirt/label.js';
import { parseSeclabelText, seclabelText } from '../../svirt/seclabel.js';
import type { Journal } from '../journal.js';
import type { LabelRegister } from './register.js';

export interface LabelPairsOptions {
  readonly inventory: Pick<Inventory, 'all' | 'get' | 'complete'>;
  readonly register: LabelRegister;
  readonly journal: Pick<Journal, 'get'>;
  readonly log: Log;
  /** False for a lone look, in observe mode, under the kill switch: nothing is given and nothing taken. */
  mayAssign(): boolean;
  classOf(domain: Domain): EffectiveClass | null;
  /** An operator wants it left alone. */
  isHandsOff(uuid: string): boolean;
  /** A policy is in force: without one nobody knows who needs what. */
  hasPolicy(): boolean;
}

/** uuid → what its process wears. */
export type Worn = ReadonlyMap<string, CategorySet>;

interface Due {
  readonly domain: Domain;
  readonly pool: readonly number[] | null;
}

export class LabelPairs {
  readonly #options: LabelPairsOptions;
  readonly #problems = new Map<string, string>();
  #running: Promise<void> | null = null;
  /** A pair was given or taken: look at the guest. */
  onChange: (uuid: string) => void = () => undefined;

  constructor(options: LabelPairsOptions) {
    this.#options = options;
  }

  pairOf(uuid: string): readonly [number, number] | null {
    return this.#options.register.pairOf(uuid);
  }

  problemOf(uuid: string): string | null {
    return this.#problems.get(uuid) ?? null;
  }

  /** Goes on beside the cycle: a record is on disk before anybody is told of a pair. */
  settle(worn: Worn): void {
    this.#running ??= this.#settle(worn)
      .catch((error: Error) => {
        this.#options.log.error('svirt.register_failed', { reason: error.message });
      })
      .finally(() => {
        this.#running = null;
      });
  }

  /** Resolves when nothing is being assigned. */
  async idle(): Promise<void> {
    await this.#running;
  }

  async #settle(worn: Worn): Promise<void> {
    const { hasPolicy, inventory, mayAssign, register } = this.#options;
    await register.load({ readOnly: !mayAssign() });
    if (!mayAssign() || !hasPolicy()) return;
    const wanting = new Map(inventory.all().flatMap((domain) => this.#wish(domain).map((due) => [domain.uuid, due])));
    await this.#takeUp(wanting);
    await this.#takeBack(wanting, worn);
    const used = new InUse(worn.values());
    for (const [uuid, due] of wanting) {
      if (this.#isDue(due, worn, used)) await this.#assign(due, worn);
      else if (this.#problems.delete(uuid)) this.onChange(uuid);
    }
  }

  /** What stands in a definition by our doing is its guest's, though the register has lost it. */
  async #takeUp(wanting: ReadonlyMap<string, Due>): Promise<void> {
    const { journal, log, register } = this.#options;
    const lost = [...wanting.values()].flatMap(({ domain }) => {
      const { facts, name, uuid } = domain;
      if (register.pairOf(uuid) !== null) return [];
      const text = seclabelText(facts?.definitionSeclabels?.find(({ model }) => model === 'selinux') ?? null);
      const ours = journal.get(uuid, svirtLabel.id)?.settings[SECLABEL_SETTING]?.written.includes(text) === true;
      const categories = ours ? pairIn(text) : null;
      return categories === null ? [] : [{ uuid, name, categories }];
    });
    if (lost.length === 0) return;
    await register.rebuild(lost);
    for (const { uuid, name, categories } of lost) {
      log.warn('svirt.pair_taken_up', { domain: name, uuid, pair: categories }, 'the register had lost it');
      this.onChange(uuid);
    }
  }

  #wish(domain: Domain): Due[] {
    const { classOf, isHandsOff } = this.#options;
    const effective = domain.source === 'libvirt' && domain.facts?.persistent === true ? classOf(domain) : null;
    if (effective === null || isHandsOff(domain.uuid) || wishOf(effective, domain)?.mode !== 'static') return [];
    const pool = effective.values.get('svirt.categories')?.value as readonly number[] | undefined;
    return [{ domain, pool: pool ?? null }];
  }

  #isDue({ domain: { uuid }, pool }: Due, worn: Worn, used: InUse): boolean {
    const pair = this.#options.register.pairOf(uuid);
    if (pair === null || (pool !== null && !pair.every((category) => pool.includes(category)))) return true;
    const own = worn.get(uuid);
    if (own !== undefined) used.remove(own);
    const clashes = !used.isFree(pair[0], pair[1]);
    if (own !== undefined) used.add(own);
    return clashes;
  }

  async #assign({ domain: { uuid, name }, pool }: Due, worn: Worn): Promise<void> {
    const { log, register } = this.#options;
    const others = [...worn].flatMap(([one, categories]) => (one === uuid ? [] : [categories]));
    const before = register.pairOf(uuid);
    try {
      const pair = await register.assign(uuid, name, pool, others);
      if (pair === null) this.#problems.set(uuid, 'no pair of its categories is free');
      else {
        this.#problems.delete(uuid);
        if (before?.join() !== pair.join()) log.info('svirt.pair_assigned', { domain: name, uuid, pair, before });
      }
    } catch (error) {
      this.#problems.set(uuid, `its categories cannot be put on record: ${(error as Error).message}`);
    }
    this.onChange(uuid);
  }

  async #takeBack(wanting: ReadonlyMap<string, Due>, worn: Worn): Promise<void> {
    const { inventory, journal, log, register } = this.#options;
    for (const { uuid, name, by, categories } of register.entries()) {
      if (by !== 'definition' || wanting.has(uuid) || journal.get(uuid, svirtLabel.id) !== null) continue;
      // A guest that nobody has described may want it in a moment.
      const domain = inventory.get(uuid);
      if (domain === null ? !inventory.complete : domain.facts === null) continue;
      const wears = worn.get(uuid);
      if (categories !== null && wears !== undefined && equalCategories(wears, categories)) continue;
      await register.release(uuid);
      this.#problems.delete(uuid);
      log.info('svirt.pair_returned', { domain: name, uuid, pair: categories });
    }
  }
}

function pairIn(text: string): readonly [number, number] | null {
  const parsed = parseLabel(parseSeclabelText(text)?.label ?? '');
  const [low, high, more] = parsed.ok ? parsed.label.high.categories : [];
  return low === undefined || high === undefined || more !== undefined ? null : [low, high];
}
