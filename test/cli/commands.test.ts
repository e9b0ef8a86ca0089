/** Whole commands over fakes: who is asked (daemon or core), what is printed, which exit code. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { type ErrorCode, VirtsladError } from '../../src/errors.js';
import type { LocalSession } from '../../src/lone-command.js';
import type { ApplyReport, PlanReport } from '../../src/reconcile/types.js';
import { fixtureSnapshot } from '../fixtures/snapshot.js';
import { command, type FakeOptions, inDirectory } from './fake-host.js';
import { fixtureApply, fixtureHistory, fixturePlan, fixtureQuietPlan } from './fixture-plan.js';

const SOCKET = 'connect "/run/virtslad/virtslad.sock"';

function planning(report: PlanReport | VirtsladError): FakeOptions {
  const plan = async (): Promise<PlanReport> => {
    if (report instanceof VirtsladError) throw report;
    return report;
  };
  return { services: { openLocal: async () => ({ plan, commands: {} as never, close: async () => true }) } };
}

function failing(code: ErrorCode, how: 'open' | 'run' = 'open'): FakeOptions {
  const fail = async (): Promise<never> => {
    throw new VirtsladError({ code, message: 'no', fix: 'do' });
  };
  return { services: how === 'open' ? { openLocal: fail } : { runDaemon: fail } };
}

describe('exit codes', () => {
  const rows: readonly [words: string, code: number, options?: FakeOptions][] = [
    ['', 1],
    ['--help', 0],
    ['-h', 0],
    ['help', 0],
    ['help plan', 0],
    ['help plam', 1],
    ['plan --help', 0],
    ['--version', 0],
    ['plan --version', 0],
    ['plam', 1],
    ['--nonsense', 1],
    ['report', 1],
    ['rules --job {', 1],
    ['rules --runbook-url ../runbooks', 1],
    ['launch', 1],
    ['launch -- qemu', 127],
    ['launch --class gold -- qemu -name x --help', 127],
    ['launch --clas gold -- qemu', 1],
    ['plan', 0],
    ['plan', 0, planning(fixtureQuietPlan())],
    ['plan --detailed-exitcode', 2],
    ['plan --detailed-exitcode', 0, planning(fixtureQuietPlan())],
    ['plan', 1, planning(new VirtsladError({ code: 'POLICY_EMPTY', message: 'x', fix: 'y' }))],
    ['plan', 1, planning(fixturePlan({ libvirt: { ...fixtureSnapshot().libvirt, connected: false } }))],
    ['plan', 1, planning(fixturePlan({ policyProblems: ['bad'] }))],
    ['plan surplus', 1],
    ['run', 0],
    ['run', 78, failing('CONFIG_VALUE', 'run')],
    ['run', 78, failing('HTTP_LISTEN_ADDRESS', 'run')],
    ['run', 1, failing('RUN_LOCKED', 'run')],
    ['run --mode maybe', 78],
    ['run --nonsense', 78],
    ['run --config /nonexistent/x.yaml', 78],
    ['apply --once --config /nonexistent/x.yaml', 78],
    ['apply --once', 78, failing('POLICY_EMPTY')],
    ['apply --once', 1, failing('RUN_LOCKED')],
    ['apply --once', 0],
    ['apply', 1],
    ['plan --config /nonexistent/x.yaml', 1],
    ['status', 0],
    ['status db-1', 0],
    ['status nobody', 1],
    ['status -o xml', 1],
    ['explain', 1],
    ['explain web-1', 0],
    ['release', 1],
    ['release db-1 --all', 1],
    ['release db-1', 0],
    ['resume --all', 0],
    ['hold', 1],
    ['hold db-1 --for 0s', 1],
    ['hold db-1 --for 400d', 1],
    ['hold db-1 --for soon', 1],
    ['hold db-1 --for', 1],
    ['hold db-1 --for 2h', 0],
    ['schema', 0],
    ['completion', 1],
    ['completion tcsh', 1],
    ['completion fish', 0],
  ];
  for (const [words, code, options] of rows) {
    test(`virtslad ${words}${options === undefined ? '' : ' (arranged)'} → ${code}`, async () => {
      const run = await command(words === '' ? [] : words.split(' '), options);
      assert.equal(run.code, code, run.err);
      if (code === 0 || code === 2) assert.equal(run.err, '');
      else assert.notEqual(run.err, '', 'an error says why');
      assert.doesNotMatch(run.err, /\n\s+at /, 'never a stack trace');
    });
  }
});

describe('what a failed or stopped write means', () => {
  const applying = (report: ApplyReport, mode: 'enforce' | 'observe' = 'enforce'): FakeOptions => {
    const commands = {
      apply: async () => report,
      release: async () => report,
      snapshot: () => fixtureSnapshot({ mode }),
    };
    const session = { plan: async () => fixturePlan(), commands: commands as never, close: async () => true };
    return { services: { openLocal: async (): Promise<LocalSession> => session } };
  };
  const stopped = { ...fixtureApply(), outcomes: [], changes: [], stopped: 'kill switch' };
  test('with libvirt away nobody claims that every guest was reached', async () => {
    const libvirt = { ...fixtureSnapshot().libvirt, connected: false };
    const done = { ...fixtureApply(), outcomes: [], changes: [] };
    const commands = {
      release: async () => done,
      resume: async () => done,
      snapshot: () => fixtureSnapshot({ libvirt }),
    };
    const session = { plan: async () => fixturePlan(), commands: commands as never, close: async () => true };
    const options = { services: { openLocal: async (): Promise<LocalSession> => session } };
    for (const verb of ['release', 'resume']) {
      const run = await command([verb, '--all'], options);
      assert.equal(run.code, 1);
      assert.match(run.err, /not connected to libvirt/);
      assert.doesNotMatch(run.out, /Every guest is released/);
    }
  });
  test('a failed write is an error', async () => {
    assert.equal((await command(['apply', '--once'], applying(fixtureApply()))).code, 1);
    assert.equal((await command(['release', '--all'], applying(fixtureApply()))).code, 1);
  });
  test('a stop is an error, and not in observe mode, where it is the wish', async () => {
    assert.equal((await command(['apply', '--once'], applying(stopped))).code, 1);
    assert.equal((await command(['apply', '--once'], applying(stopped, 'observe'))).code, 0);
  });
});

describe('who is asked', () => {
  test('plan looks itself, also beside a daemon', async () => {
    const looks = ['log "warn" "text"', 'open', 'close'];
    assert.deepEqual((await command(['plan'], { daemon: true })).calls, looks);
    assert.deepEqual((await command(['plan'])).calls, looks);
  });
  test('plan says that what it shows would have to be acknowledged', async () => {
    const pendingGeneration = { id: '3f9a1c20be47', domainsAffected: 9, domainsTotal: 10, allowed: 5 };
    const plan = fixturePlan();
    const run = await command(['plan'], planning({ ...plan, snapshot: { ...plan.snapshot, pendingGeneration } }));
    assert.match(run.out, /Generation 3f9a1c20be47 would change 9 of 10 guests, more than the 5 allowed/);
    assert.doesNotMatch((await command(['plan'], planning(plan))).out, /would change/);
  });
  test('status and explain prefer the daemon', async () => {
    for (const words of [['status'], ['explain', 'db-1']]) {
      assert.deepEqual((await command(words, { daemon: true })).calls, [SOCKET]);
      assert.deepEqual((await command(words)).calls, [SOCKET, 'log "warn" "text"', 'open', 'close']);
    }
  });
  const writers: readonly [words: string, call: string][] = [
    ['apply --once', 'apply {"acknowledge":null}'],
    ['apply --once --acknowledge 3f9a1c20be47', 'apply {"acknowledge":"3f9a1c20be47"}'],
    ['release db-1', 'release {"domain":"db-1"}'],
    ['release --all', 'release {"all":true}'],
    ['resume db-1', 'resume {"domain":"db-1"}'],
    ['hold db-1', 'hold {"domain":"db-1"} null'],
    ['hold db-1 --for 1.5h', 'hold {"domain":"db-1"} 5400'],
  ];
  for (const [words, call] of writers) {
    test(`${words} goes through the daemon, or takes the lock`, async () => {
      assert.deepEqual((await command(words.split(' '), { daemon: true })).calls, [SOCKET, `daemon ${call}`]);
      assert.deepEqual((await command(words.split(' '))).calls, [
        SOCKET,
        'log "warn" "text"',
        'open for writing',
        `local ${call}`,
        'close',
      ]);
    });
  }
  test('flags that a running daemon does not follow are named', async () => {
    const run = await command(['apply', '--once', '--policy-dir', 'x', '--mode', 'enforce'], { daemon: true });
    assert.match(run.err, /ignored: --policy-dir, --mode/);
  });
  test('the session is closed when the action fails', async () => {
    const closed: string[] = [];
    const commands = {
      hold: () => Promise.reject(new VirtsladError({ code: 'DOMAIN_UNKNOWN', message: 'm', fix: 'f' })),
    };
    const session = {
      plan: async () => fixturePlan(),
      commands: commands as never,
      close: async () => closed.push('x') > 0,
    };
    const run = await command(['hold', 'db-1'], { services: { openLocal: async () => session } });
    assert.deepEqual([run.code, closed], [1, ['x']]);
  });
  test('flags reach the core, relative paths from the working directory', async () => {
    const words = '--run-dir run plan --policy-dir=../p --mode observe --libvirt-uri none --log.level debug';
    const run = await command(words.split(' '));
    assert.equal(run.config?.policyDir, '/p');
    assert.equal(run.config?.runDir, '/here/run');
    assert.equal(run.config?.mode, 'observe');
    assert.equal(run.config?.libvirtUri, null);
    assert.equal(run.calls[0], 'log "debug" "text"');
  });
  test('the daemon logs as configured', async () => {
    assert.deepEqual((await command(['run'])).calls, ['log "info" "text"', 'run']);
  });
});

describe('json', () => {
  const rows: readonly [words: string, options?: FakeOptions][] = [
    ['plan -o json'],
    ['status -o json'],
    ['status db-1 -o json'],
    ['explain --output=json db-1'],
    ['apply --once -o json'],
    ['hold db-1 -o json'],
    ['release --all -o json'],
    ['check -o json'],
    ['schema'],
  ];
  for (const [words, options] of rows) {
    test(`${words}: one document and nothing else`, async () => {
      const { out } = await command(words.split(' '), options);
      assert.equal(typeof JSON.parse(out), 'object');
    });
  }
  test('status is the snapshot, explain and status DOMAIN the guest', async () => {
    const whole = JSON.parse((await command(['status', '-o', 'json'], { daemon: true })).out) as unknown;
    assert.deepEqual(whole, JSON.parse(JSON.stringify(fixtureSnapshot())));
    const one = JSON.parse((await command(['explain', 'web-1', '-o', 'json'], { daemon: true })).out) as {
      name: string;
    };
    assert.equal(one.name, 'web-1');
  });
});

describe('rules', () => {
  const good: FakeOptions = {
    services: { loadPolicyPaths: async () => ({ ok: true, generation: { id: 'g' } as never, warnings: [] }) },
  };
  test('go to stdout, from the paths given', async () => {
    const run = await command(['rules', 'p'], good);
    assert.deepEqual([run.code, run.out, run.err], [0, '# rules\n', '']);
    const options = '{"runbookUrl":"/usr/lib/virtslad/docs/runbooks","job":"virtslad"}';
    assert.deepEqual(run.calls, [`rules "g" ${options}`]);
  });
  test('--out takes a path from the working directory; the flags reach the rules', async () => {
    const words = 'rules p --out r.yaml --job kvm --runbook-url https://wiki.example.com/v/';
    const run = await command(words.split(' '), good);
    assert.deepEqual([run.code, run.out], [0, 'wrote r.yaml: 0 rules in 0 groups; reload Prometheus\n']);
    assert.deepEqual(run.calls, [
      'rules "g" {"runbookUrl":"https://wiki.example.com/v","job":"kvm"}',
      'write "/here/r.yaml" "# rules\\n"',
    ]);
  });
  test('what cannot be written is said with the path', async () => {
    const fail = async (): Promise<never> => {
      throw new Error('EACCES: permission denied');
    };
    const run = await command(['rules', 'p', '--out', 'r.yaml'], {
      services: { ...good.services, replaceOutputFile: fail },
    });
    assert.equal(run.code, 1);
    assert.match(run.err, /^r\.yaml: error: EACCES: permission denied \[RULES_NOT_WRITTEN\]$/m);
  });
  for (const url of ['wiki', 'ftp://x/y', 'https://x/{{ 1 }}', '/', '/a b']) {
    test(`--runbook-url ${url} is refused`, async () => {
      const run = await command(['rules', 'p', '--runbook-url', url], good);
      assert.equal(run.code, 1);
      assert.match(run.err, /--runbook-url does not accept/);
    });
  }
});

describe('check', () => {
  const problem = {
    code: 'POLICY_EMPTY',
    message: 'm',
    fix: 'f',
    where: { file: '/p/a.yaml', line: 2, column: 3 },
  } as const;
  const good = {
    ok: true as const,
    warnings: [problem],
    generation: {
      id: '3f9a1c20be47',
      files: [{ path: '/p/a.yaml', text: '' }],
      classes: new Map([['gold', {}]]) as never,
      assignments: [{}, {}] as never,
      schedules: [{}] as never,
      maintenance: [{}] as never,
    },
  };
  test('says what it read, with the warnings apart', async () => {
    const run = await command(['check'], { services: { loadPolicyDirectory: async () => good } });
    assert.equal(
      run.out,
      'OK: 1 class, 2 assignments, 1 schedule, 1 maintenance window in 1 file; generation 3f9a1c20be47\n',
    );
    assert.equal(run.err, '/p/a.yaml:2:3: warning: m [POLICY_EMPTY]\n  → f\n');
    assert.equal(run.code, 0);
    const json = await command(['check', '-o', 'json'], { services: { loadPolicyDirectory: async () => good } });
    assert.equal(JSON.parse(json.out).maintenance, 1);
  });
  test('lists all problems and fails', async () => {
    const bad = { ok: false as const, problems: [problem, problem] };
    const run = await command(['check'], { services: { loadPolicyDirectory: async () => bad } });
    assert.equal(run.code, 1);
    assert.equal(run.err.match(/\/p\/a\.yaml:2:3: error: m/g)?.length, 2);
    const json = await command(['check', '-o', 'json'], { services: { loadPolicyDirectory: async () => bad } });
    assert.equal(json.code, 1);
    assert.deepEqual(JSON.parse(json.out), { ok: false, problems: [problem, problem], warnings: [] });
  });
  test('takes paths from the working directory, and then needs no configuration', async () => {
    const run = await command(['check', 'a.yaml', '/b', '--config', '/nonexistent/x.yaml']);
    assert.deepEqual(run.calls, ['load "/here/a.yaml" "/b"']);
  });
});

describe('history', () => {
  const lines = fixtureHistory().map((entry) => JSON.stringify(entry));
  async function show(words: string, current = lines.slice(2), older = lines.slice(0, 2)) {
    return inDirectory(async (directory) => {
      writeFileSync(join(directory, 'history.jsonl'), `${current.join('\n')}\n`);
      writeFileSync(join(directory, 'history.jsonl.1'), `${older.join('\n')}\n`);
      return command(['history', '--state-dir', directory, ...words.split(' ').filter((word) => word !== '')]);
    });
  }
  async function shown(words: string): Promise<number> {
    return (JSON.parse((await show(`${words} -o json`)).out) as unknown[]).length;
  }
  test('reads both files, oldest first', async () => {
    const entries = JSON.parse((await show('-o json')).out) as unknown[];
    assert.deepEqual(entries, fixtureHistory());
  });
  test('by guest, by time, by number', async () => {
    assert.equal(await shown('db-1'), 4);
    assert.equal(await shown('00000000-0000-4000-8000-000000000002'), 1);
    assert.equal(await shown('nobody'), 0);
    assert.equal(await shown('--since 2m'), 2);
    assert.equal(await shown('-n 3'), 3);
    assert.match((await show('-n 3')).out, /2 earlier; show all with -n 0/);
    assert.equal(await shown('-n 0'), 5);
  });
  test('damaged lines are counted and left out', async () => {
    const run = await show('-o json', [...lines, '{"atMs": 1', 'null', '{}']);
    assert.equal((JSON.parse(run.out) as unknown[]).length, 7);
    assert.match(run.err, /3 damaged lines/);
    assert.equal(run.code, 0);
  });
  test('without a history there are no writes', async () => {
    const run = await inDirectory((directory) => command(['history', '--state-dir', join(directory, 'none')]));
    assert.deepEqual([run.code, run.out], [0, 'No writes.\n']);
  });
  test('bad numbers and times are told', async () => {
    assert.match((await show('-n x')).err, /not a number of entries/);
    assert.match((await show('--since yesterday')).err, /is not a number with a unit/);
  });
});

describe('run', () => {
  test('a reload names the keys that wait for a restart', async () => {
    await inDirectory(async (directory) => {
      const file = join(directory, 'virtslad.yaml');
      writeFileSync(file, 'mode: observe\ncycle: 2s\n', { mode: 0o600 });
      let reload = (): void => assert.fail('nobody listens for a reload');
      const run = await command(['run', '--config', file], {
        onReload: (listener) => {
          reload = listener;
        },
      });
      writeFileSync(file, 'mode: enforce\ncycle: 2s\n');
      reload();
      writeFileSync(file, 'mode: maybe\n');
      reload();
      const [changed = '', rejected = '', ...more] = run.logged;
      assert.equal(changed, 'warn config.restart_needed {"key":"mode","from":"observe","to":"enforce"}');
      assert.match(rejected, /^error config\.rejected .*CONFIG_VALUE/);
      assert.deepEqual(more, []);
    });
  });
});

test('a defect is told in one line, and its stack only where it was asked for', async () => {
  const services = {
    openLocal: async (): Promise<never> => {
      throw new TypeError('x is not a function');
    },
  };
  const run = await command(['plan'], { services });
  assert.equal(run.code, 1);
  assert.match(run.err, /^error: x is not a function \[INTERNAL\]\n {2}→ .*report it\n$/);
  assert.deepEqual(run.logged, []);
  assert.match((await command(['plan', '--log.level', 'debug'], { services })).logged[0] ?? '', /^error internal/);
});

test('an interrupt ends a command that reads at once, and one that writes when it is done', async () => {
  const abort = new AbortController();
  const never = new Promise<never>(() => undefined);
  const reading = command(['plan'], { signal: abort.signal, services: { openLocal: () => never } });
  let finish: (value: number) => void = () => undefined;
  const runDaemon = () =>
    new Promise<number>((resolve) => {
      finish = resolve;
    });
  const writing = command(['run'], { signal: abort.signal, services: { runDaemon } });
  abort.abort();
  assert.equal((await reading).code, 130);
  finish(0);
  assert.equal((await writing).code, 0);
});

test('a guest that is not found while libvirt is away is said to be perhaps only out of sight', async () => {
  const away = fixturePlan({ libvirt: { ...fixtureSnapshot().libvirt, connected: false, lastError: 'refused' } });
  for (const verb of ['explain', 'status']) {
    const run = await command([verb, 'nobody'], planning(away));
    assert.match(run.err, /^not connected to libvirt at qemu:\/\/\/system: refused; its guests were not reached\n/);
    assert.match(run.err, /DOMAIN_UNKNOWN/);
  }
});

test('without a daemon no rate is claimed, and a pending change says who would make it', async () => {
  const run = await command(['explain', 'db-1']);
  assert.match(run.out, /cpu\.weight {2}pending: no daemon runs; virtslad apply --once writes it/);
  assert.doesNotMatch(run.out, /CPU now/);
});

test('completion of guests prints plain names only, and nothing without a daemon', async () => {
  const run = await command(['completion', '--guests'], { daemon: true });
  assert.deepEqual(run.out.trim().split('\n').slice(0, 3), ['db-1', 'web-1', 'batch-1']);
  assert.doesNotMatch(run.out, /evil/);
  assert.equal((await command(['completion', '--guests'])).out, '');
});
