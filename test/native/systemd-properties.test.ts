/** Unit properties through a real message bus, to a stand-in for systemd that shows what it was told. */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, describe, it, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadLibrary } from '../../src/host/ffi.js';
import {
  type SystemdOutcome,
  type SystemdPropertiesOptions,
  systemdProperties,
  UINT64_MAX,
} from '../../src/host/systemd/properties.js';
import { keepingLog } from '../libvirt/keeping-log.js';
import { waitUntil } from '../support/wait.js';

const STAND_IN = fileURLToPath(new URL('./systemd-stand-in.js', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'systemd-'));
const socketPath = join(directory, 'bus');
const address = `unix:path=${socketPath}`;

/** Why there can be no bus; false when there can. */
function noBus(): string | false {
  const library = loadLibrary('libsystemd.so.0');
  if (!library.ok) return library.reason;
  return spawnSync('dbus-daemon', ['--version']).error === undefined ? false : 'dbus-daemon is not installed';
}

after(() => rmSync(directory, { recursive: true }));

/** On the private bus, with systemd said to be there. */
function properties(t: TestContext, options: Partial<SystemdPropertiesOptions> = {}) {
  const log = keepingLog();
  const systemd = systemdProperties({ log, address, bootedPath: directory, ...options });
  t.after(() => systemd.stop());
  return { systemd, log, events: () => log.lines.map(({ level, event }) => `${level} ${event}`) };
}

function failure(outcome: SystemdOutcome): string {
  return outcome.ok ? 'ok' : outcome.failure;
}

const LOW = [{ name: 'MemoryLow', value: 4096n }] as const;

describe('without systemd', () => {
  it('is absent, says so once, and starts nothing', async (t) => {
    const threads = readdirSync('/proc/self/task').length;
    const { systemd, events } = properties(t, { bootedPath: join(directory, 'none') });
    assert.equal(systemd.available(), false);
    for (let i = 0; i < 3; i++) {
      const outcome = await systemd.set('a.slice', LOW);
      assert.equal(failure(outcome), 'absent');
      assert.match(outcome.ok ? '' : outcome.message, /systemd does not run here/);
    }
    assert.deepEqual(events(), ['warn systemd.absent']);
    assert.equal(readdirSync('/proc/self/task').length, threads);
  });
});

describe('unit properties on a bus', { skip: noBus() }, () => {
  const children: ChildProcess[] = [];
  /** What the stand-in was told, line by line. */
  let told: string[] = [];

  async function startBus(): Promise<ChildProcess> {
    const config = join(directory, 'bus.conf');
    writeFileSync(
      config,
      `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
        "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
      <busconfig><type>system</type><listen>${address}</listen><auth>EXTERNAL</auth>
        <policy context="default"><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
      </busconfig>`,
    );
    return start('dbus-daemon', [`--config-file=${config}`, '--nofork', '--print-address'], 'unix:');
  }

  const startStandIn = () => start(process.execPath, [STAND_IN, address], 'ready');

  async function start(command: string, args: readonly string[], sign: string): Promise<ChildProcess> {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    children.push(child);
    let text = '';
    let complaint = '';
    // A bus says here that it may not raise its limit of descriptors, which is nothing to us.
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
      complaint += chunk;
    });
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk;
      const lines = text.split('\n');
      text = lines.pop() ?? '';
      told.push(...lines);
    });
    const ready = () => {
      if (child.exitCode !== null) throw new Error(`${command} ended: ${complaint}`);
      return told.some((line) => line.startsWith(sign));
    };
    await waitUntil(`${command} to be ready`, ready, { seconds: 20 });
    told = [];
    return child;
  }

  async function end(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  let bus: ChildProcess;
  let standIn: ChildProcess;
  before(async () => {
    bus = await startBus();
    standIn = await startStandIn();
  });
  afterEach(() => {
    told = [];
  });
  after(() => Promise.all(children.map(end)));

  const hear = () => waitUntil('the stand-in to be told', () => told.shift(), { seconds: 5 });

  it('sets all properties of a unit in one call, at run time, and reads them back', async (t) => {
    const { systemd } = properties(t);
    assert.equal(systemd.available(), true);
    const unit = 'machine-qemu\\x2d1\\x2dgüld.scope';
    const outcome = await systemd.set(unit, [
      { name: 'MemoryLow', value: 2n ** 53n + 1n },
      { name: 'MemoryMax', value: UINT64_MAX },
      { name: 'CPUWeight', value: 0n },
    ]);
    assert.deepEqual(outcome, { ok: true });
    assert.deepEqual(JSON.parse(await hear()), {
      unit,
      runtime: true,
      properties: [
        ['MemoryLow', '9007199254740993'],
        ['MemoryMax', '18446744073709551615'],
        ['CPUWeight', '0'],
      ],
    });
    const reading = await systemd.get(unit, ['MemoryMax', 'MemoryLow']);
    assert.deepEqual(reading, { ok: true, values: [UINT64_MAX, 2n ** 53n + 1n] });
    assert.deepEqual(await systemd.get('other.slice', ['MemoryLow']), { ok: true, values: [0n] });
    assert.deepEqual(await systemd.set(unit, []), { ok: true });
  });

  it('sends no number that would become another', async (t) => {
    const { systemd } = properties(t);
    for (const value of [-1n, 2n ** 64n]) {
      assert.equal(failure(await systemd.set('a.slice', [{ name: 'MemoryMax', value }])), 'refused');
    }
    assert.deepEqual(told, []);
  });

  it('makes calls one after the other, in their order', async (t) => {
    const { systemd } = properties(t);
    const values = Array.from({ length: 50 }, (_, i) => BigInt(i));
    const outcomes = await Promise.all(values.map((value) => systemd.set('a.slice', [{ name: 'MemoryLow', value }])));
    assert.ok(outcomes.every(({ ok }) => ok));
    await waitUntil('all lines', () => told.length === values.length, { seconds: 5 });
    assert.deepEqual(
      told.map((line) => JSON.parse(line).properties[0][1]),
      values.map(String),
    );
  });

  it('tells a unit that is gone from a refusal, and gives the reason', async (t) => {
    const { systemd, events } = properties(t);
    assert.deepEqual(await systemd.set('gone.scope', LOW), {
      ok: false,
      failure: 'vanished',
      message: 'GetUnit: Unit gone.scope not loaded.',
    });
    assert.equal(failure((await systemd.get('gone.scope', ['MemoryLow'])) as SystemdOutcome), 'vanished');
    assert.deepEqual(told, [], 'nothing is set on what is not loaded: systemd would make a slice');
    assert.deepEqual(await systemd.set('invalid.slice', [{ name: 'CPUWeight', value: 99_999n }]), {
      ok: false,
      failure: 'refused',
      message: 'SetUnitProperties: Value specified in CPUWeight is out of range',
    });
    assert.equal(failure(await systemd.set('broken \ud800 text.slice', LOW)), 'ok');
    assert.deepEqual(events(), []);
  });

  it('does not wait for ever for systemd, nor once for each call', async (t) => {
    const { systemd, events } = properties(t, { deadlineMs: 1500 });
    const beganMs = performance.now();
    const [silent, queued] = await Promise.all([systemd.set('silent.slice', LOW), systemd.set('b.slice', LOW)]);
    assert.deepEqual([failure(silent), failure(queued)], ['timeout', 'timeout']);
    assert.match(queued.ok ? '' : queued.message, /not asked/);
    assert.deepEqual(await systemd.set('a.slice', LOW), { ok: true });
    assert.deepEqual(
      told.map((line) => JSON.parse(line).unit),
      ['silent.slice', 'a.slice'],
    );
    const elapsedMs = performance.now() - beganMs;
    assert.ok(elapsedMs > 1000 && elapsedMs < 5000, `${elapsedMs} ms`);
    assert.deepEqual(events(), [], 'the bus gave up in time: the thread is free');
  });

  it('does not know what became of a call in which systemd ended', async (t) => {
    const { systemd } = properties(t);
    assert.equal(failure(await systemd.set('dies.slice', LOW)), 'timeout');
    await waitUntil('the stand-in to end', () => standIn.exitCode !== null, { seconds: 5 });
    assert.equal(failure(await systemd.set('a.slice', LOW)), 'absent');
    standIn = await startStandIn();
    assert.deepEqual(await systemd.set('a.slice', LOW), { ok: true });
  });

  it('outlives the bus, and says once that it is gone', async (t) => {
    const { systemd, events } = properties(t);
    assert.deepEqual(await systemd.set('a.slice', LOW), { ok: true });
    await end(bus);
    await end(standIn);
    for (let i = 0; i < 3; i++) assert.equal(failure(await systemd.set('a.slice', LOW)), 'absent');
    rmSync(socketPath, { force: true });
    assert.equal(failure(await systemd.set('a.slice', LOW)), 'absent');
    assert.deepEqual(events(), ['warn systemd.absent']);
    bus = await startBus();
    standIn = await startStandIn();
    assert.deepEqual(await systemd.set('a.slice', LOW), { ok: true });
    await end(bus);
    await end(standIn);
    assert.equal(failure(await systemd.set('a.slice', LOW)), 'absent');
    assert.deepEqual(events(), ['warn systemd.absent', 'warn systemd.absent']);
    bus = await startBus();
    standIn = await startStandIn();
  });

  it('does not notice a bus that was restarted between two calls', async (t) => {
    const { systemd, events } = properties(t);
    assert.deepEqual(await systemd.set('a.slice', LOW), { ok: true });
    await end(bus);
    await end(standIn);
    bus = await startBus();
    standIn = await startStandIn();
    assert.deepEqual(await systemd.set('a.slice', LOW), { ok: true });
    assert.deepEqual(events(), []);
  });

  it('keeps one thread, and none after stop', async (t) => {
    const { systemd } = properties(t);
    const threads = () => readdirSync('/proc/self/task').length;
    const atRest = threads();
    assert.deepEqual(await systemd.set('a.slice', LOW), { ok: true });
    const atWork = threads();
    for (let i = 0; i < 3; i++) assert.deepEqual(await systemd.set('a.slice', LOW), { ok: true });
    assert.equal(threads(), atWork);
    const underWay = systemd.set('a.slice', LOW);
    const queued = systemd.set('a.slice', LOW);
    await systemd.stop();
    assert.deepEqual([failure(await underWay), failure(await queued)], ['absent', 'absent']);
    assert.equal(failure(await systemd.set('a.slice', LOW)), 'absent');
    await waitUntil('the thread to end', () => threads() <= atRest, { seconds: 5 });
  });
});

describe('a bus that takes the connection and says nothing', { skip: noBus() }, () => {
  it('costs two threads more, no longer; they come back when it does', async (t) => {
    const silentPath = join(directory, 'silent');
    const sockets: Socket[] = [];
    const server = createServer((socket) => void sockets.push(socket.on('error', () => {})));
    server.listen(silentPath);
    await once(server, 'listening');
    const options = { address: `unix:path=${silentPath}`, deadlineMs: 700 };
    const { systemd, events } = properties(t, options);
    const release = () => {
      for (const socket of sockets) socket.destroy();
      server.close();
    };
    t.after(release);
    for (let i = 0; i < 3; i++) {
      const outcome = await systemd.set('a.slice', LOW);
      assert.equal(failure(outcome), 'timeout');
      assert.match(outcome.ok ? '' : outcome.message, /within 0.7 s/);
    }
    const beganMs = performance.now();
    const refused = await systemd.set('a.slice', LOW);
    assert.equal(failure(refused), 'timeout');
    assert.match(refused.ok ? '' : refused.message, /3 earlier calls to systemd have not come back/);
    assert.ok(performance.now() - beganMs < 500);
    assert.deepEqual(events(), Array(3).fill('warn systemd.slow'));
    release();
    await waitUntil('the threads to come back', () => events().length === 6, { seconds: 10 });
    assert.deepEqual(events().slice(3), Array(3).fill('info systemd.recovered'));
    assert.equal(failure(await systemd.set('a.slice', LOW)), 'absent', 'the server is closed');
  });
});
