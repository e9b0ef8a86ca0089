/**
 * Labels that the installed daemon gives: a static pair by the definition, in force from the next start; a label in force at
 * once, by saving and restoring the guest, whose memory comes through it, whatever goes wrong; wrong labels of images put right.
 */
import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { SAVE_DIRECTORY } from '../../src/host/libvirt/save-space.js';
import { parseLabels } from '../../src/reconcile/labels/register-format.js';
import { Cleanup } from '../support/cleanup.js';
import { output } from '../support/command.js';
import { Guest } from '../support/guest.js';
import { waitUntil } from '../support/wait.js';
import { announceDenial } from './support/announce.js';
import {
  controlOf,
  definitionOf,
  imageOf,
  memoryOf,
  type Picture,
  reasonsOf,
  ticksOf,
  whenKept,
  whenSeen,
  whenUp,
  withoutLabel,
} from './support/labels.js';
import {
  fileLabel,
  IMAGE_DIR,
  labelOf,
  metric,
  PATIENCE_SECONDS,
  removePolicy,
  restartDaemon,
  SYSTEM_LIBVIRT,
  systemctl,
  virsh,
  virtslad,
  writePolicies,
} from './support/system.js';

const STATE_DIR = '/var/lib/virtslad';
const KEPT = 24 * 1024 ** 2;
const DROP_IN = '/run/systemd/system/virtslad.service.d/relabel.conf';

const cleanup = new Cleanup();
after(async () => assert.deepEqual(await cleanup.run(), []));
const plain = guestOf('vm-static-plain');
const kept = guestOf('vm-kept-memory', KEPT);

/** What the policy says of the guest that keeps memory; the other has always the same class. */
function ask(svirt: string): void {
  writePolicies({
    'vm-assign.yaml': `version: 1
classes:
  static:
    svirt: { mode: static, categories: c800.c819 }
  kept:
    svirt: { ${svirt} }
assignments:
  - { class: static, match: { name: "vm-static-*" } }
  - { class: kept, match: { name: "vm-kept-*" } }
`,
  });
}

before(async () => {
  await whenUp();
  cleanup.defer('remove the policy', () => removePolicy('vm-assign.yaml'));
  await Promise.all([plain.start(), kept.start()]);
});

describe('a class with `mode: static`', () => {
  let original = '';

  it('gives a pair of its categories, on record and in the definition, in force from the next start', async (t) => {
    original = await definitionOf(plain);
    const worn = labelOf(plain.pid);
    ask('required: true');
    const { domain, ...took } = await whenSeen('the pair to be pending', plain.uuid, (seen) => {
      return controlOf(seen) === 'pending-restart';
    });
    const pair = pairOf(plain);
    t.diagnostic(`${JSON.stringify(took)} ${worn} → c${pair.join(',c')}`);
    assert.ok(pair.every((one) => one >= 800 && one <= 819) && pair[0] < pair[1]);
    assert.equal(domain.label?.defined, `static ${labelWith(pair)}`);
    assert.deepEqual([domain.label?.process, labelOf(plain.pid), domain.label?.pendingRestart], [worn, worn, true]);
    assert.equal(await metric('virtsla_svirt_pending_restart', { uuid: plain.uuid }), 1);
    const definition = await definitionOf(plain);
    assert.match(definition, new RegExp(`<label>${labelWith(pair)}</label>`));
    assert.equal(withoutLabel(definition), original, 'nothing else of the definition is another');
  });

  it('holds from the next start', async () => {
    await virsh('destroy', plain.uuid);
    await virsh('start', plain.uuid);
    const wanted = labelWith(pairOf(plain));
    assert.equal(labelOf(plain.pid), wanted);
    assert.equal(await fileLabel(imageOf(plain)), imageLabel(wanted));
    const { domain } = await whenSeen('it to hold', plain.uuid, (seen) => controlOf(seen) === 'holds');
    assert.deepEqual([domain.label?.process, domain.label?.pendingRestart, domain.compliant], [wanted, false, true]);
  });

  it('is taken back by a release, byte for byte', async () => {
    const { code, stderr } = await virtslad('release', plain.name);
    assert.equal(code, 0, stderr);
    assert.equal(await definitionOf(plain), original);
    assert.equal(labelOf(plain.pid), labelWith(pairOf(plain)), 'what runs, runs on');
  });
});

describe('a class with `apply: save-restore`', () => {
  let memory = '';

  before(async () => {
    await whenKept(kept);
    memory = await memoryOf(kept, KEPT);
  });

  it('does nothing to a guest that may not stand still for so long', async (t) => {
    const [worn, { pid }] = [labelOf(kept.pid), kept];
    ask('mode: static, categories: c900.c919, apply: save-restore, max-downtime: 500ms');
    const { domain } = await whenSeen('a refusal', kept.uuid, ({ label }) => label?.saveRestore?.phase === 'refused');
    t.diagnostic(domain.label?.saveRestore?.message ?? '');
    assert.match(domain.label?.saveRestore?.message ?? '', /it would stand still for about \d+ s .*max-downtime/);
    assert.deepEqual([kept.pid, labelOf(kept.pid)], [pid, worn]);
    assert.equal(controlOf(domain), 'pending-restart');
  });

  it('gives a running guest its label without a reboot, and tells how long it stood still', async (t) => {
    const [{ pid }, ticks] = [kept, await ticksOf(kept)];
    ask('mode: static, categories: c900.c919, apply: save-restore, max-downtime: 5m');
    const { domain, seconds } = await whenSeen('it to wear its label', kept.uuid, isDone);
    const wanted = labelWith(pairOf(kept));
    const downtime = domain.label?.saveRestore?.downtimeSeconds ?? Number.NaN;
    t.diagnostic(`stood still for ${downtime.toFixed(1)} s, ${seconds.toFixed(1)} s after the policy; ${wanted}`);
    assert.ok(downtime > 0 && downtime < seconds);
    assert.notEqual(kept.pid, pid);
    assert.equal(labelOf(kept.pid), wanted);
    assert.equal(await fileLabel(imageOf(kept)), imageLabel(wanted));
    assert.match(await definitionOf(kept), new RegExp(`<label>${wanted}</label>`));
    assert.equal(await memoryOf(kept, KEPT), memory, 'every byte of its memory');
    await goesOn(kept, ticks);
    assert.equal(await metric('virtsla_svirt_save_restore_downtime_seconds', { uuid: kept.uuid }), downtime);
    assert.equal(await metric('virtsla_svirt_save_restores_total', { outcome: 'done' }), 1);
    await whenSeen('it to hold', kept.uuid, (seen) => controlOf(seen) === 'holds' && reasonsOf(seen).length === 0);
  });

  it('brings it back as it was when SELinux refuses the new one, and raises the alarm', async (t) => {
    announceDenial({
      source: 'virtd_t',
      target: 'svirt_nosuch_t',
      reason: 'a label that no policy knows is asked for',
    });
    const [worn, ticks] = [labelOf(kept.pid), await ticksOf(kept)];
    ask('mode: static, type: svirt_nosuch_t, categories: c900.c919, apply: save-restore, max-downtime: 5m');
    const { domain, seconds } = await whenSeen('it to fail', kept.uuid, hasFailed);
    t.diagnostic(`${seconds.toFixed(1)} s: ${domain.label?.saveRestore?.message}`);
    assert.equal(domain.state, 'running');
    assert.equal(labelOf(kept.pid), worn);
    assert.equal(await fileLabel(imageOf(kept)), imageLabel(worn));
    assert.equal(await memoryOf(kept, KEPT), memory);
    await goesOn(kept, ticks);
    assert.equal(await metric('virtsla_svirt_save_restores_total', { outcome: 'failed' }), 1);
    assert.match(await logOfDaemon(), /svirt\.save_restore_failed/);
  });

  it('starts a guest again when the daemon is killed in between', async (t) => {
    allowRelabelling();
    await systemctl('daemon-reload');
    const ticks = await ticksOf(kept);
    const before = (await virsh('domid', kept.uuid)).trim();
    const main = Number(await systemctl('show', '--property=MainPID', '--value', 'virtslad.service'));
    ask('mode: static, categories: c940.c959, apply: save-restore, max-downtime: 5m');
    const image = join(SAVE_DIRECTORY, `${kept.name}.save`);
    const onItsWay = () => (existsSync(image) ? phaseOf(kept) : null);
    const killedIn = await waitUntil('its memory to be written', onItsWay, { seconds: PATIENCE_SECONDS, everyMs: 5 });
    process.kill(main, 'SIGKILL');
    t.diagnostic(`killed while ${killedIn}, on record now: ${phaseOf(kept)}`);
    const began = performance.now();
    const runs = async (): Promise<boolean> =>
      (await virsh('domstate', kept.uuid)).trim() === 'running' && (await virsh('domid', kept.uuid)).trim() !== before;
    await waitUntil('the guest to run', runs, { seconds: 3 * PATIENCE_SECONDS, everyMs: 500 });
    t.diagnostic(`runs ${((performance.now() - began) / 1000).toFixed(1)} s after`);
    assert.notEqual(Number(await systemctl('show', '--property=MainPID', '--value', 'virtslad.service')), main);
    assert.equal(await memoryOf(kept, KEPT), memory);
    await goesOn(kept, ticks);
    await whenSeen('it to hold', kept.uuid, (seen) => controlOf(seen) === 'holds');
    const pair = pairOf(kept);
    assert.ok(pair.every((one) => one >= 940 && one <= 959));
    assert.equal(labelOf(kept.pid), labelWith(pair));
    await waitUntil('nothing to be on its way', () => phaseOf(kept) === null, { seconds: PATIENCE_SECONDS });
  });
});

describe('a class with `images: relabel`', () => {
  it('has the label of an image put back, where the host allows it', async (t) => {
    ask('mode: static, categories: c940.c959, images: relabel');
    await output('setsebool', ['virtslad_relabel_images', 'on']);
    cleanup.defer(
      'take the boolean back',
      async () => void (await output('setsebool', ['virtslad_relabel_images', 'off'])),
    );
    const [path, right] = [imageOf(kept), await fileLabel(imageOf(kept))];
    const before = (await metric('virtsla_svirt_image_relabels_total')) ?? 0;
    const wrong = 'system_u:object_r:virt_content_t:s0';
    await output('chcon', [wrong, path]);
    const began = performance.now();
    const back = async (): Promise<boolean> => (await fileLabel(path)) === right;
    await waitUntil('the label to be back', back, { seconds: PATIENCE_SECONDS, everyMs: 500 });
    t.diagnostic(`${wrong} for ${((performance.now() - began) / 1000).toFixed(1)} s`);
    const counted = async () => (await metric('virtsla_svirt_image_relabels_total')) === before + 1;
    await waitUntil('it to be counted', counted, { seconds: PATIENCE_SECONDS, everyMs: 500 });
    await whenSeen('no violation', kept.uuid, (seen) => reasonsOf(seen).length === 0);
  });
});

function guestOf(name: string, keepBytes?: number): Guest {
  const program = keepBytes === undefined ? { kind: 'idle' as const } : { kind: 'keep' as const, toBytes: keepBytes };
  const guest = new Guest(SYSTEM_LIBVIRT, IMAGE_DIR, { name, persistent: true, memoryMebibytes: 32, program });
  cleanup.defer(`destroy ${name}`, () => guest.destroy());
  return guest;
}

/** Other capabilities and a writable directory for the daemon, from its next start on: its unit has neither. */
function allowRelabelling(): void {
  cleanup.defer('take them back', async () => {
    rmSync(DROP_IN, { force: true });
    await systemctl('daemon-reload');
    await restartDaemon();
  });
  mkdirSync(DROP_IN.replace(/\/[^/]+$/, ''), { recursive: true });
  writeFileSync(DROP_IN, `[Service]\nCapabilityBoundingSet=CAP_FOWNER\nReadWritePaths=${IMAGE_DIR}\n`);
}

/** As it is on record. */
function pairOf({ uuid }: Guest): readonly [number, number] {
  const entries = parseLabels(readFileSync(`${STATE_DIR}/labels.json`, 'utf8')) ?? assert.fail('it is damaged');
  return entries.find((one) => one.uuid === uuid)?.categories ?? assert.fail('it has no pair');
}

/** Of its way through save and restore, as it is on record; null while it is not on its way. */
function phaseOf({ uuid }: Guest): string | null {
  const { journey } = JSON.parse(readFileSync(`${STATE_DIR}/label-actions.json`, 'utf8'));
  return journey?.uuid === uuid ? journey.phase : null;
}

function labelWith(pair: readonly number[]): string {
  return `system_u:system_r:svirt_t:s0:c${pair.join(',c')}`;
}

function imageLabel(label: string): string {
  return label.replace('system_r:svirt_t', 'object_r:svirt_image_t');
}

function isDone({ label, state }: Picture): boolean {
  return label?.saveRestore?.phase === 'done' && state === 'running';
}

function hasFailed({ label, state }: Picture): boolean {
  return label?.saveRestore?.phase === 'failed' && state === 'running';
}

/** It counts on from where it was: a boot would begin at 0. */
async function goesOn(guest: Guest, ticks: number): Promise<void> {
  const now = await ticksOf(guest);
  assert.ok(now >= ticks, `${now} ticks after ${ticks}`);
  await waitUntil('it to count on', async () => (await ticksOf(guest)) > now, { seconds: PATIENCE_SECONDS });
}

function logOfDaemon(): Promise<string> {
  return output('journalctl', ['--unit=virtslad.service', '--no-pager', '--output=cat', '--lines=200']);
}
