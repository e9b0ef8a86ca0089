/**
 * What libvirt makes of the bandwidth of interfaces: that the text of what is set is the text of what is read back, and
 * that nothing is left of what failed.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Bandwidth, InterfaceDevice } from '../../src/domains/types.js';
import type { TuneCall } from '../../src/host/libvirt/client.js';
import { connectLibvirt } from '../../src/host/libvirt/connect.js';
import { formatBandwidth } from '../../src/text/bandwidth.js';
import { output } from '../support/command.js';
import { Lab } from '../support/lab.js';
import { keepingLog } from './keeping-log.js';
import { openTapLab } from './tap-lab.js';

const { lab, tcFails } = await openTapLab(() => Lab.open());
after(() => lab.close());
const guest = await lab.startGuest({ name: 'limited', burn: false, interfaces: [{ source: 'ethernet' }] });
const device = await guest.tap();
const client = connectLibvirt({ uri: lab.libvirtd.uri, log: keepingLog() });
let id = 0;

describe('bandwidth of interfaces in libvirt', () => {
  before(async () => {
    await client.start(new AbortController().signal);
    id = (await facts()).id ?? 0;
  });
  after(() => client.stop());

  it('reads back as it was set', async () => {
    const rates: Bandwidth[] = [
      { averageKbytes: 1 },
      { averageKbytes: 4_294_967_295 },
      { averageKbytes: 1000, peakKbytes: 500 },
      { averageKbytes: 1000, peakKbytes: 4_294_967_295, burstKbytes: 1 },
      // tc keeps a burst in 32 bits, as bytes.
      { averageKbytes: 12_345, burstKbytes: 4_194_303 },
    ];
    for (const [index, inbound] of rates.entries()) {
      const outbound = rates[(index + 1) % rates.length] ?? null;
      assert.deepEqual(await set({ inbound, outbound }), { ok: true, value: null });
      const now = await interfaceNow();
      assert.equal(formatBandwidth(now.inbound), formatBandwidth(inbound));
      assert.equal(formatBandwidth(now.outbound), formatBandwidth(outbound));
    }
    assert.equal((await set({ inbound: null, outbound: null })).ok, true);
  });

  it('is refused in one line, without the usage of tc', async () => {
    const outcome = await set({ inbound: { averageKbytes: 1000, burstKbytes: 4_194_304 } });
    assert.match(outcome.ok ? '' : outcome.message, /^interface vnet\d+: .*Illegal "burst"$/);
    const floor = await set({ inbound: { averageKbytes: 1000, floorKbytes: 10 } });
    assert.match(floor.ok ? '' : floor.message, /Invalid use of 'floor'/);
  });

  it('that fails halfway leaves no half of it', async () => {
    tcFails(true);
    const outcome = await set({ inbound: { averageKbytes: 10 } });
    tcFails(false);
    assert.match(outcome.ok ? '' : outcome.message, /Specified qdisc kind is unknown/);
    assert.equal((await interfaceNow()).inbound, null);
    assert.doesNotMatch(await output('tc', ['qdisc', 'show', 'dev', device]), /htb/);
    assert.equal((await set({ inbound: { averageKbytes: 10 } })).ok, true);
    assert.match(await output('tc', ['class', 'show', 'dev', device]), /rate 80Kbit/);
  });
});

function set(limits: Omit<Extract<TuneCall, { call: 'bandwidth' }>, 'call' | 'device'>) {
  return client.tune(guest.uuid, id, [{ call: 'bandwidth', device, ...limits }]);
}

async function facts() {
  const outcome = await client.facts(guest.uuid);
  return outcome.ok ? outcome.value : assert.fail(outcome.message);
}

async function interfaceNow(): Promise<InterfaceDevice> {
  return (await facts()).tuning.interfaces[0] ?? assert.fail('no interface');
}
