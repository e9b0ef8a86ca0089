/** The text of plan, status, explain, apply, history and errors, against golden files; and their rules of layout. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { renderApply } from '../../src/cli/render/apply.js';
import { widthOf } from '../../src/cli/render/cell.js';
import { renderDomainStatus } from '../../src/cli/render/domain.js';
import { renderExplain } from '../../src/cli/render/explain.js';
import { renderHistory } from '../../src/cli/render/history.js';
import { renderPlan, summaryOf } from '../../src/cli/render/plan.js';
import { renderProblems } from '../../src/cli/render/problems.js';
import { renderStatus, renderStatusTable } from '../../src/cli/render/status.js';
import type { Reader } from '../../src/cli/render/words.js';
import type { PlannedChange } from '../../src/reconcile/types.js';
import type { DomainSnapshot, Snapshot } from '../../src/snapshot/types.js';
import {
  CPU_IDLE,
  FIXTURE_AT_MS,
  fixtureDomain,
  fixtureSnapshot,
  fixtureWeight,
  HOSTILE_NAME,
} from '../fixtures/snapshot.js';
import { fixtureApply, fixtureHistory, fixturePlan, fixtureQuietPlan } from './fixture-plan.js';
import { golden } from './golden.js';

const READER: Reader = { color: false, width: null, timeZone: 'Europe/Berlin', nowMs: FIXTURE_AT_MS + 3_000 };
const snapshot = fixtureSnapshot();

function named(name: string): DomainSnapshot {
  return snapshot.domains.find((domain) => domain.name === name) ?? assert.fail(name);
}

/** Everything but line ends that acts on a terminal. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
const ACTS = /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;

describe('plan', () => {
  test('as text', () => golden('plan.txt', renderPlan(fixturePlan(), READER)));
  test('verbose, in colour', () =>
    golden('plan-verbose-colour.txt', renderPlan(fixturePlan(), { ...READER, color: true }, { verbose: true })));
  test('with nothing to do', () => golden('plan-nothing.txt', renderPlan(fixtureQuietPlan(), READER)));
  test('says what stands in its way', () => {
    const changes: Partial<Snapshot> = {
      mode: 'observe',
      killSwitch: true,
      pendingGeneration: { id: '77ab01cd90ef', domainsAffected: 9, domainsTotal: 10, allowed: 5 },
      host: { ...snapshot.host, weightSum: 2000 },
    };
    golden('plan-obstacles.txt', renderPlan(fixturePlan(changes), READER));
  });
  test('says of groups above guests which, and how much', () => {
    const base = {
      uuid: 'host',
      domain: 'host',
      className: null,
      control: 'host.memory-guarantee',
      source: null,
    } as const;
    const at = (path: string, to: string): PlannedChange => {
      return { ...base, key: path, path, action: 'add', from: '0', to, why: 'policy' };
    };
    const root = '/sys/fs/cgroup/machine.slice';
    const changes = [at(`${root}/memory.low`, '2147483648'), at(`${root}/memory.min`, '1073741824')];
    assert.match(
      renderPlan({ ...fixturePlan(), changes }, READER),
      /^ {2}\+ host\.memory-guarantee {2}machine\.slice\/memory\.low 0B → 2GiB {2}policy\n {2}\+ host\.memory-guarantee {2}machine\.slice\/memory\.min 0B → 1GiB {2}policy$/m,
    );
  });
  test('says of the io cost controller for which disk', () => {
    const base = { uuid: 'host', domain: 'host', className: null, control: 'host.io-cost', source: null } as const;
    const path = '/sys/fs/cgroup/io.cost.qos';
    const at = (device: string, from: string, to: string, action: PlannedChange['action']): PlannedChange => {
      return { ...base, key: `io.cost.qos ${device}`, path, action, from, to, why: 'policy' };
    };
    const changes = [at('8:0', 'enable=0', 'enable=1', 'add'), at('8:16', 'enable=0', 'enable=1', 'add')];
    const text = renderPlan({ ...fixturePlan(), changes }, READER);
    assert.match(text, /^ {2}\+ host\.io-cost +8:0 off → on +policy\n {2}\+ host\.io-cost +8:16 off → on +policy$/m);
  });
  test('a long value does not push the short ones aside', () => {
    const plan = fixturePlan();
    const [guest] = plan.changes;
    assert.ok(guest !== undefined);
    const long = { ...guest, control: 'not.ours', from: 'x'.repeat(90), to: 'y' } as const;
    const short = { ...guest, control: 'cpu.weight', action: 'restore', from: '7', to: '100' } as const;
    const domains = plan.snapshot.domains.map((domain) => ({ ...domain, controls: [] }));
    const text = renderPlan({ ...plan, snapshot: { ...plan.snapshot, domains }, changes: [long, short] }, READER);
    assert.match(text, /^ {2}- cpu\.weight {2}7 → 100 /m);
  });
  test('the summary counts controls, not vCPUs', () => {
    assert.equal(
      summaryOf(fixturePlan()),
      '4 guests: 2 to add, 2 to change, 1 to restore; 1 refused; 1 unsupported; 1 guest already holds; 1 guest left alone',
    );
  });
  test('a restore is said in the words of its control', () => {
    const plan = fixturePlan();
    const v1 = { ...plan.snapshot, host: { ...plan.snapshot.host, cpuVersion: 1 as const } };
    const restores = plan.changes.flatMap((change) => {
      if (change.action !== 'restore') return [];
      const limit = { ...change, control: 'cpu.limit', key: 'vcpu0/cpu.max', from: '20000 100000', to: 'max 100000' };
      return [{ ...change, from: '307', to: '1024' }, limit];
    });
    const text = renderPlan({ ...plan, snapshot: v1, changes: restores }, READER);
    assert.match(text, /- cpu\.weight +30 \(307 shares\) → 100 \(1024 shares\) +no longer asked for/);
    assert.match(text, /- cpu\.limit +0\.20 cores \(20% of 1 vCPU\) → no quota +no longer asked for/);
  });
  test('without libvirt nothing is said to be done already', () => {
    const libvirt = { ...snapshot.libvirt, connected: false };
    const plan = fixtureQuietPlan();
    const text = renderPlan({ ...plan, snapshot: { ...plan.snapshot, libvirt, domains: [] } }, READER);
    assert.match(text, /^Not known: libvirt is away/);
    assert.doesNotMatch(text, /Nothing to do/);
  });
  test('a reason shared by many guests is said once', () => {
    const plan = fixturePlan();
    const text = renderPlan(plan, READER);
    assert.equal(text.split('this control is not built yet').length - 1, 1);
    assert.match(text, /memory\.guarantee unsupported: this control is not built yet \(db-1, db-2\)/);
  });
});

describe('status', () => {
  test('as text', () => golden('status.txt', renderStatus(snapshot, READER, 'daemon')));
  test('says for which disks the io cost controller was switched on, and what is amiss', () => {
    const on = { desired: true, actual: true, ours: true, status: 'holds', reason: null } as const;
    const ioCost = [
      { ...on, device: '8:0', name: 'sda' },
      { ...on, device: '8:16', name: 'sdb', ours: false },
      {
        ...on,
        device: '8:32',
        name: 'sdc',
        actual: false,
        status: 'failed',
        reason: 'the kernel\u001b refused',
      } as const,
    ];
    const text = renderStatus({ ...snapshot, host: { ...snapshot.host, ioCost } }, READER, 'daemon');
    const lines = text.split('\n').filter((line) => line.startsWith('io cost'));
    assert.deepEqual(lines, [
      'io cost      switched on by virtslad for sda (8:0), so that disk weights count',
      'io cost      sdc (8:32) is off, on needed; failed: the kernel\\u001b refused',
    ]);
  });
  test('at 80 columns', () => golden('status-80.txt', renderStatus(snapshot, { ...READER, width: 80 }, 'daemon')));
  test('in colour', () =>
    golden('status-colour.txt', renderStatus(snapshot, { ...READER, width: 120, color: true }, 'daemon')));
  test('of a host in trouble, without a daemon', () => {
    const broken = fixtureSnapshot({
      generation: null,
      pendingGeneration: null,
      policyProblems: [
        '/etc/virtslad/policies.d/10-gold.yaml:3:5: unknown key "cpuu" [POLICY_UNKNOWN_KEY]; did you mean "cpu"?',
      ],
      lastReloadSuccessful: false,
      killSwitch: true,
      handsOffAll: true,
      lacks: ['journal: was damaged and set aside', 'PSI: /proc/pressure is missing'],
      libvirt: { ...snapshot.libvirt, connected: false, lastError: 'Connection refused\u001b[2J' },
      host: { ...snapshot.host, weightSum: 2000, guaranteedCores: 17.5 },
      domains: [],
    });
    golden('status-trouble.txt', renderStatus(broken, READER, 'local'));
  });
  test('of a host with all guests released names the ones resumed since', () => {
    const released = { kind: 'released', untilMs: null } as const;
    const domains = [
      fixtureDomain(1, { name: 'db-1', className: 'gold' }),
      fixtureDomain(2, { name: 'web-1', className: 'gold', handsOff: released }),
      fixtureDomain(3, { name: 'foreign', handsOff: released }),
    ];
    const text = renderStatus(fixtureSnapshot({ domains, handsOffAll: true }), READER, 'daemon');
    assert.match(text, /every guest is released but db-1, until virtslad resume --all/);
    assert.match(text, /foreign .* not managed$/m);
    const held = domains.slice(1, 2).map((domain) => ({ ...domain, handsOff: { ...released, kind: 'held' as const } }));
    const damaged = renderStatus(fixtureSnapshot({ domains: held, handsOffAll: true }), READER, 'daemon');
    assert.match(damaged, /every guest is held, until virtslad resume --all/);
  });
  test('of one guest', () => {
    golden('status-web-1.txt', renderDomainStatus(named('web-1'), snapshot, { ...READER, width: 100 }, 'daemon'));
  });
  test('no line is wider than the terminal, down to 60 columns', () => {
    for (const width of [60, 72, 80, 100, 120, 160, 250]) {
      for (const line of renderStatusTable(snapshot, { width }).split('\n')) {
        assert.ok(widthOf(line) <= width, `${widthOf(line)} > ${width}: ${line}`);
      }
    }
  });
  test('columns line up, with wide characters and combining marks too', () => {
    const domains = ['数据库', 'e\u0301clair', 'plain-name'].map((name, index) =>
      fixtureDomain(index + 1, { name, className: 'gold', cpu: CPU_IDLE }),
    );
    const lines = renderStatusTable(fixtureSnapshot({ domains })).trimEnd().split('\n');
    const columns = lines.map((line) =>
      widthOf(line.slice(0, line.indexOf(lines.indexOf(line) === 0 ? 'CLASS' : 'gold'))),
    );
    assert.deepEqual(new Set(columns).size, 1, lines.join('\n'));
  });
  test('with an earlier snapshot there is a column of what was used then', () => {
    const cpu = { ...CPU_IDLE, usedCores: 0.94 };
    const before = fixtureSnapshot({ domains: [fixtureDomain(3, { name: 'batch-1', cpu })] });
    const lines = renderStatusTable(snapshot, { previous: before }).split('\n');
    assert.match(lines[0] ?? '', /STATE\s+BEFORE\s+CPU\s+LIMIT/);
    assert.match(lines.find((line) => line.startsWith('batch-1')) ?? '', /running\s+0\.94\s+0\.20\s+0\.20/);
    assert.match(lines.find((line) => line.startsWith('db-1')) ?? '', /running\s+–\s+1\.42\s+none/);
  });
  test('the worst comes first', () => {
    const order = renderStatusTable(snapshot)
      .split('\n')
      .slice(1)
      .map((line) => line.slice(0, 7).trim());
    assert.ok(order.indexOf('web-1') < order.indexOf('batch-3'), 'not compliant before held');
    assert.ok(order.indexOf('batch-3') < order.indexOf('db-1'), 'held before compliant');
    assert.ok(order.indexOf('db-1') < order.indexOf('legacy'), 'compliant before unmanaged');
    assert.ok(order.indexOf('legacy') < order.indexOf('db-2'), 'running before shut off');
  });
  test('guests that share a name are told apart', () => {
    const twins = [fixtureDomain(1, { name: 'twin' }), fixtureDomain(2, { name: 'twin' })];
    const text = renderStatusTable(fixtureSnapshot({ domains: twins }));
    assert.match(text, /twin \(00000000-0000-4000-8000-000000000001\)/);
    assert.match(text, /twin \(00000000-0000-4000-8000-000000000002\)/);
  });
});

describe('explain', () => {
  test('a value that holds is not painted as one that differs', () => {
    const weight = fixtureWeight(1, 30, 30, { actual: '30 (307 shares)' });
    const [held, drifted] = [weight, fixtureWeight(1, 30, 100)].map((control) => {
      const domain = fixtureDomain(1, { className: 'gold', controls: [control] });
      return renderExplain(domain, snapshot, { ...READER, color: true }, 'daemon');
    });
    assert.ok(!held?.includes('\u001b[31m30'), held);
    assert.ok(drifted?.includes('\u001b[31m100'), drifted);
  });
  for (const name of ['db-1', 'batch-1', 'batch-3', 'bare-1', 'legacy', 'db-2']) {
    test(name, () => golden(`explain-${name}.txt`, renderExplain(named(name), snapshot, READER, 'daemon')));
  }
  test('names for every control the values, the file, the owner, the original and the policy position', () => {
    for (const name of ['web-1', 'batch-1', 'batch-3']) {
      const domain = named(name);
      const text = renderExplain(domain, snapshot, READER, 'daemon');
      for (const control of domain.controls) {
        const source = control.asked?.source;
        const facts = [
          control.id,
          control.desired,
          control.actual,
          `${source?.file}:${source?.line}:${source?.column}`,
        ];
        for (const setting of control.settings) facts.push(setting.path, `original       "${setting.original}"`);
        for (const fact of facts) assert.ok(fact === null || text.includes(fact), `${name}: ${fact}\n${text}`);
      }
    }
  });
});

describe('apply, history, errors', () => {
  test('apply', () => golden('apply.txt', renderApply(fixtureApply(), READER)));
  test('apply that was stopped', () => {
    const report = {
      ...fixtureApply(),
      changes: [],
      outcomes: [],
      stopped: 'the kill switch /run/virtslad/stop is there',
    };
    golden('apply-stopped.txt', renderApply(report, READER));
  });
  test('history', () => golden('history.txt', renderHistory(fixtureHistory(), READER)));
  test('errors', () => {
    const text = renderProblems(
      [
        {
          code: 'CONFIG_VALUE',
          message: 'mode does not accept "on\u001b[2J"',
          where: { file: '/etc/virtslad/virtslad.yaml', line: 3, column: 7 },
          fix: 'write enforce or observe',
        },
        { code: 'CONFIG_NOT_FOUND', message: 'the file does not exist', where: '/etc/x.yaml', fix: 'create it' },
        { code: 'INTERNAL', message: 'oops', fix: 'report it' },
      ],
      'error',
      false,
    );
    golden('errors.txt', text);
  });
});

test('nothing that a guest is called reaches the terminal as more than text', () => {
  const evil = named(HOSTILE_NAME);
  const plan = fixturePlan();
  const first = plan.changes[0] ?? assert.fail();
  const texts = [
    renderStatus(snapshot, READER, 'daemon'),
    renderStatus(snapshot, { ...READER, width: 80 }, 'daemon'),
    renderExplain(evil, snapshot, READER, 'daemon'),
    renderDomainStatus(evil, snapshot, READER, 'daemon'),
    renderHistory(fixtureHistory(), READER),
    renderPlan({ ...plan, snapshot, changes: [{ ...first, uuid: evil.uuid, domain: evil.name }] }, READER),
    renderPlan({ ...plan, changes: [{ ...first, uuid: 'gone', domain: HOSTILE_NAME }] }, READER),
    renderApply(
      {
        ...fixtureApply(),
        outcomes: [{ uuid: '', domain: HOSTILE_NAME, control: 'c', outcome: 'applied', message: HOSTILE_NAME }],
      },
      READER,
    ),
  ];
  for (const text of texts) assert.doesNotMatch(text, ACTS);
  assert.match(texts[0] ?? '', /evil/);
});
