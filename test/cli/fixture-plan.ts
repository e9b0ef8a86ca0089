/** Plan and apply reports over the fixture snapshot: a first write, a repair, a schedule, a restore, a shared reason. */
import type { ApplyReport, HistoryEntry, PlannedChange, PlanReport } from '../../src/reconcile/types.js';
import type { ControlSnapshot, DomainSnapshot, Snapshot } from '../../src/snapshot/types.js';
import { FIXTURE_AT_MS, fixtureDomain, fixtureLimit, fixtureSnapshot, fixtureWeight } from '../fixtures/snapshot.js';

const DIRECTORY = '/etc/virtslad/policies.d';

export function position(file: string, line: number, column: number) {
  return { file: `${DIRECTORY}/${file}`, line, column };
}

const gold = { className: 'gold', assignedBy: position('10-gold.yaml', 14, 3), priority: 100 };
const bronze = { className: 'bronze', assignedBy: position('30-bronze.yaml', 10, 3), priority: 10 };

function notBuilt(key: string): ControlSnapshot {
  return {
    id: key,
    status: 'unsupported',
    reason: 'this control is not built yet',
    desired: null,
    actual: null,
    amounts: [],
    settings: [],
    asked: { key, text: '100%', source: position('10-gold.yaml', 7, 16), schedule: null },
    notes: [],
  };
}

/** Every setting of the control that differs, as the change that mends it. */
function changesOf(
  domain: DomainSnapshot,
  control: ControlSnapshot,
  how: Pick<PlannedChange, 'action' | 'why'>,
): PlannedChange[] {
  return control.settings.map((setting) => ({
    uuid: domain.uuid,
    domain: domain.name,
    className: domain.className,
    control: control.id,
    key: setting.key,
    path: setting.path,
    from: setting.actual,
    to: setting.desired,
    source: control.asked?.source ?? null,
    ...how,
  }));
}

export function fixturePlan(changes: Partial<Snapshot> = {}): PlanReport {
  const weight = fixtureWeight(1, 400, 100, { reason: 'a write is due' });
  const wide = fixtureLimit(1, 4, 50_000, null, { status: 'pending' });
  const db = fixtureDomain(1, {
    ...gold,
    name: 'db-1',
    vcpus: 4,
    compliant: false,
    controls: [weight, wide, notBuilt('memory.guarantee')],
  });
  const drifted = fixtureLimit(2, 2, 20_000, 80_000, { status: 'pending' });
  const web = fixtureDomain(2, { ...bronze, name: 'web-1', vcpus: 2, compliant: false, controls: [drifted] });
  const opened = fixtureLimit(3, 1, null, 20_000, {
    status: 'pending',
    asked: { key: 'cpu.limit', text: '100%', source: position('30-bronze.yaml', 14, 78), schedule: 'nightly-batch' },
  });
  const batch = fixtureDomain(3, { ...bronze, name: 'batch-1', compliant: false, controls: [opened] });
  const left = fixtureDomain(4, { name: 'scratch' });
  const holds = fixtureDomain(5, {
    ...gold,
    name: 'db-2',
    controls: [fixtureWeight(5, 400, 400), notBuilt('memory.guarantee')],
  });
  const refused = fixtureDomain(6, {
    ...bronze,
    name: 'batch-9',
    vcpus: 16,
    compliant: false,
    controls: [
      fixtureLimit(6, 16, null, null, {
        status: 'refused',
        reason: '0.1 cores over 16 vCPUs is under 1 % of each',
        desired: null,
      }),
    ],
  });
  const held = fixtureDomain(7, {
    ...bronze,
    name: 'batch-3',
    handsOff: { kind: 'held', untilMs: FIXTURE_AT_MS + 7_200_000 },
    compliant: false,
  });
  const restore: PlannedChange = {
    uuid: left.uuid,
    domain: left.name,
    className: null,
    control: 'cpu.weight',
    key: 'cpu.weight',
    path: '/sys/fs/cgroup/machine.slice/machine-qemu\\x2d4\\x2dguest.scope/cpu.weight',
    action: 'restore',
    from: '400',
    to: '100',
    why: 'leave',
    source: null,
  };
  return {
    generation: '3f9a1c20be47',
    snapshot: fixtureSnapshot({
      lacks: [],
      pendingGeneration: null,
      domains: [db, web, batch, left, holds, refused, held],
      ...changes,
    }),
    changes: [
      ...changesOf(db, weight, { action: 'add', why: 'policy' }),
      ...changesOf(db, wide, { action: 'add', why: 'policy' }),
      ...changesOf(web, drifted, { action: 'change', why: 'drift' }),
      ...changesOf(batch, opened, { action: 'change', why: 'schedule' }),
      restore,
    ],
  };
}

/** Nothing differs. */
export function fixtureQuietPlan(): PlanReport {
  const db = fixtureDomain(1, { ...gold, name: 'db-1', controls: [fixtureWeight(1, 400, 400)] });
  const domains = [db, fixtureDomain(2, { name: 'legacy' })];
  const snapshot = fixtureSnapshot({ lacks: [], pendingGeneration: null, domains });
  return { generation: '3f9a1c20be47', snapshot, changes: [] };
}

export function fixtureApply(): ApplyReport {
  const { generation, changes } = fixturePlan();
  const outcome = (number: number, domain: string, control: string) => ({
    uuid: `00000000-0000-4000-8000-${String(number).padStart(12, '0')}`,
    domain,
    control,
  });
  return {
    generation,
    changes,
    outcomes: [
      { ...outcome(1, 'db-1', 'cpu.weight'), outcome: 'applied', message: null },
      { ...outcome(1, 'db-1', 'cpu.limit'), outcome: 'applied', message: null },
      { ...outcome(1, 'db-1', 'memory.guarantee'), outcome: 'unsupported', message: 'this control is not built yet' },
      { ...outcome(2, 'web-1', 'cpu.limit'), outcome: 'failed', message: 'EIO: i/o error, write' },
      { ...outcome(3, 'batch-1', 'cpu.limit'), outcome: 'vanished', message: null },
      { ...outcome(5, 'db-2', 'cpu.weight'), outcome: 'unchanged', message: null },
      { ...outcome(5, 'db-2', 'memory.guarantee'), outcome: 'unsupported', message: 'this control is not built yet' },
    ],
    stopped: null,
  };
}

export function fixtureHistory(): HistoryEntry[] {
  const entry: HistoryEntry = {
    atMs: FIXTURE_AT_MS - 3_600_000,
    uuid: '00000000-0000-4000-8000-000000000001',
    domain: 'db-1',
    className: 'gold',
    control: 'cpu.limit',
    key: 'vcpu0/cpu.max',
    path: '/sys/fs/cgroup/machine.slice/x/vcpu0/cpu.max',
    from: 'max 100000',
    to: '50000 100000',
    why: 'policy',
    source: `${DIRECTORY}/10-gold.yaml:6:36`,
    generation: '3f9a1c20be47',
    outcome: 'applied',
    message: null,
  };
  return [
    entry,
    { ...entry, control: 'cpu.weight', key: 'cpu.weight', from: '100', to: '400', atMs: entry.atMs + 1 },
    {
      ...entry,
      atMs: entry.atMs + 60_000,
      from: '80000 100000',
      why: 'drift',
      outcome: 'failed',
      message: 'EIO: i/o error',
    },
    {
      ...entry,
      atMs: FIXTURE_AT_MS - 60_000,
      domain: 'evil\u001b[2J\n',
      uuid: entry.uuid.replace(/1$/, '2'),
      from: null,
    },
    { ...entry, atMs: FIXTURE_AT_MS - 1_000, from: '50000 100000', to: 'max 100000', why: 'release', source: null },
  ];
}
