/**
 * What libvirt and QEMU make of disk throttles: that the text of what is set is the text of what is read back, from the XML
 * and from QEMU, and in what words they refuse. A disk is throttled in full by one call, whatever it had before.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import type { DiskThrottle, ThrottleField, Tuning } from '../../src/domains/types.js';
import type { DiskReading, LibvirtOutcome, TuneCall } from '../../src/host/libvirt/client.js';
import { connectLibvirt } from '../../src/host/libvirt/connect.js';
import { formatDiskThrottle, parseDiskThrottle } from '../../src/text/disk-throttle.js';
import { Lab } from '../support/lab.js';
import { waitUntil } from '../support/wait.js';
import { keepingLog } from './keeping-log.js';

const ROUNDS = 60;
const NONE: DiskThrottle = { fields: {}, group: null };

const lab = await Lab.open();
after(() => lab.close());
const vhostSocket = join(lab.directory, 'vhost.sock');
serveVhostUserDisk();
await waitUntil('the vhost-user backend', () => existsSync(vhostSocket), { seconds: 10 });
chmodSync(vhostSocket, 0o666);
const guest = await lab.startGuest({
  name: 'throttled',
  burn: false,
  tuningXml: "<memoryBacking><source type='memfd'/><access mode='shared'/></memoryBacking>",
  disks: [
    { target: 'vdb', path: image('vdb') },
    { target: 'hdc', path: null, cdrom: true },
  ],
  devicesXml: `<disk type='vhostuser' device='disk'>
    <driver name='qemu' type='raw'/><source type='unix' path='${vhostSocket}'/><target dev='vdv' bus='virtio'/>
  </disk>`,
});
const client = connectLibvirt({ uri: lab.libvirtd.uri, log: keepingLog() });
let id = 0;

describe('throttles of disks in libvirt and QEMU', () => {
  before(async () => {
    await client.start(new AbortController().signal);
    id = value(await client.facts(guest.uuid)).id ?? 0;
  });
  after(() => client.stop());

  it('read back as they were set, whatever was set before', async () => {
    const random = numbersFrom(20_231);
    for (let round = 0; round < ROUNDS; round++) {
      const throttle = randomThrottle(random);
      const text = formatDiskThrottle(throttle);
      await tuned({ call: 'throttle', disk: 'vdb', throttle });
      const fromXml = (await tuning()).disks.find(({ target }) => target === 'vdb')?.throttle;
      const fromQemu = (await reading('vdb')).throttle;
      assert.equal(formatDiskThrottle(fromXml ?? NONE), text, `by the XML, round ${round}`);
      assert.equal(formatDiskThrottle(fromQemu ?? NONE), text, `by QEMU, round ${round}`);
      // And once more from the text, as an original is put back.
      if (round % 10 !== 0) continue;
      await tuned({ call: 'throttle', disk: 'vdb', throttle: NONE });
      await tuned({ call: 'throttle', disk: 'vdb', throttle: parseDiskThrottle(text) ?? assert.fail(text) });
      assert.equal(formatDiskThrottle((await reading('vdb')).throttle ?? NONE), text);
    }
    await tuned({ call: 'throttle', disk: 'vdb', throttle: NONE });
    assert.equal(formatDiskThrottle((await reading('vdb')).throttle ?? NONE), 'none');
  });

  it('are refused in words of libvirt or QEMU, and then nothing has changed', async () => {
    const before = (await tuning()).disks;
    for (const [fields, words] of [
      [{ total_iops_sec: 5, read_iops_sec: 5 }, /total and read\/write of iops_sec cannot be set at the same time/],
      [{ read_iops_sec: 5, read_iops_sec_max: 4 }, /'read_iops_sec_max' cannot be smaller than 'read_iops_sec'/],
      [{ read_iops_sec_max: 4 }, /cannot reset 'read_iops_sec' when 'read_iops_sec_max' is set/],
      [{ total_iops_sec: 1.1e15 }, /must be no more than 1000000000000000/],
      [{ total_bytes_sec: 5_000_000, size_iops_sec: 4096 }, /iops size requires an iops value to be set/],
    ] as const) {
      assert.match(await refusal({ call: 'throttle', disk: 'vdb', throttle: { fields, group: null } }), words);
    }
    assert.deepEqual((await tuning()).disks, before);
  });

  it('of a drive without a medium are kept for the medium', async () => {
    const throttle: DiskThrottle = { fields: { total_iops_sec: 77 }, group: null };
    await tuned({ call: 'throttle', disk: 'hdc', throttle });
    const empty = await reading('hdc');
    assert.deepEqual([empty.throttle, typeof empty.throttleProblem], [null, 'string']);
    await guest.virsh(['change-media', guest.uuid, 'hdc', image('medium'), '--insert', '--live']);
    assert.equal(formatDiskThrottle((await reading('hdc')).throttle ?? NONE), 'total_iops_sec=77');
    assert.equal((await tuning()).disks.find(({ target }) => target === 'hdc')?.empty, false);
    await guest.virsh(['change-media', guest.uuid, 'hdc', '--eject', '--live', '--force']);
    await tuned({ call: 'throttle', disk: 'hdc', throttle: NONE });
  });

  it('are nothing for a disk that another process serves', async () => {
    const words = /^disk vdv: unsupported configuration: a block I\/O throttling is not supported for vhostuser disk/;
    assert.match(
      await refusal({ call: 'throttle', disk: 'vdv', throttle: { fields: { total_iops_sec: 5 }, group: null } }),
      words,
    );
    const { throttle, throttleProblem, counters } = await reading('vdv');
    assert.deepEqual([throttle, counters], [null, null]);
    assert.match(throttleProblem ?? '', /not supported for vhostuser disk/);
  });

  it('on a device of the host are taken by libvirt as text', async () => {
    const device = join(lab.directory, 'device');
    execFileSync('mknod', [device, 'b', '7', '0']);
    const list = `${device},1000`;
    await tuned({ call: 'blkio', parameters: { device_read_iops_sec: list, device_write_bytes_sec: list } });
    assert.deepEqual((await tuning()).blkio.devices, [
      { path: device, readOperationsPerSecond: 1000, writeBytesPerSecond: 1000 },
    ]);
    await tuned({
      call: 'blkio',
      parameters: { device_read_iops_sec: `${device},0`, device_write_bytes_sec: `${device},0` },
    });
    assert.deepEqual((await tuning()).blkio.devices, []);
    assert.match(
      await refusal({ call: 'blkio', parameters: { device_read_iops_sec: '/dev/nope,5' } }),
      /'\/dev\/nope' is not accessible/,
    );
  });
});

/** Valid in the eyes of libvirt and QEMU: total or read and write, bursts above their limits, sizes with requests only. */
function randomThrottle(random: () => number): DiskThrottle {
  const fields: Partial<Record<ThrottleField, number>> = {};
  const number = (most: number) => 1 + Math.floor(random() * most);
  const limit = (name: `${'total' | 'read' | 'write'}_${'bytes' | 'iops'}_sec`) => {
    const limited = number(1e6);
    fields[name] = limited;
    if (random() < 0.5) return;
    fields[`${name}_max`] = limited + number(1e6);
    if (random() < 0.7) fields[`${name}_max_length`] = number(100);
  };
  for (const kind of ['bytes', 'iops'] as const) {
    const draw = random();
    if (draw < 0.3) limit(`total_${kind}_sec`);
    if (draw >= 0.3 && draw < 0.8) limit(`read_${kind}_sec`);
    if (draw >= 0.6) limit(`write_${kind}_sec`);
    if (kind === 'iops' && draw < 0.9 && random() < 0.3) fields.size_iops_sec = number(65_536);
  }
  const group = random() < 0.3 ? `group ${number(3)} %ü&<'` : null;
  return { fields, group };
}

/** A small generator of its own, so that a failure can be had again. */
function numbersFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

function image(name: string): string {
  const path = join(lab.directory, 'images', `${name}.img`);
  writeFileSync(path, Buffer.alloc(1024 ** 2), { mode: 0o666 });
  return path;
}

function serveVhostUserDisk(): void {
  const backend = spawn(
    'qemu-storage-daemon',
    [
      ['--blockdev', `driver=file,node-name=disk,filename=${image('vhost')}`],
      ['--export', `type=vhost-user-blk,id=export,node-name=disk,addr.type=unix,addr.path=${vhostSocket},writable=on`],
    ].flat(),
    { stdio: 'ignore' },
  );
  lab.cleanup.defer('end the vhost-user backend', () => void backend.kill());
}

async function tuned(...calls: TuneCall[]): Promise<void> {
  assert.deepEqual(await client.tune(guest.uuid, id, calls), { ok: true, value: null }, JSON.stringify(calls));
}

async function refusal(call: TuneCall): Promise<string> {
  const outcome = await client.tune(guest.uuid, id, [call]);
  return outcome.ok ? assert.fail('it was not refused') : outcome.message;
}

async function tuning(): Promise<Tuning> {
  return value(await client.facts(guest.uuid)).tuning;
}

async function reading(disk: string): Promise<DiskReading> {
  const readings = value(await client.disks(guest.uuid, id));
  return readings.find(({ target }) => target === disk) ?? assert.fail(`no reading of ${disk}`);
}

function value<T>(outcome: LibvirtOutcome<T>): T {
  return outcome.ok ? outcome.value : assert.fail(`${outcome.failure}: ${outcome.message}`);
}
