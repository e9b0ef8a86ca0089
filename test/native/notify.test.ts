import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, it } from 'node:test';
import { loadLibrary, requireLibrary } from '../../src/host/ffi.js';
import { notify, watchdogIntervalMs } from '../../src/host/systemd/notify.js';

const systemd = loadLibrary('libsystemd.so.0');

describe('notify', () => {
  afterEach(() => {
    delete process.env.NOTIFY_SOCKET;
  });

  it('does nothing outside a service', () => {
    assert.equal(notify('READY=1', {}), false);
  });

  it('is no failure when the socket is gone', () => {
    process.env.NOTIFY_SOCKET = '/nonexistent/notify';
    assert.equal(notify('READY=1'), false);
  });

  it('tells systemd', { skip: systemd.ok ? false : systemd.reason }, () => {
    const dir = mkdtempSync(join(tmpdir(), 'notify-'));
    const socket = bindDatagramSocket(join(dir, 'socket'));
    try {
      process.env.NOTIFY_SOCKET = join(dir, 'socket');
      assert.equal(notify('READY=1\nSTATUS=holding 3 guests'), true);
      assert.equal(socket.receive(), 'READY=1\nSTATUS=holding 3 guests');
      assert.equal(notify('WATCHDOG=1'), true);
      assert.equal(socket.receive(), 'WATCHDOG=1');
    } finally {
      socket.close();
      rmSync(dir, { recursive: true });
    }
  });
});

describe('watchdogIntervalMs', () => {
  const service = { NOTIFY_SOCKET: '/run/systemd/notify', WATCHDOG_USEC: '30000000', WATCHDOG_PID: '42' };

  it('reads WatchdogSec in ms', () => {
    assert.equal(watchdogIntervalMs(service, 42), 30_000);
    assert.equal(watchdogIntervalMs({ ...service, WATCHDOG_PID: undefined }, 7), 30_000);
  });

  it('is null when nobody, or another process, is watched', () => {
    assert.equal(watchdogIntervalMs(service, 43), null);
    assert.equal(watchdogIntervalMs({}, 42), null);
    assert.equal(watchdogIntervalMs({ ...service, NOTIFY_SOCKET: '' }, 42), null);
    for (const WATCHDOG_USEC of ['0', '-1', 'soon', '', undefined]) {
      assert.equal(watchdogIntervalMs({ ...service, WATCHDOG_USEC }, 42), null);
    }
  });
});

/** Node has no datagram sockets in AF_UNIX; libc does. */
function bindDatagramSocket(path: string) {
  const libc = requireLibrary('libc.so.6');
  const AF_UNIX = 1;
  const SOCK_DGRAM = 2;
  const SOCK_NONBLOCK = 0o4000;
  const open = libc.bind('socket', 'int', ['int', 'int', 'int']) as (...args: number[]) => number;
  const bind = libc.bind('bind', 'int', ['int', 'void *', 'uint']) as (fd: number, to: Uint8Array, n: number) => number;
  const recv = libc.bind('recv', 'int', ['int', 'void *', 'ulong', 'int']) as (
    fd: number,
    buffer: Uint8Array,
    length: number,
    flags: number,
  ) => number;
  const close = libc.bind('close', 'int', ['int']) as (fd: number) => number;
  const fd = open(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  const address = Buffer.alloc(110);
  address.writeUInt16LE(AF_UNIX, 0);
  address.write(path, 2);
  assert.equal(bind(fd, address, address.length), 0);
  return {
    receive() {
      const buffer = Buffer.alloc(4096);
      return buffer.toString('utf8', 0, Math.max(0, recv(fd, buffer, buffer.length, 0)));
    },
    close: () => close(fd),
  };
}
