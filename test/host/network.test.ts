/** Network limits, measured at real packets between a bridge and the tap of a guest. */
import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { measureUntil } from '../support/cpu-time.js';
import type { Guest } from '../support/guest.js';
import { limitCores } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { Flood, interfaceBytes, LabNetwork, measureInterface } from '../support/network.js';
import { missingForBandwidth } from '../support/tc-stand-in.js';
import { tapQueues } from '../support/tuning-view.js';
import { sleep, waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

const LIMIT = 5e5;
const POLICY = `version: 1
classes:
  to: { network: { limit: { in: 4Mbit/s } } }
  from: { network: { limit: { out: { average: 4Mbit/s, burst: 64KiB } } } }
  both: { cpu: { limit: 40% }, network: { limit: { in: 4Mbit/s, out: 4Mbit/s } } }
assignments:
  - { class: to, match: { name: "sink-*" } }
  - { class: from, match: { name: "source-*" } }
  - { class: both, match: { name: "unable-*" } }
`;
for (const name of ['unable', 'sink', 'source']) lab.uuid(name);
const daemon = await lab.startDaemon({ policies: { '10-network.yaml': POLICY } });

const missing = await missingForBandwidth();
const domiftune = async (guest: Guest) => guest.virshOk(['domiftune', guest.uuid, await guest.tap()]);
const isNear = (rate: number) => Math.abs(rate - LIMIT) <= LIMIT / 10;

// First, with the tc of this host: later there may be another in its place.
test('where the kernel cannot do it the control fails with the reason, half of it stays nowhere, others hold', async (t) => {
  if (missing.length === 0) return t.skip('this kernel has all that libvirt needs for it');
  const guest = await lab.startGuest({ name: 'unable', burn: false, interfaces: [{ source: 'ethernet' }] });
  const status = () => daemon.virtsladOk('status', guest.name);
  await waitUntil('the failure', async () => /^network\.limit +failed /m.test(await status()), {
    seconds: 10,
    everyMs: 100,
  });
  assert.match(await status(), /^network\.limit +failed .*\(tc [^)]+\) unexpected exit status 2/m);
  assert.match(await tapQueues(await guest.tap()), /^qdisc noqueue [^\n]*\n$/, 'something is left on the tap');
  assert.doesNotMatch(await domiftune(guest), /: [^0]/, 'libvirt says that there is a limit');
  const labels = { uuid: guest.uuid, control: 'network.limit', reason: 'failed' };
  assert.equal(await daemon.metric('virtsla_control_noncompliant', labels), 1);
  assert.equal(limitCores(guest.groups, 'vcpu0'), 0.4, 'its other controls are held all the same');
  await guest.destroy();
});

test('a guest receives what its limit allows ± 10 %', async (t) => {
  const network = await LabNetwork.open(lab);
  if (network === null) return t.skip('this host has no taps');
  const bridge = await network.makeBridge();
  const guest = await lab.startGuest({ name: 'sink', burn: false, interfaces: [{ source: { bridge } }] });
  const tap = await guest.tap();
  await daemon.waitUntilCompliant([guest]);
  assert.match(await domiftune(guest), /^inbound\.average: 500$/m);
  const flood = await Flood.start(bridge);
  t.after(() => flood.stop());

  const rate = await measureUntil(isNear, () => measureInterface(tap, 'tx', 2));
  t.diagnostic(`limit 500 kB/s, ${(rate / 1e3).toFixed(1)} reach the guest`);
  if (missing.length > 0) t.diagnostic(`with a stand-in for tc: the kernel has no ${missing.join(', ')}`);
  assert.ok(isNear(rate), `${rate} bytes a second`);
  const metric = await daemon.metric('virtsla_network_limit_actual_bytes_per_second', {
    uuid: guest.uuid,
    interface: tap,
  });
  assert.equal(metric, LIMIT);

  await t.test('what it received and what was dropped is in the metrics', async (t) => {
    const read = (name: string) => daemon.metric(`virtsla_network_${name}_total`, { uuid: guest.uuid, interface: tap });
    const before = (await read('receive_bytes')) ?? 0;
    const isMore = async () => ((await read('receive_bytes')) ?? 0) > before + LIMIT;
    await waitUntil('the bytes in the metrics', isMore, { seconds: 12, everyMs: 200 });
    const [shown, kernel] = [(await read('receive_bytes')) ?? 0, interfaceBytes(tap, 'tx')];
    t.diagnostic(`in the metrics ${shown}, in the kernel ${kernel} bytes`);
    // A cycle of 5 s may lie between the two.
    assert.ok(shown <= kernel && shown > kernel - 8 * LIMIT, `${shown} of ${kernel}`);
    assert.equal(await read('transmit_bytes'), interfaceBytes(tap, 'rx'));
    assert.notEqual(await read('receive_dropped'), null);
  });

  await t.test('a limit that somebody takes off the tap is back with the next cycle', async (t) => {
    await guest.virshOk(['domiftune', guest.uuid, tap, '--live', '--inbound', '0']);
    const began = performance.now();
    const isBack = async () => /rate 4Mbit/.test(await tapQueues(tap));
    await waitUntil('the limit', isBack, { seconds: 10, everyMs: 50 });
    t.diagnostic(`mended ${(performance.now() - began).toFixed(0)} ms after virsh returned`);
    assert.ok(performance.now() - began < 7000);
  });

  await t.test('release takes it off, and more gets through', async (t) => {
    await daemon.virtsladOk('release', guest.name);
    assert.match(await tapQueues(tap), /^qdisc noqueue [^\n]*\n$/);
    assert.doesNotMatch(await domiftune(guest), /: [^0]/);
    const without = await measureUntil(
      (each) => each > 2 * LIMIT,
      () => measureInterface(tap, 'tx', 1),
    );
    t.diagnostic(`${(without / 1e3).toFixed(0)} kB/s`);
    assert.ok(without > 2 * LIMIT, `${without} bytes a second`);
  });
  await guest.destroy();
});

const noPolice = missing.includes('NET_ACT_POLICE')
  ? 'the kernel has no police action, so what comes from a guest can be limited, but not read back'
  : false;

test('a guest sends what its limit allows ± 10 %', { skip: noPolice }, async (t) => {
  const network = await LabNetwork.open(lab);
  if (network === null) return t.skip('this host has no taps');
  const bridge = await network.makeBridge();
  const interfaces = [{ source: { bridge } }];
  const guest = await lab.startGuest({ name: 'source', program: { kind: 'send' }, interfaces });
  await daemon.waitUntilCompliant([guest]);
  await waitUntil('frames', () => interfaceBytes(bridge, 'rx') > LIMIT, { seconds: 20 });
  await sleep(0.5);
  const rate = await measureUntil(isNear, () => measureInterface(bridge, 'rx', 2));
  t.diagnostic(`limit 500 kB/s, ${(rate / 1e3).toFixed(1)} at the bridge`);
  assert.ok(isNear(rate), `${rate} bytes a second`);
  await guest.destroy();
});
