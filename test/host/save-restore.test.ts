/**
 * A guest's memory is saved and restored under another definition of its label, whatever goes wrong in between. This host
 * has no SELinux that its libvirt would use: the labels themselves are another lane's.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { LibvirtEvent, LibvirtOutcome } from '../../src/host/libvirt/client.js';
import { connectLibvirt } from '../../src/host/libvirt/connect.js';
import { readSaveSpace, savedBytesAtMost } from '../../src/host/libvirt/save-space.js';
import { keepingLog } from '../libvirt/keeping-log.js';
import { execute } from '../support/command.js';
import { Lab } from '../support/lab.js';
import { waitUntil } from '../support/wait.js';

const MEBIBYTE = 1024 ** 2;
const TOUCHED = 96 * MEBIBYTE;
const TEXT = 'static system_u:system_r:svirt_t:s0:c1,c2';
const SAVE = { paused: false, abortAfterMs: 60_000 };
const START = { paused: false, restoreOnly: true, deadlineMs: 60_000 };

const lab = await Lab.open();
after(() => lab.close());
const guest = await lab.startGuest({
  name: 'saved',
  persistent: true,
  memoryMebibytes: 128,
  program: { kind: 'touch', toBytes: TOUCHED },
});
const other = await lab.startGuest({ name: 'other', burn: false });
const client = connectLibvirt({ uri: lab.libvirtd.uri, log: keepingLog() });
const events: LibvirtEvent[] = [];
client.onEvent((event) => events.push(event));
const saveDir = join(lab.directory, 'lib/qemu/save');
const imagePath = join(saveDir, `${guest.name}.save`);

before(() => client.start(new AbortController().signal));
after(() => client.stop());

describe('the definition of a guest', () => {
  const COMPLICATED = `<metadata><app:x xmlns:app="urn:x" a="1 &lt; 2">t</app:x></metadata>`;

  it('is byte for byte what it was when its label is given back', async () => {
    const defined = lab.guest({
      name: 'defined',
      persistent: true,
      burn: false,
      title: `seclabel's "title" <&>`,
      metadataXml: COMPLICATED,
      cputuneXml: '<cputune><shares>512</shares><quota>50000</quota></cputune>',
      tuningXml: "<seclabel type='static' model='dac' relabel='yes'><label>+0:+0</label></seclabel>",
      devicesXml: "<graphics type='vnc' port='-1' autoport='yes' passwd='sec&lt;ret'/>",
    });
    await defined.start();
    const read = () => defined.virshOk(['dumpxml', '--inactive', '--security-info', defined.uuid]);
    const live = () => defined.virshOk(['dumpxml', '--security-info', defined.uuid]);
    const [original, running] = [await read(), await live()];
    assert.match(original, /passwd='sec&lt;ret'/);
    const set = (text: string) => client.tune(defined.uuid, null, [{ call: 'seclabel', text }]);
    for (const runs of [true, false]) {
      if (!runs) await defined.virshOk(['destroy', defined.uuid]);
      assert.equal(kind(await set(TEXT)), 'ok');
      const changed = await read();
      const element = /\n\s*<seclabel type='static' model='selinux' relabel='yes'>[\s\S]*?<\/seclabel>/.exec(
        changed,
      )?.[0];
      assert.match(element ?? '', /<label>system_u:system_r:svirt_t:s0:c1,c2<\/label>/);
      assert.equal(changed.replace(element ?? '', ''), original);
      if (runs) assert.equal(await live(), running, 'nothing of the running instance has changed');
      assert.equal(kind(await set('dynamic')), 'ok');
      assert.equal(await read(), original);
    }
  });

  it('is not there for a transient guest, which is said', async () => {
    const outcome = await client.tune(other.uuid, await idOf(other.uuid), [{ call: 'seclabel', text: TEXT }]);
    assert.match(outcome.ok ? '' : outcome.message, /^label: a transient domain has no definition/);
  });

  it('may name a label that this host cannot give: no start until it is given back', async () => {
    const defined = lab.guest({ name: 'unstartable', persistent: true, burn: false });
    await defined.start();
    await defined.virshOk(['destroy', defined.uuid]);
    assert.equal(kind(await client.tune(defined.uuid, null, [{ call: 'seclabel', text: TEXT }])), 'ok');
    const refused = await client.startGuest(defined.uuid, { paused: false, deadlineMs: 60_000 });
    assert.match(refused.ok ? '' : refused.message, /Security driver model 'selinux' is not available/);
    assert.equal(kind(await client.tune(defined.uuid, null, [{ call: 'seclabel', text: 'dynamic' }])), 'ok');
    assert.equal(kind(await client.startGuest(defined.uuid, { paused: false, deadlineMs: 60_000 })), 'ok');
  });
});

describe('a guest that is saved and restored', () => {
  before(touched);

  it('has every byte of its memory after it, and a downtime', async (t) => {
    assert.equal(kind(await client.suspend(guest.uuid, await idOf(guest.uuid))), 'ok');
    const memory = await hashOfMemory();
    assert.notEqual(
      memory,
      createHash('sha256')
        .update(Buffer.alloc(TOUCHED - MEBIBYTE))
        .digest('hex'),
    );
    const pid = guest.pid;
    const beganMs = performance.now();
    assert.equal(kind(await client.managedSave(guest.uuid, await idOf(guest.uuid), SAVE)), 'ok');
    const savedMs = performance.now();
    const { size } = statSync(imagePath);
    const facts = await client.facts(guest.uuid);
    assert.ok(facts.ok && size > TOUCHED - MEBIBYTE && size < savedBytesAtMost(facts.value.hardware));
    assert.equal(kind(await client.startGuest(guest.uuid, START)), 'ok');
    t.diagnostic(
      `saved ${Math.round(size / MEBIBYTE)} MiB in ${Math.round(savedMs - beganMs)} ms, restored in ${Math.round(performance.now() - savedMs)} ms`,
    );
    assert.notEqual(guest.pid, pid);
    assert.equal(await hashOfMemory(), memory);
    assert.equal(kind(await client.resume(guest.uuid, await idOf(guest.uuid))), 'ok');
    await waitUntil('the guest to touch its memory again', async () => (await hashOfMemory()) !== memory, {
      seconds: 10,
    });
  });

  it('is called off when it takes too long, and goes on where it was', async () => {
    const id = await idOf(guest.uuid);
    const pid = guest.pid;
    const saving = client.managedSave(guest.uuid, id, { ...SAVE, abortAfterMs: 1500 });
    const slow = slowDown(await writer());
    assert.equal(await stateOf(guest.uuid), 'paused');
    const beganMs = performance.now();
    assert.equal(kind(await client.facts(other.uuid)), 'ok');
    const shares = { call: 'scheduler', parameters: { cpu_shares: 300n } } as const;
    assert.equal(kind(await client.tune(other.uuid, await idOf(other.uuid), [shares])), 'ok');
    assert.ok(performance.now() - beganMs < 1000, 'no other guest waits for it');
    assert.equal(kind(await client.hasManagedSave(guest.uuid)), 'quarantined');
    const outcome = await saving;
    slow.stop();
    assert.match(outcome.ok ? '' : `${outcome.failure} ${outcome.message}`, /^timeout .*canceled by client/);
    assert.deepEqual([await stateOf(guest.uuid), await idOf(guest.uuid), guest.pid], ['running', id, pid]);
    assert.deepEqual(await client.hasManagedSave(guest.uuid), { ok: true, value: false });
    assert.deepEqual(client.status().quarantined, []);
  });

  it('goes on when there is no space for it', async () => {
    const id = await idOf(guest.uuid);
    await inLibvirtd('mount', '-t', 'tmpfs', '-o', 'size=20m', 'tmpfs', '/var/lib/libvirt/qemu/save');
    const outcome = await client.managedSave(guest.uuid, id, SAVE);
    await inLibvirtd('umount', '/var/lib/libvirt/qemu/save');
    assert.match(outcome.ok ? '' : `${outcome.failure} ${outcome.message}`, /^refused .*No space left on device/);
    assert.deepEqual([await stateOf(guest.uuid), await idOf(guest.uuid)], ['running', id]);
    assert.deepEqual(await client.hasManagedSave(guest.uuid), { ok: true, value: false });
  });

  it('goes on when libvirtd comes back that was killed in the middle, and is not restored from half an image', async () => {
    const id = await idOf(guest.uuid);
    const saving = client.managedSave(guest.uuid, id, SAVE);
    const pid = await writer();
    await lab.libvirtd.stop('SIGKILL');
    assert.equal(kind(await saving), 'disconnected');
    process.kill(pid, 'SIGCONT');
    await lab.libvirtd.start();
    await connected();
    await waitUntil('the guest to go on', async () => (await stateOf(guest.uuid)) === 'running', { seconds: 10 });
    assert.deepEqual(await client.hasManagedSave(guest.uuid), { ok: true, value: true });
    const image = await client.managedSaveXml(guest.uuid);
    assert.match(image.ok ? '' : image.message, /save image is incomplete/);
    await guest.virshOk(['destroy', guest.uuid]);
    const refused = await client.startGuest(guest.uuid, START);
    assert.match(refused.ok ? '' : refused.message, /save image is incomplete/);
    assert.equal(await stateOf(guest.uuid), 'shutoff');
    assert.equal(kind(await client.startGuest(guest.uuid, { ...START, restoreOnly: false })), 'ok');
    assert.deepEqual(await client.hasManagedSave(guest.uuid), { ok: true, value: false });
    await touched();
  });

  it('keeps its image when libvirtd is killed while it is restored', async () => {
    assert.equal(kind(await client.managedSave(guest.uuid, await idOf(guest.uuid), { ...SAVE, paused: true })), 'ok');
    const starting = client.startGuest(guest.uuid, START);
    const pid = await waitForPid();
    process.kill(pid, 'SIGSTOP');
    await lab.libvirtd.stop('SIGKILL');
    assert.equal(kind(await starting), 'disconnected');
    process.kill(pid, 'SIGCONT');
    await lab.libvirtd.start();
    await connected();
    await waitUntil('libvirt to see that it does not run', async () => (await stateOf(guest.uuid)) === 'shutoff', {
      seconds: 10,
    });
    assert.deepEqual(await client.managedSaveXml(guest.uuid), { ok: true, value: { seclabels: [] } });
    assert.equal(kind(await client.startGuest(guest.uuid, START)), 'ok');
    assert.equal(kind(await client.resume(guest.uuid, await idOf(guest.uuid))), 'ok');
  });

  it('keeps its image when QEMU cannot read it, and is not booted instead', async () => {
    assert.equal(kind(await client.managedSave(guest.uuid, await idOf(guest.uuid), SAVE)), 'ok');
    const whole = readFileSync(imagePath);
    truncateSync(imagePath, whole.length / 2);
    const refused = await client.startGuest(guest.uuid, START);
    assert.match(refused.ok ? '' : refused.message, /error while loading state/);
    assert.ok(statSync(imagePath).size > 0);
    truncateSync(imagePath, 0);
    assert.equal(kind(await client.startGuest(guest.uuid, START)), 'refused');
    assert.deepEqual([await stateOf(guest.uuid), statSync(imagePath).size], ['shutoff', 0]);
    // Without being told to restore only, libvirt boots a guest with such an image.
    assert.equal(kind(await client.startGuest(guest.uuid, { ...START, restoreOnly: false })), 'ok');
  });

  it('is restored with what its image says, also by somebody else', async () => {
    assert.equal(kind(await client.managedSave(guest.uuid, await idOf(guest.uuid), SAVE)), 'ok');
    assert.equal(kind(await client.managedSaveDefine(guest.uuid, TEXT)), 'ok');
    assert.equal(kind(await client.managedSaveDefine(guest.uuid, TEXT)), 'ok');
    const refused = await guest.virsh(['start', guest.uuid]);
    assert.match(refused.stderr, /Security driver model 'selinux' is not available/);
    assert.match((await guest.virsh(['undefine', guest.uuid])).stderr, /managed save image exists/);
    assert.equal(kind(await client.managedSaveDefine(guest.uuid, 'dynamic')), 'ok');
    const [mine, theirs] = await Promise.all([
      client.startGuest(guest.uuid, START),
      guest.virsh(['start', guest.uuid]),
    ]);
    assert.equal((mine.ok ? 1 : 0) + (theirs.code === 0 ? 1 : 0), 1, 'one of two that start it at once does');
    assert.equal(await stateOf(guest.uuid), 'running');
  });
});

describe('room for a saved guest', () => {
  it('is what is free in the directory, or why that is not known', async () => {
    const space = await readSaveSpace(saveDir);
    assert.ok(space.ok && space.freeBytes > 0);
    const missing = await readSaveSpace(join(saveDir, 'missing'));
    assert.match(missing.ok ? '' : missing.reason, /ENOENT/);
  });
});

/** The process that writes the guest's image, stopped. */
async function writer(): Promise<number> {
  let found: number | undefined;
  await waitUntil(
    'libvirt to write the image',
    () => {
      found = processes().find((pid) =>
        commandOf(pid).includes(`libvirt_iohelper\0/var/lib/libvirt/qemu/save/${guest.name}`),
      );
      if (found !== undefined) process.kill(found, 'SIGSTOP');
      return found !== undefined;
    },
    { seconds: 10, everyMs: 1 },
  );
  return found ?? assert.fail('nobody writes the image');
}

/** Lets it write a little now and then, as a disk that is too slow does. */
function slowDown(pid: number): { stop(): void } {
  const timer = setInterval(() => {
    try {
      process.kill(pid, 'SIGCONT');
      setTimeout(() => commandOf(pid) !== '' && process.kill(pid, 'SIGSTOP'), 2);
    } catch {
      clearInterval(timer);
    }
  }, 150);
  return { stop: () => clearInterval(timer) };
}

async function waitForPid(): Promise<number> {
  let pid = 0;
  await waitUntil(
    'QEMU to be there',
    () => {
      try {
        pid = guest.pid;
        return true;
      } catch {
        return false;
      }
    },
    { seconds: 20, everyMs: 2 },
  );
  return pid;
}

async function hashOfMemory(): Promise<string> {
  const directory = join(lab.directory, 'dump');
  mkdirSync(directory, { recursive: true });
  chmodSync(directory, 0o777);
  const path = join(directory, 'memory');
  // Under 1 MiB is what the BIOS and the devices use.
  const dump = `pmemsave ${MEBIBYTE} ${TOUCHED - MEBIBYTE} "${path}"`;
  await guest.virshOk(['qemu-monitor-command', guest.uuid, '--hmp', dump]);
  const hash = createHash('sha256').update(readFileSync(path)).digest('hex');
  rmSync(path);
  return hash;
}

async function inLibvirtd(...command: string[]): Promise<void> {
  const pid = readFileSync(join(lab.directory, 'libvirtd.pid'), 'utf8').trim();
  const { code, stderr } = await execute('nsenter', ['-t', pid, '-m', ...command]);
  assert.equal(code, 0, stderr);
}

/** The last page has been counted in. */
async function touched(): Promise<void> {
  const counter = `xp /1wx 0x${(TOUCHED - 4096).toString(16)}`;
  const count = () => guest.virshOk(['qemu-monitor-command', guest.uuid, '--hmp', counter]);
  await waitUntil('the guest to touch its memory', async () => !/: 0x0{8}/.test(await count()), { seconds: 30 });
}

function processes(): number[] {
  return readdirSync('/proc').flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
}

function commandOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1');
  } catch {
    return '';
  }
}

async function connected(): Promise<void> {
  await waitUntil('the client to be connected again', () => client.status().connected, { seconds: 20 });
}

async function idOf(uuid: string): Promise<number> {
  const facts = await client.facts(uuid);
  return (facts.ok ? facts.value.id : null) ?? assert.fail('it does not run');
}

async function stateOf(uuid: string): Promise<string> {
  const facts = await client.facts(uuid);
  return facts.ok ? facts.value.state : facts.failure;
}

function kind(outcome: LibvirtOutcome<unknown>): string {
  return outcome.ok ? 'ok' : `${outcome.failure}`;
}
