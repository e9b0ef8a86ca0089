/**
 * Isolation under an enforcing SELinux, and what the installed daemon says of it: guests with labels of their own cannot reach
 * each other; labels that break that are found in the next cycle, and are over in the next when they are gone.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { Cleanup } from '../support/cleanup.js';
import { output } from '../support/command.js';
import { Guest } from '../support/guest.js';
import { waitUntil } from '../support/wait.js';
import { announceDenial, auditedDenials } from './support/announce.js';
import {
  categoriesOf,
  controlOf,
  imageOf,
  monitor,
  type Picture,
  pictureOf,
  reasonsOf,
  statusOf,
  whenSeen,
  whenUp,
} from './support/labels.js';
import {
  fileLabel,
  IMAGE_DIR,
  labelOf,
  metric,
  PATIENCE_SECONDS,
  removePolicy,
  SYSTEM_LIBVIRT,
  virsh,
  writePolicies,
} from './support/system.js';

const POLICY = `version: 1
classes:
  isolated:
    svirt: { required: true, images: verify }
  guarded:
    svirt: { on-violation: suspend }
assignments:
  - { class: isolated, match: { name: "vm-audit-*" } }
  - { class: guarded, match: { name: "vm-guarded-*" } }
`;
const DYNAMIC = /^system_u:system_r:svirt_t:s0:c\d+,c\d+$/;

const cleanup = new Cleanup();
after(async () => assert.deepEqual(await cleanup.run(), []));
const first = guestOf('vm-audit-first');
const second = guestOf('vm-audit-second');

before(async () => {
  await whenUp();
  cleanup.defer('remove the policy', () => removePolicy('vm-audit.yaml'));
  writePolicies({ 'vm-audit.yaml': POLICY });
  await Promise.all([first.start(), second.start()]);
});

describe('two guests that libvirt labels', () => {
  it('wear a label each, which status and metrics find in order', async (t) => {
    const [one, other] = [labelOf(first.pid), labelOf(second.pid)];
    t.diagnostic(`${one}, ${other}`);
    assert.match(one, DYNAMIC);
    assert.match(other, DYNAMIC);
    assert.notEqual(one, other);
    for (const guest of [first, second]) {
      const { domain } = await whenSeen(`${guest.name} to hold`, guest.uuid, (seen) => controlOf(seen) === 'holds');
      assert.equal(domain.label?.process, labelOf(guest.pid));
      assert.deepEqual([domain.className, domain.compliant, domain.label?.violations], ['isolated', true, []]);
      assert.equal(await metric('virtsla_svirt_compliant', { uuid: guest.uuid }), 1);
      assert.equal(await metric('virtsla_svirt_violation', { uuid: guest.uuid }), null);
      assert.equal(await fileLabel(imageOf(guest)), imageLabel(labelOf(guest.pid)));
    }
  });

  it('cannot read the image of the other one, and the audit log says who tried', async (t) => {
    announceDenial({
      source: 'svirt_t',
      target: 'svirt_image_t',
      tclass: 'file',
      comm: 'qemu-system-x86',
      reason: 'a guest is made to open the image of another one',
    });
    const earlier = await auditedDenials();
    assert.match(await steal(), /Permission denied/);
    const denied = async () =>
      (await auditedDenials(earlier)).find(
        ({ source, line }) => source === 'svirt_t' && line.includes(`tcontext=${imageLabel(labelOf(second.pid))} `),
      );
    const denial = await waitUntil('the denial', denied, { seconds: PATIENCE_SECONDS, everyMs: 500 });
    t.diagnostic(denial.line);
    assert.ok(denial.line.includes(`scontext=${labelOf(first.pid)} `));
    assert.equal(denial.permissive, false);
  });

  it('can, once the image has the label of the first; that is seen, and with `images: verify` only told', async (t) => {
    const [path, own] = [imageOf(second), await fileLabel(imageOf(second))];
    await output('chcon', [imageLabel(labelOf(first.pid)), path]);
    const { domain, ...took } = await whenSeen('a foreign image', second.uuid, (seen) => reasonsOf(seen).length > 0);
    t.diagnostic(`${JSON.stringify(took)} ${domain.label?.violations[0]?.detail}`);
    // Its own guest cannot use it any more, and another one can.
    assert.deepEqual(reasonsOf(domain), ['image-foreign', 'image-unprotected']);
    assert.match(domain.label?.violations[0]?.detail ?? '', /"vm-audit-first"/);
    assert.doesNotMatch(await steal(), /error/i);
    assert.match(await monitor(first, 'query-named-block-nodes', {}), new RegExp(`stolen[\\s\\S]*${second.uuid}`));
    await monitor(first, 'blockdev-del', { 'node-name': 'stolen' });
    assert.equal(await fileLabel(path), imageLabel(labelOf(first.pid)), 'nobody has put it back');
    await output('chcon', [own, path]);
    await whenSeen('no violation', second.uuid, (seen) => controlOf(seen) === 'holds');
  });
});

describe('labels that break isolation, made on purpose', () => {
  let bad: readonly {
    readonly guest: Guest;
    readonly reasons: readonly string[];
    readonly critical: readonly string[];
  }[];

  before(() => {
    const pair = categoriesOf(labelOf(first.pid));
    bad = [
      {
        guest: guestOf('vm-audit-duplicate', labelled(`system_u:system_r:svirt_t:s0:${pair}`)),
        reasons: ['duplicate', 'image-unprotected', 'subset'],
        critical: ['duplicate', 'image-unprotected'],
      },
      {
        guest: guestOf('vm-audit-superset', labelled(`system_u:system_r:svirt_t:s0:${withOneMore(pair)}`)),
        reasons: ['superset', 'too-many-categories'],
        critical: ['superset'],
      },
      {
        guest: guestOf('vm-audit-s0', labelled('system_u:system_r:svirt_t:s0')),
        reasons: ['image-unprotected', 'no-categories'],
        critical: ['image-unprotected', 'no-categories'],
      },
      {
        guest: guestOf('vm-audit-none', `<seclabel type='none' model='selinux'/>`),
        reasons: ['no-categories', 'unconfined'],
        critical: ['no-categories', 'unconfined'],
      },
    ];
  });

  it('are found in the next cycle, on every guest that they concern', async (t) => {
    for (const { guest } of bad) await guest.start();
    const { domain, ...took } = await whenSeen('the first to have rivals', first.uuid, (seen) => {
      return ['duplicate', 'subset'].every((reason) => reasonsOf(seen).includes(reason));
    });
    t.diagnostic(`${JSON.stringify(took)} ${domain.label?.violations.map(({ detail }) => detail).join('; ')}`);
    assert.ok(took.cycles <= 2, `${took.cycles} cycles`);
    assert.deepEqual([domain.compliant, controlOf(domain)], [false, 'violated']);
    const victim = { guest: first, reasons: bad[0]?.reasons ?? [], critical: bad[0]?.critical ?? [] };
    // What is said of an image may come a cycle after what is said of the process.
    for (const { guest, reasons, critical } of [...bad, victim]) {
      const all = (seen: Picture): boolean => reasonsOf(seen).join() === reasons.join();
      const { domain: seen } = await whenSeen(`${guest.name} to be ${reasons.join()}`, guest.uuid, all);
      t.diagnostic(`${guest.name} ${labelOf(guest.pid)}: ${reasonsOf(seen).join()}`);
      assert.deepEqual(severe(seen), critical, guest.name);
      assert.equal(seen.label?.process, labelOf(guest.pid));
    }
    const { uuid } = first;
    assert.equal(await metric('virtsla_svirt_compliant', { uuid }), 0);
    assert.equal(await metric('virtsla_svirt_violation', { uuid, reason: 'duplicate', severity: 'critical' }), 1);
    assert.equal(await metric('virtsla_svirt_violation', { uuid, reason: 'subset', severity: 'warning' }), 1);
    assert.deepEqual(reasonsOf((await pictureOf(second.uuid)) ?? assert.fail()), [], 'it shares nothing with them');
  });

  it('are over in the next cycle after the guests are gone', async (t) => {
    for (const { guest } of bad) await guest.destroy();
    const { domain, ...took } = await whenSeen('the first to be alone', first.uuid, (seen) => {
      return reasonsOf(seen).length === 0;
    });
    t.diagnostic(JSON.stringify(took));
    assert.ok(took.cycles <= 2, `${took.cycles} cycles`);
    assert.deepEqual([domain.compliant, controlOf(domain)], [true, 'holds']);
  });
});

describe('a guest whose class says `on-violation: suspend`', () => {
  it('is suspended once for its violation, and not again when an operator resumes it', async (t) => {
    const before = (await metric('virtsla_svirt_suspensions_total')) ?? 0;
    const guest = guestOf('vm-guarded-open', labelled('system_u:system_r:svirt_t:s0'));
    await guest.start();
    const { domain, ...took } = await whenSeen(
      'it to be suspended',
      guest.uuid,
      ({ label }) => label?.suspended === true,
    );
    t.diagnostic(`${JSON.stringify(took)} ${reasonsOf(domain).join()}`);
    assert.equal((await virsh('domstate', guest.uuid)).trim(), 'paused');
    assert.equal(await metric('virtsla_svirt_suspended', { uuid: guest.uuid }), 1);
    await virsh('resume', guest.uuid);
    const { cycles } = (await statusOf()).counters;
    const resumed = ({ state, label }: Picture): boolean => state === 'running' && label?.suspended === false;
    await whenSeen('it to run', guest.uuid, resumed);
    const later = async (): Promise<boolean> => (await statusOf()).counters.cycles >= cycles + 2;
    await waitUntil('two more cycles', later, { seconds: PATIENCE_SECONDS, everyMs: 500 });
    assert.equal((await virsh('domstate', guest.uuid)).trim(), 'running');
    assert.equal(controlOf((await pictureOf(guest.uuid)) ?? assert.fail()), 'violated');
    assert.equal(await metric('virtsla_svirt_suspensions_total'), before + 1);
  });
});

describe('the mode of SELinux', () => {
  it('is seen within a cycle, either way, and told; booleans are in the metrics', async (t) => {
    assert.equal(await metric('virtsla_svirt_enforcing'), 1);
    assert.equal(await metric('virtsla_svirt_boolean', { boolean: 'virt_use_execmem' }), 1);
    assert.equal(await metric('virtsla_svirt_boolean', { boolean: 'virt_use_nfs' }), 0);
    cleanup.defer('enforce again', async () => void (await output('setenforce', ['1'])));
    const notes = async (): Promise<string> => {
      const picture = await pictureOf(first.uuid);
      return (picture?.controls.find(({ id }) => id === 'svirt.label')?.notes ?? []).join('; ');
    };
    const change = async (mode: '0' | '1'): Promise<number> => {
      await output('setenforce', [mode]);
      const { cycles } = (await statusOf()).counters;
      // The mode is read as a cycle begins, what it means for a guest is known as it ends.
      const seen = async (): Promise<boolean> =>
        (await metric('virtsla_svirt_enforcing')) === Number(mode) &&
        /permissive/.test(await notes()) === (mode === '0');
      await waitUntil(`the daemon to see ${mode}`, seen, { seconds: PATIENCE_SECONDS, everyMs: 200 });
      return (await statusOf()).counters.cycles - cycles;
    };
    const permissive = await change('0');
    const noted = await notes();
    const enforcing = await change('1');
    t.diagnostic(`seen after ${permissive} and ${enforcing} cycles; ${noted}`);
    assert.ok(permissive <= 2 && enforcing <= 2, `${permissive} and ${enforcing} cycles`);
    assert.match(noted, /SELinux is permissive/);
    const log = await output('journalctl', ['--unit=virtslad.service', '--no-pager', '--output=cat', '--lines=200']);
    assert.match(log, /svirt\.permissive/);
    assert.match(log, /svirt\.enforcing/);
  });
});

function guestOf(name: string, tuningXml = ''): Guest {
  const guest = new Guest(SYSTEM_LIBVIRT, IMAGE_DIR, { name, burn: false, tuningXml });
  cleanup.defer(`destroy ${name}`, () => guest.destroy());
  return guest;
}

function labelled(label: string): string {
  return `<seclabel type='static' model='selinux' relabel='yes'><label>${label}</label></seclabel>`;
}

/** The first guest's QEMU opens the image of the second as a disk of its own; what its monitor answers. */
function steal(): Promise<string> {
  const file = { driver: 'file', filename: imageOf(second), locking: 'off' };
  return monitor(first, 'blockdev-add', {
    driver: 'raw',
    'node-name': 'stolen',
    'read-only': true,
    'force-share': true,
    file,
  });
}

function imageLabel(label: string): string {
  return label.replace('system_r:svirt_t', 'object_r:svirt_image_t');
}

/** Three categories, ascending. */
function withOneMore(pair: string): string {
  const numbers = pair.split(',').map((one) => Number(one.slice(1)));
  const more = [0, 1, 2].find((one) => !numbers.includes(one)) ?? 3;
  return [...numbers, more]
    .sort((a, b) => a - b)
    .map((one) => `c${one}`)
    .join(',');
}

function severe({ label }: Picture): string[] {
  const critical = (label?.violations ?? []).filter(({ severity }) => severity === 'critical');
  return critical.map(({ reason }) => reason).sort();
}
