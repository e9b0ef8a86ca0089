/** The audit of labels over the whole core: what is found, when, about whom, and how it is told. */
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, it } from 'node:test';
import { renderExplain } from '../../../src/cli/render/explain.js';
import { createMetrics } from '../../../src/metrics/metrics.js';
import { APPARMOR, ENFORCING, NO_SELINUX } from '../../fakes/fake-security.js';
import { LabelBench } from './label-bench.js';

const PAIR = 'system_u:system_r:svirt_t:s0:c900,c901';
const READER = { color: false, width: null, timeZone: 'UTC', nowMs: 0 };

let bench: LabelBench;
beforeEach(() => {
  bench = new LabelBench();
  bench.setClass('svirt: { required: true }');
});
afterEach(() => bench.remove());

const wear = (uuid: string, label: string | null) => bench.security.setProcessLabel(bench.guest(uuid).pid, label);
/** But for the one that all labels put on here have: they are not what libvirt says that it gave. */
const reasons = (uuid: string) =>
  bench.snapshot(uuid).label?.violations.flatMap(({ reason }) => (reason === 'wrong-categories' ? [] : [reason]));
const logged = (event: string) => bench.logged(event).filter(({ fields }) => fields.reason !== 'wrong-categories');
const metrics = async (): Promise<string> => {
  const made = createMetrics({ version: 'test' });
  made.update(bench.core.snapshots.build());
  return String((await made.render()).body);
};

describe('the audit', () => {
  it('finds a violation in one cycle, tells it once everywhere, and tells once that it is over', async () => {
    const [a, b] = [bench.addGuest({ name: 'a' }), bench.addGuest({ name: 'b' })];
    await bench.boot();
    await bench.live();
    assert.deepEqual([reasons(a), reasons(b), bench.label(a)], [[], [], 'holds']);
    wear(a, PAIR);
    wear(b, PAIR);
    await bench.core.reconciler.full();
    assert.deepEqual([reasons(a), reasons(b)], [['duplicate'], ['duplicate']]);
    assert.match(bench.label(a), /^violated: .*c900,c901: the categories of "b" too/);
    await bench.live(3);
    assert.equal(logged('svirt.violation').length, 2);
    assert.match(await metrics(), /^virtsla_svirt_compliant\{domain="a"[^}]*\} 0$/m);
    assert.match(await metrics(), /^virtsla_svirt_violation\{[^}]*reason="duplicate",severity="critical"\} 1$/m);
    wear(b, 'system_u:system_r:svirt_t:s0:c7,c8');
    await bench.live(3);
    assert.deepEqual([reasons(a), reasons(b)], [[], []]);
    assert.equal(logged('svirt.violation_over').length, 2);
    wear(a, bench.worn(a));
    wear(b, bench.worn(b));
    await bench.live();
    assert.equal(bench.label(a), 'holds');
    assert.match(await metrics(), /^virtsla_svirt_compliant\{domain="a"[^}]*\} 1$/m);
    assert.doesNotMatch(await metrics(), /^virtsla_svirt_violation\{/m);
  });

  it('judges guests that nobody manages, and with required: false only reports', async () => {
    const a = bench.addGuest({ name: 'a' });
    bench.setClass(null);
    await bench.boot();
    wear(a, 'system_u:system_r:unconfined_t:s0-s0:c0.c1023');
    await bench.live();
    assert.deepEqual(reasons(a), ['unconfined', 'full-range']);
    assert.equal(bench.control(a, 'svirt.label'), null);
    assert.equal(bench.snapshot(a).compliant, true, 'nobody promised it anything');
    bench.setClass('svirt: { required: false }');
    await bench.reload();
    assert.equal(bench.label(a), 'holds');
    assert.match(await metrics(), /^virtsla_svirt_compliant\{domain="a"[^}]*\} 0$/m);
  });

  it('accuses a guest whose label cannot be read of that alone, and one that has ended of nothing', async () => {
    const [a, b] = [bench.addGuest({ name: 'a' }), bench.addGuest({ name: 'b' })];
    await bench.boot();
    wear(a, null);
    bench.endProcess(bench.guest(b).pid);
    wear(b, 'system_u:system_r:unconfined_t:s0');
    await bench.core.reconciler.full();
    assert.deepEqual(reasons(a), ['unreadable']);
    assert.deepEqual(
      logged('svirt.violation').map(({ fields }) => fields.domain),
      ['a'],
    );
  });

  it('gives nobody the label of another process under its number', async () => {
    const a = bench.addGuest({ name: 'a' });
    await bench.boot();
    const { pid } = bench.guest(a);
    const { processLabel } = bench.security;
    bench.endProcess(pid);
    const argv = ['/usr/bin/other'];
    bench.putProcess(pid, { cgroup: '0::/', argv, startTicks: 999, executable: '/usr/bin/other' });
    bench.security.setProcessLabel(pid, 'system_u:system_r:unconfined_t:s0-s0:c0.c1023');
    await bench.core.reconciler.full();
    assert.equal(processLabel(pid)?.includes('unconfined_t'), true);
    assert.deepEqual(logged('svirt.violation'), []);
  });

  it('does not judge a guest that is being started: its process is not QEMU yet', async () => {
    const a = bench.addGuest({ name: 'a' });
    bench.libvirt.setState(a, 'starting');
    wear(a, 'system_u:system_r:virtd_t:s0-s0:c0.c1023');
    await bench.boot();
    await bench.live();
    assert.deepEqual(logged('svirt.violation'), []);
    wear(a, PAIR);
    bench.libvirt.setState(a, 'running');
    await bench.live();
    assert.deepEqual(reasons(a), []);
  });

  it('waits for no image longer than its bound, and holds no old image against a restarted guest', async () => {
    const path = '/images/a.img';
    const a = bench.addGuest({ name: 'a', disks: [{ target: 'vda', path }] });
    const imageOf = () => bench.libvirt.seclabels(a)[0]?.imagelabel ?? '';
    bench.security.files.set(path, imageOf());
    await bench.boot();
    await bench.live();
    assert.deepEqual(reasons(a), []);
    const release = bench.security.files.hold();
    const beganMs = performance.now();
    await bench.core.reconciler.full();
    await bench.core.reconciler.full();
    assert.ok(performance.now() - beganMs < 2_000);
    bench.stopGuest(a);
    bench.startGuest(a, { name: 'a' });
    await bench.core.reconciler.resync();
    await bench.core.reconciler.full();
    assert.deepEqual(logged('svirt.violation'), [], 'what was read is of the guest before');
    bench.security.files.set(path, imageOf());
    release();
    await bench.live(2);
    assert.deepEqual(reasons(a), []);
    bench.security.files.set(path, 'system_u:object_r:svirt_image_t:s0');
    await bench.live(2);
    assert.deepEqual(reasons(a), ['image-unprotected']);
  });

  it('tells of permissive mode, once, also when the daemon finds it so', async () => {
    const a = bench.addGuest({ name: 'a' });
    await bench.boot();
    bench.security.setStatus({ ...ENFORCING, enforcing: false });
    await bench.live(2);
    assert.equal(bench.logged('svirt.permissive').length, 1);
    assert.match(await metrics(), /^virtsla_svirt_enforcing 0$/m);
    assert.match(bench.control(a, 'svirt.label')?.notes.join() ?? '', /permissive/);
    await bench.boot();
    await bench.live(2);
    assert.equal(bench.logged('svirt.permissive').length, 1);
    bench.security.setStatus(ENFORCING);
    await bench.live(2);
    assert.equal(bench.logged('svirt.enforcing').length, 1);
    assert.match(await metrics(), /^virtsla_svirt_enforcing 1$/m);
  });

  for (const status of [NO_SELINUX, APPARMOR]) {
    it(`says that there are no labels: ${status.reason}`, async () => {
      const a = bench.addGuest({ name: 'a' });
      bench.security.setStatus(status);
      await bench.boot();
      await bench.live(2);
      assert.equal(bench.label(a), `unsupported: ${status.reason}`);
      assert.equal(bench.snapshot(a).compliant, true);
      assert.doesNotMatch(await metrics(), /^virtsla_svirt_(compliant|violation|pending|enforcing)/m);
    });
  }

  it('lets no hostile text through', async () => {
    const name = 'e\u001b[31m"\nvirtsla_evil 1';
    const a = bench.addGuest({ name, machineName: 'evil' });
    await bench.boot();
    const hostile = ['x\u001b[2J\n"virtsla_evil 1', `a:b:c:${'s0:c1,'.repeat(600)}`, '"\\\n}'.repeat(1000), '\u202e'];
    for (const text of hostile) {
      wear(a, text);
      await bench.core.reconciler.full();
      assert.deepEqual(reasons(a), ['malformed']);
      const shown = bench.snapshot(a);
      const rendered = renderExplain(shown, bench.core.snapshots.build(), READER, 'daemon');
      for (const out of [rendered, await metrics(), JSON.stringify(logged('svirt.violation').at(-1))]) {
        // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
        assert.doesNotMatch(out, /[\u0000-\u0009\u000b-\u001f\u007f\u202e]/);
        assert.doesNotMatch(out, /^virtsla_evil/m);
      }
      assert.ok(rendered.length < 8_000);
    }
  });
});
