/**
 * The picture of every domain as the last look left it, from which snapshots are made. Built for a domain when it is
 * planned, put together when someone asks.
 */
import type { Amount, Control, Desired, Override, Setting, Sight } from '../controls/control.js';
import { guaranteedCores, onlineVcpus } from '../controls/guaranteed-cores.js';
import { SVIRT_LABEL } from '../controls/svirt-label.js';
import { type GuestSignals, NO_SIGNALS } from '../domains/accounts.js';
import type { Domain } from '../domains/types.js';
import type { EffectiveClass } from '../policy/types.js';
import type { LabelSnapshot, SaveRestoreSnapshot } from '../snapshot/security.js';
import type {
  AmountSnapshot,
  ControlSnapshot,
  ControlStatus,
  DomainSnapshot,
  SettingSnapshot,
} from '../snapshot/types.js';
import { VIOLATIONS } from '../svirt/judge.js';
import type { WriteOutcome } from './apply.js';
import type { Contention } from './contested.js';
import type { HandsOff } from './hands-off.js';
import type { JournalRecord } from './journal-format.js';
import type { ControlPlan, DomainPlan, SettingState } from './plan.js';

export interface PictureSources {
  handsOff(uuid: string): HandsOff | null;
  record(uuid: string, control: string): JournalRecord | null;
  /** The class that the policy gives the domain, hands-off or not. */
  classOf(domain: Domain): EffectiveClass | null;
  /** What a released guest would be held to; for the display only. */
  asIfManaged(domain: Domain): DomainPlan;
  sight(uuid: string): Sight;
  /** Why nothing is written now; null when writing is allowed. */
  stopped(): string | null;
  /** Why libvirt could not be told the last time; null when it was. */
  tellFailure(uuid: string, control: string): string | null;
  readonly contention: Contention;
  monotonicMs(): number;
  signals(uuid: string): GuestSignals;
  objectives(uuid: string): DomainSnapshot['objectives'];
  /** Suspended by us for a violation of its label. */
  isSuspended(domain: Domain): boolean;
  saveRestore(uuid: string): SaveRestoreSnapshot | null;
}

export class Picture {
  readonly #sources: PictureSources;
  readonly #domains = new Map<string, DomainSnapshot>();

  constructor(sources: PictureSources) {
    this.#sources = sources;
  }

  note(plan: DomainPlan, outcomes: readonly WriteOutcome[]): void {
    this.#domains.set(plan.domain.uuid, this.describe(plan, outcomes));
  }

  get(uuid: string): DomainSnapshot | null {
    return this.#domains.get(uuid) ?? null;
  }

  forget(uuid: string): void {
    this.#domains.delete(uuid);
  }

  domains(): DomainSnapshot[] {
    return [...this.#domains.values()].map((one) => ({
      ...one,
      ...this.#sources.signals(one.uuid),
      objectives: this.#sources.objectives(one.uuid),
    }));
  }

  describe(plan: DomainPlan, outcomes: readonly WriteOutcome[]): DomainSnapshot {
    const { domain } = plan;
    const handsOff = this.#sources.handsOff(domain.uuid);
    const effective = plan.effective ?? this.#sources.classOf(domain);
    const shown = handsOff?.kind === 'released' && domain.process !== null ? this.#sources.asIfManaged(domain) : plan;
    // Of a guest that does not run, what its definition says.
    const away = domain.process === null && domain.obstacle === null;
    const controls = shown.controls
      .filter(({ control }) => !away || control.lasting === true)
      .map((control) => this.#describeControl(control, { domain, effective }, outcomes, handsOff))
      .filter((control) => control !== null);
    const vcpus = onlineVcpus(domain);
    return {
      uuid: domain.uuid,
      name: domain.name,
      source: domain.source,
      id: domain.facts?.id ?? null,
      state: domain.state,
      className: effective?.name ?? null,
      assignedBy: effective?.assignment ?? null,
      priority: effective?.priority ?? null,
      openSchedules: effective?.openSchedules ?? [],
      vcpus,
      pid: domain.process?.pid ?? null,
      cgroup: domain.cgroup?.domainDir ?? null,
      handsOff: handsOff === null ? null : { kind: handsOff.kind, untilMs: handsOff.untilMs },
      obstacle: obstacleOf(domain),
      guaranteedCores: effective === null ? null : (guaranteedCores(effective, vcpus)?.cores ?? null),
      compliant:
        (effective === null || domain.obstacle === null) &&
        (domain.facts !== null || domain.process === null) &&
        controls.every(({ status }) => status === 'holds' || status === 'unsupported'),
      controls,
      ...NO_SIGNALS,
      objectives: [],
      label: this.#labelOf(domain, controls),
    };
  }

  #labelOf(domain: Domain, controls: readonly ControlSnapshot[]): LabelSnapshot | null {
    const { process, security, uuid } = domain;
    const saveRestore = this.#sources.saveRestore(uuid);
    if (security?.host.model !== 'selinux' || (process === null && saveRestore === null)) return null;
    const control = controls.find(({ id }) => id === SVIRT_LABEL);
    return {
      process: security.process,
      defined: control?.settings[0]?.desired ?? null,
      pendingRestart: control?.status === 'pending-restart',
      violations: security.violations.map(({ reason, detail }) => {
        return { reason, detail, severity: VIOLATIONS[reason].severity };
      }),
      suspended: this.#sources.isSuspended(domain),
      saveRestore,
    };
  }

  #describeControl(
    plan: ControlPlan,
    shown: Shown,
    outcomes: readonly WriteOutcome[],
    handsOff: HandsOff | null,
  ): ControlSnapshot | null {
    const { control, desired } = plan;
    const { domain } = shown;
    const own = outcomes.filter((one) => one.control === control.id);
    const states = plan.states.map(({ setting, actual }): SettingState => {
      const applied = own.some((one) => one.outcome === 'applied' && one.write.key === setting.key);
      return { setting, actual: applied ? setting.text : actual };
    });
    if (desired.kind === 'unmanaged' && states.every(({ setting, actual }) => setting.text === actual)) return null;
    const texts = new Map(states.map(({ setting, actual }) => [setting.key, actual]));
    const { status, reason } = this.#statusOf(plan, states, shown, own, handsOff);
    const asked = desired.kind === 'unmanaged' ? null : desired.asked;
    const ownKey = control.keys[0]?.key ?? control.id;
    const askedKey = desired.kind === 'unmanaged' ? ownKey : (desired.askedKey ?? ownKey);
    const tellFailure = this.#sources.tellFailure(domain.uuid, control.id);
    return {
      id: control.id,
      status,
      reason,
      desired: desired.kind === 'set' ? desired.display : (asked?.text ?? null),
      actual: states.length === 0 ? null : (control.displayOf?.(texts, domain) ?? null),
      amounts: amountsOf(desired, states.length === 0 ? [] : (control.amountsOf?.(texts, domain) ?? [])),
      settings: states.map((state) => this.#describeSetting(plan, state, domain)),
      asked:
        asked === null
          ? null
          : { key: askedKey, text: asked.text, source: asked.source, schedule: asked.schedule ?? null },
      notes: [
        ...(desired.kind === 'set' ? desired.notes : []),
        ...(tellFailure === null || status === 'failed' ? [] : [`libvirt's own view is behind: ${tellFailure}`]),
      ],
    };
  }

  #describeSetting({ control }: ControlPlan, { setting, actual }: SettingState, domain: Domain): SettingSnapshot {
    const original = this.#sources.record(domain.uuid, control.id)?.settings[setting.key]?.original ?? null;
    return {
      key: setting.key,
      path: setting.path,
      desired: setting.text,
      actual,
      original: original?.text ?? null,
      originalFrom: original?.from ?? null,
      owner: ownerOf(setting, control, domain),
    };
  }

  #statusOf(
    plan: ControlPlan,
    states: readonly SettingState[],
    { domain, effective }: Shown,
    own: readonly WriteOutcome[],
    handsOff: HandsOff | null,
  ): { status: ControlStatus; reason: string | null } {
    const { control, desired } = plan;
    if (desired.kind === 'unsupported' || desired.kind === 'refused')
      return { status: desired.kind, reason: desired.reason };
    const differs = states.filter(({ setting, actual }) => actual !== setting.text);
    const nowMs = this.#sources.monotonicMs();
    const contested = states.some(({ setting }) =>
      this.#sources.contention.isContested(domain.uuid, setting.key, nowMs),
    );
    if (contested)
      return { status: 'contested', reason: 'someone rewrites it again and again; repairs are spaced out' };
    if (differs.length === 0) {
      const sight = this.#sources.sight(domain.uuid);
      return heldStatus(control.overriddenBy?.(desired, domain, sight, effective) ?? null);
    }
    if (handsOff !== null) return { status: 'hands-off', reason: handsOff.kind };
    if (domain.state === 'starting' && control.early !== true)
      return { status: 'pending', reason: 'set once the guest has started' };
    // What others set for us has failed when they said so, not when they were asked.
    const failure =
      own.find((one) => one.outcome === 'failed')?.message ??
      differs.map(({ setting }) => this.#sources.contention.failure(domain.uuid, setting.key)).find(Boolean) ??
      this.#sources.tellFailure(domain.uuid, control.id);
    if (failure !== null) return { status: 'failed', reason: failure };
    const unread = differs.find(({ actual }) => actual === null);
    if (unread !== undefined) {
      const why = this.#sources.sight(domain.uuid).problem(unread.setting);
      return { status: 'pending', reason: why ?? 'what stands there cannot be read yet' };
    }
    return { status: 'pending', reason: this.#sources.stopped() ?? 'a change is under way' };
  }
}

interface Shown {
  readonly domain: Domain;
  readonly effective: EffectiveClass | null;
}

function heldStatus(override: Override | null): { status: ControlStatus; reason: string | null } {
  if (override === null) return { status: 'holds', reason: null };
  const { status = 'overridden', reason, path } = override;
  return { status, reason: path === null ? reason : `${reason} (${path})` };
}

/** Why a running guest cannot be acted on. */
function obstacleOf({ obstacle, facts, process }: Domain): string | null {
  return obstacle ?? (facts === null && process !== null ? 'libvirt has not described it yet: left as it is' : null);
}

/** Desired and actual of the same metric and labels side by side. */
function amountsOf(desired: Desired, actual: readonly Amount[]): AmountSnapshot[] {
  const wanted = desired.kind === 'set' ? desired.amounts : [];
  const at = ({ metric, labels }: Amount): string => JSON.stringify([metric, labels]);
  const keys = new Map([...wanted, ...actual].map((one) => [at(one), one]));
  return [...keys].map(([key, { metric, labels }]) => ({
    metric,
    labels,
    desired: wanted.find((one) => at(one) === key)?.value,
    actual: actual.find((one) => at(one) === key)?.value,
  }));
}

function ownerOf({ key, path, writer }: Setting, control: Control, domain: Domain): SettingSnapshot['owner'] {
  // cpu.weight of a scope goes through libvirt, and is systemd's; QEMU's throttle and a tap's queue are libvirt's.
  if (writer === 'systemd' || (writer === 'libvirt' && path.startsWith('/'))) return 'systemd';
  if (writer === 'libvirt') return 'libvirt';
  const said =
    domain.source === 'bare' || domain.facts === null ? undefined : control.fromXml?.(key, domain.facts.tuning, domain);
  return said === undefined || said.from === 'kernel' ? 'virtslad' : 'libvirt';
}
