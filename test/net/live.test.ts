/** The kernel of this machine: limits and counters of devices in a network namespace of their own. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Bandwidth } from '../../src/domains/types.js';
import { holdsBandwidth, type Shaper } from '../../src/host/net/bandwidth.js';
import type { CounterReading } from '../../src/host/net/counters.js';
import type { InterfaceIdentity } from '../../src/host/net/interface.js';
import type { BandwidthReading } from '../../src/host/net/tc.js';
import { runInNamespace, whyNoNamespace } from './namespace.js';

const IMPORTS = {
  TrafficControl: import.meta.resolve('../../src/host/net/tc.js'),
  InterfaceCounters: import.meta.resolve('../../src/host/net/counters.js'),
  interfaceIdentity: import.meta.resolve('../../src/host/net/interface.js'),
};

/** The commands of virNetDevBandwidthSet (libvirt 9.0) that carry the figures. */
const HTB = `
  const setHtb = (rate) => {
    sh('tc qdisc del dev vnet0 root 2>/dev/null || :');
    sh('tc qdisc add dev vnet0 root handle 1: htb default 1');
    sh('tc class add dev vnet0 parent 1: classid 1:1 htb quantum 1500 ' + rate);
  };`;
const POLICE = `
  const setPolice = (rate) => {
    sh('tc qdisc del dev vnet0 ingress 2>/dev/null || :');
    sh('tc qdisc add dev vnet0 ingress');
    sh('tc filter add dev vnet0 parent ffff: protocol all u32 match u32 0 0 police ' + rate + ' mtu 64kb drop flowid :1');
  };`;

const ASKED: readonly Bandwidth[] = [
  { averageKbytes: 1 },
  { averageKbytes: 1, burstKbytes: 1024 },
  { averageKbytes: 1000 },
  { averageKbytes: 1000, peakKbytes: 2000, burstKbytes: 100 },
  { averageKbytes: 125_000, peakKbytes: 125_000, burstKbytes: 1 },
  { averageKbytes: 999_999, burstKbytes: 777 },
  { averageKbytes: 1_250_000, peakKbytes: 2_500_000, burstKbytes: 4097 },
  { averageKbytes: 5_000_000, peakKbytes: 6_000_000, burstKbytes: 10_240 },
  { averageKbytes: 4_294_967_295 },
];

describe('this kernel', { skip: whyNoNamespace() }, () => {
  it('holds an HTB class of every size as it was asked for', (t) => {
    const rates = ASKED.map(({ averageKbytes, peakKbytes, burstKbytes }) =>
      [
        `rate ${averageKbytes}kbps`,
        peakKbytes === undefined ? '' : `ceil ${peakKbytes}kbps`,
        burstKbytes === undefined ? '' : `burst ${burstKbytes}kb`,
      ].join(' '),
    );
    compare(t, 'htb', `${HTB} const set = setHtb;`, rates, 'in');
  });

  it('holds a policer of every size as it was asked for', (t) => {
    const rates = ASKED.map(
      ({ averageKbytes, burstKbytes }) =>
        `rate ${averageKbytes}kbps burst ${burstKbytes ?? Math.min(averageKbytes, 4_194_303)}kb`,
    );
    compare(t, 'police', `${POLICE} const set = setPolice;`, rates, 'out');
  });

  it('tells a limit that is gone, and an interface that is, from one that never was', () => {
    const readings = runInNamespace(
      `const tc = new TrafficControl();
      sh('ip tuntap add vnet0 mode tap');
      const readings = [tc.read('vnet0', 'tap')];
      sh('tc qdisc add dev vnet0 root handle 1: htb default 1; tc qdisc add dev vnet0 ingress');
      readings.push(tc.read('vnet0', 'tap'));
      sh('tc class add dev vnet0 parent 1: classid 1:1 htb rate 10kbps; tc qdisc del dev vnet0 root');
      readings.push(tc.read('vnet0', 'tap'));
      sh('ip link del vnet0');
      report([...readings, tc.read('vnet0', 'tap'), tc.read('lo', 'other')]);`,
      IMPORTS,
    ) as BandwidthReading[];
    const none = { state: 'read', ifindex: 2, in: null, out: null };
    assert.deepEqual(readings, [none, none, none, { state: 'vanished' }, { ...none, ifindex: 1 }]);
  });

  it('finds the class of one among many, and through many that are not', () => {
    const readings = runInNamespace(
      `const tc = new TrafficControl();
      const taps = Array.from({ length: 30 }, (_, n) => n);
      const batch = (command, lines) => execFileSync(command, ['-batch', '-'], { input: lines.join('\\n'), stdio: 'pipe' });
      batch('ip', taps.map((n) => \`tuntap add tap\${n} mode tap\`));
      batch('tc', taps.flatMap((n) => [
        \`qdisc add dev tap\${n} root handle 1: htb default 1\`,
        \`class add dev tap\${n} parent 1: classid 1:1 htb rate \${n + 1}kbps\`,
      ]));
      const more = Array.from({ length: 400 }, (_, n) => (n + 2).toString(16));
      batch('tc', more.map((n) => \`class add dev tap7 parent 1: classid 1:\${n} htb rate 9kbps\`));
      report(taps.map((n) => tc.read('tap' + n, 'tap')));`,
      IMPORTS,
    ) as BandwidthReading[];
    assert.deepEqual(
      readings.map((reading) => reading.state === 'read' && reading.in?.averageBytesPerSecond),
      readings.map((_, number) => 1000 * (number + 1)),
    );
  });

  it('counts from the side of the guest', () => {
    // A pair of ends: what one sends the other receives. Seen as taps, each is the host's end of a guest's cable.
    const [from, to] = runInNamespace(
      `import { createSocket } from 'node:dgram';
      sh(\`for f in /proc/sys/net/ipv6/conf/*/disable_ipv6; do echo 1 > $f; done 2>/dev/null || :
        ip link add v0 type veth peer name v1
        for f in /proc/sys/net/ipv6/conf/v?/disable_ipv6; do echo 1 > $f; done 2>/dev/null || :
        ip address add 10.9.0.1/24 dev v0; ip link set v0 up; ip link set v1 up
        ip neighbour add 10.9.0.9 lladdr 02:00:00:00:00:09 dev v0 nud permanent\`);
      const socket = createSocket('udp4');
      const send = () => new Promise((resolve) => socket.send(Buffer.alloc(1000), 9, '10.9.0.9', resolve));
      const counters = new InterfaceCounters();
      const before = ['v0', 'v1'].map((device) => counters.read(device));
      for (let n = 0; n < 100; n++) await send();
      await new Promise((resolve) => setTimeout(resolve, 200));
      const after = ['v0', 'v1'].map((device) => counters.read(device));
      socket.close();
      report(after.map(({ counters }, at) =>
        Object.fromEntries(Object.entries(counters).map(([key, value]) => [key, value - before[at].counters[key]]))));`,
      IMPORTS,
    ) as Record<string, number>[];
    // 1000 bytes, 8 of UDP, 20 of IPv4, 14 of Ethernet.
    const hundred = 104_200;
    const none = {
      receivedBytes: 0,
      receivedPackets: 0,
      receivedDropped: 0,
      sentBytes: 0,
      sentPackets: 0,
      sentDropped: 0,
    };
    assert.deepEqual(from, { ...none, receivedBytes: hundred, receivedPackets: 100 });
    assert.equal(to?.sentBytes, hundred);
    assert.equal(to?.sentPackets, 100);
    assert.equal(to?.receivedBytes, 0);
  });

  it('gives a device made anew a number of its own, and the counters follow', () => {
    const { identities, readings } = runInNamespace(
      `const counters = new InterfaceCounters();
      const identities = [], readings = [];
      const look = (known) => { identities.push(interfaceIdentity('vnet0')); readings.push(counters.read('vnet0', known)); };
      sh('ip tuntap add vnet0 mode tap'); look();
      sh('ip link del vnet0'); look();
      sh('ip tuntap add vnet0 mode tap'); look();
      sh('ip link set vnet0 name other; ip link add link other name vnet0 type macvtap mode bridge'); look(identities.at(-1).ifindex);
      look(interfaceIdentity('vnet0').ifindex);
      report({ identities, readings });`,
      IMPORTS,
    ) as { identities: InterfaceIdentity[]; readings: CounterReading[] };
    assert.deepEqual(identities, [
      { state: 'found', ifindex: 2, kind: 'tap' },
      { state: 'vanished' },
      { state: 'found', ifindex: 3, kind: 'tap' },
      { state: 'found', ifindex: 4, kind: 'macvtap' },
      { state: 'found', ifindex: 4, kind: 'macvtap' },
    ]);
    // The fourth was told of the device as it was before, which is still there under another name.
    assert.deepEqual(
      readings.map((reading) => (reading.state === 'read' ? reading.ifindex : reading.state)),
      [2, 'vanished', 3, 3, 4],
    );
  });

  it('has no descriptor left, and everything is read again once it has', () => {
    const readings = runInNamespace(
      `import { closeSync, openSync } from 'node:fs';
      sh('ip tuntap add vnet0 mode tap');
      const tc = new TrafficControl(), counters = new InterfaceCounters();
      // The library is there before the descriptors go.
      new TrafficControl().read('lo', 'other');
      const states = () => [tc.read('vnet0', 'tap'), counters.read('vnet0'), interfaceIdentity('vnet0')];
      const taken = [];
      try { for (;;) taken.push(openSync('/dev/null')); } catch {}
      const without = states();
      for (let n = 0; n < 2; n++) closeSync(taken.pop());
      const withTwo = states();
      for (const fd of taken) closeSync(fd);
      report([...without, ...withTwo, ...states()]);`,
      IMPORTS,
    ) as { state: string; reason?: string }[];
    assert.deepEqual(
      readings.map(({ state }) => state),
      ['unreadable', 'unreadable', 'unreadable', 'read', 'unreadable', 'found', 'read', 'read', 'found'],
    );
    assert.deepEqual(
      readings.slice(0, 3).map(({ reason }) => reason),
      ['EMFILE', 'EMFILE', 'EMFILE'],
    );
  });
});

/** Sets each of these rates as libvirt would and compares what the kernel has with what was asked for. */
function compare(
  t: { skip(reason: string): void; diagnostic(text: string): void },
  shaper: Shaper,
  setter: string,
  rates: readonly string[],
  direction: 'in' | 'out',
): void {
  const result = runInNamespace(
    `${setter}
    sh('ip tuntap add vnet0 mode tap');
    const tc = new TrafficControl();
    let lacking = null;
    try { set('rate 8kbit burst 1kb'); } catch (error) { lacking = error.stderr.trim(); }
    if (lacking !== null) report(lacking);
    else report(${JSON.stringify(rates)}.map((rate) => {
      set(rate);
      const began = performance.now();
      for (let n = 0; n < 100; n++) tc.read('vnet0', 'tap');
      const usec = (performance.now() - began) * 10;
      return { reading: tc.read('vnet0', 'tap'), usec };
    }));`,
    IMPORTS,
  ) as string | { reading: BandwidthReading; usec: number }[];
  if (typeof result === 'string') {
    t.skip(`this kernel cannot do it: ${result}`);
    return;
  }
  t.diagnostic(`a reading takes ${Math.min(...result.map(({ usec }) => usec)).toFixed(1)} µs`);
  for (const [index, asked] of ASKED.entries()) {
    const reading: BandwidthReading | undefined = result[index]?.reading;
    assert.ok(reading?.state === 'read');
    assert.ok(holdsBandwidth(reading[direction], asked, shaper), JSON.stringify({ asked, reading }));
    assert.equal(reading[direction === 'in' ? 'out' : 'in'], null);
  }
}
