import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { VirtsladError } from '../../src/errors.js';
import { connectSocket, type SocketClient } from '../../src/http/client.js';
import { buildControlApp, type ControlSocket, createControlSocket } from '../../src/http/socket.js';
import type { ApplyReport, Commands } from '../../src/reconcile/types.js';
import { findDomain } from '../../src/snapshot/find-domain.js';
import { fixtureSnapshot, fixtureUuid, HOSTILE_NAME } from '../fixtures/snapshot.js';
import { quietLog, rawExchange } from './fixture-server.js';

const directory = mkdtempSync(join(tmpdir(), 'virtslad-socket-'));
after(() => rmSync(directory, { recursive: true, force: true }));
let sockets = 0;

const REPORT: ApplyReport = { generation: '3f9a1c20be47', changes: [], outcomes: [], stopped: null };

/** Commands that note how they were called. */
function fixtureCommands(changes: Partial<Commands> = {}): {
  readonly commands: Commands;
  readonly calls: unknown[][];
} {
  const calls: unknown[][] = [];
  const snapshot = fixtureSnapshot();
  const note =
    <T>(name: string, answer: T) =>
    async (...asked: unknown[]): Promise<T> => {
      calls.push([name, ...asked]);
      return answer;
    };
  const commands: Commands = {
    snapshot: () => snapshot,
    domain: (nameOrUuid) => findDomain(snapshot.domains, nameOrUuid),
    apply: note('apply', REPORT),
    release: note('release', REPORT),
    resume: note('resume', REPORT),
    hold: note('hold', findDomain(snapshot.domains, 'batch-3')),
    reload: note('reload', { ok: true, generation: '3f9a1c20be47', problems: [] }),
    ...changes,
  };
  return { commands, calls };
}

async function listening(
  commands: Commands,
  body: (client: SocketClient, path: string, socket: ControlSocket) => Promise<void>,
  limits: Parameters<typeof createControlSocket>[0]['limits'] = {},
): Promise<void> {
  const path = join(directory, `s${sockets++}.sock`);
  const socket = createControlSocket({ path, version: '0.1.0', commands, log: quietLog().log, limits });
  await socket.start(new AbortController().signal);
  try {
    const client = await connectSocket(path);
    assert.ok(client !== null);
    await body(client, path, socket);
  } finally {
    await socket.stop();
  }
}

function problem(code: string): (error: unknown) => boolean {
  return (error) => error instanceof VirtsladError && error.code === code;
}

test('every command goes there and back unchanged', async () => {
  const { commands, calls } = fixtureCommands();
  await listening(commands, async (client) => {
    assert.equal(client.version, '0.1.0');
    assert.deepEqual(await client.snapshot(), fixtureSnapshot());
    assert.equal((await client.domain('db-1')).uuid, fixtureUuid(1));
    assert.equal((await client.domain(HOSTILE_NAME)).uuid, fixtureUuid(9));
    assert.deepEqual(await client.apply({ acknowledge: '77ab01cd90ef' }), REPORT);
    await client.apply({ acknowledge: null });
    await client.release({ all: true });
    await client.release({ domain: HOSTILE_NAME });
    await client.resume({ domain: 'a' });
    assert.equal((await client.hold({ domain: 'batch-3' }, 7200)).name, 'batch-3');
    await client.hold({ domain: 'batch-3' }, null);
    assert.deepEqual(await client.reload(), { ok: true, generation: '3f9a1c20be47', problems: [] });
  });
  assert.deepEqual(calls, [
    ['apply', { acknowledge: '77ab01cd90ef' }],
    ['apply', { acknowledge: null }],
    ['release', { all: true }],
    ['release', { domain: HOSTILE_NAME }],
    ['resume', { domain: 'a' }],
    ['hold', { domain: 'batch-3' }, 7200],
    ['hold', { domain: 'batch-3' }, null],
    ['reload'],
  ]);
});

test('a body that is not of its form is refused and nothing is called', async () => {
  const { commands, calls } = fixtureCommands();
  const app = buildControlApp({ path: '', version: '0.1.0', commands, log: quietLog().log });
  for (const [url, payload] of [
    ['/v1/release', {}],
    ['/v1/release', { all: false }],
    ['/v1/release', { all: true, domain: 'a' }],
    ['/v1/release', { domain: '' }],
    ['/v1/release', { domain: 5 }],
    ['/v1/resume', { all: true, more: 1 }],
    ['/v1/hold', { domain: 'a' }],
    ['/v1/hold', { domain: 'a', forSeconds: 0 }],
    ['/v1/hold', { domain: 'a', forSeconds: '7200' }],
    ['/v1/hold', { domain: 'a', forSeconds: 1e12 }],
    ['/v1/apply', {}],
    ['/v1/apply', { acknowledge: 5 }],
    ['/v1/reload', { now: true }],
    ['/v1/reload', []],
  ] as const) {
    const answer = await app.inject({ method: 'POST', url, payload: payload as object });
    assert.equal(answer.statusCode, 400, `${url} ${JSON.stringify(payload)}`);
    assert.equal(answer.json().problems[0].code, 'HTTP_BAD_REQUEST');
  }
  const poisoned = await app.inject({
    method: 'POST',
    url: '/v1/release',
    headers: { 'content-type': 'application/json' },
    payload: '{"all":true,"__proto__":{"x":1}}',
  });
  assert.equal(poisoned.statusCode, 400);
  const form = await app.inject({
    method: 'POST',
    url: '/v1/release',
    headers: { 'content-type': 'text/plain' },
    payload: 'all',
  });
  assert.equal(form.statusCode, 415);
  const large = await app.inject({ method: 'POST', url: '/v1/release', payload: { domain: 'x'.repeat(70_000) } });
  assert.equal(large.statusCode, 413);
  assert.equal((await app.inject({ method: 'GET', url: '/v1/release' })).statusCode, 404, 'no action by GET');
  assert.deepEqual(calls, []);
});

test('problems of the daemon arrive as the same VirtsladError', async () => {
  const refused = [
    { code: 'POLICY_CONFLICT', message: 'no', where: { file: '/a.yaml', line: 3, column: 9 }, fix: 'yes' },
    { code: 'POLICY_OWNER', message: 'no', where: '/b', fix: 'yes' },
  ] as const;
  const { commands } = fixtureCommands({ apply: () => Promise.reject(new VirtsladError(refused)) });
  await listening(commands, async (client) => {
    await assert.rejects(client.apply({ acknowledge: null }), (error: unknown) => {
      assert.ok(error instanceof VirtsladError);
      assert.deepEqual(error.problems, refused);
      return true;
    });
    await assert.rejects(client.domain('nobody'), problem('DOMAIN_UNKNOWN'));
    await assert.rejects(client.domain('x'.repeat(3000)), problem('HTTP_BAD_REQUEST'));
  });
});

test('a defect arrives as INTERNAL, without its stack', async () => {
  const { commands } = fixtureCommands({ reload: () => Promise.reject(new TypeError('x is undefined')) });
  await listening(commands, async (client) => {
    await assert.rejects(client.reload(), (error: unknown) => {
      assert.ok(error instanceof VirtsladError);
      assert.equal(error.code, 'INTERNAL');
      assert.doesNotMatch(error.message, /undefined/);
      return true;
    });
  });
});

test('the socket is for its owner alone, replaces a stale one, and goes when stopped', async () => {
  const { commands } = fixtureCommands();
  const path = join(directory, 'stale.sock');
  const make = (): ControlSocket => createControlSocket({ path, version: '1', commands, log: quietLog().log });
  const first = make();
  await first.start(new AbortController().signal);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  const second = make();
  await second.start(new AbortController().signal);
  await first.stop();
  assert.ok(existsSync(path), 'the first one leaves the socket that is not its own any more');
  assert.equal((await connectSocket(path))?.version, '1');
  await second.stop();
  assert.equal(existsSync(path), false);
  assert.equal(await connectSocket(path), null);
});

test('an abort of the signal stops it', async () => {
  const path = join(directory, 'abort.sock');
  const stop = new AbortController();
  const socket = createControlSocket({ path, version: '1', commands: fixtureCommands().commands, log: quietLog().log });
  await socket.start(stop.signal);
  stop.abort();
  await socket.stop();
  for (let tries = 0; existsSync(path) && tries < 100; tries++) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.equal(existsSync(path), false);
});

test('a file in its place, a path too long and a missing directory are clear', async () => {
  const { commands } = fixtureCommands();
  const start = (path: string): Promise<void> =>
    createControlSocket({ path, version: '1', commands, log: quietLog().log }).start(new AbortController().signal);
  const file = join(directory, 'file');
  writeFileSync(file, 'precious');
  await assert.rejects(start(file), problem('SOCKET_LISTEN_FAILED'));
  assert.equal(statSync(file).size, 8, 'the file is untouched');
  await assert.rejects(start(join(directory, 'x'.repeat(120))), problem('SOCKET_LISTEN_FAILED'));
  await assert.rejects(start(join(directory, 'missing', 's.sock')), problem('SOCKET_LISTEN_FAILED'));
});

test('nobody there is null; who hangs, babbles or ends is told apart', async () => {
  assert.equal(await connectSocket(join(directory, 'never.sock')), null);
  const serve = async (
    handler: Parameters<typeof createServer>[1],
    body: (path: string) => Promise<void>,
  ): Promise<void> => {
    const path = join(directory, `other${sockets++}.sock`);
    const server = createServer(handler as never).listen(path);
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      await body(path);
    } finally {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    }
  };
  await serve(
    () => {},
    (path) => assert.rejects(connectSocket(path, { connectDeadlineMs: 50 }), problem('SOCKET_TIMEOUT')),
  );
  await serve(
    (_request, response) => response.end('<html>'),
    (path) => assert.rejects(connectSocket(path), problem('SOCKET_PROTOCOL')),
  );
  await serve(
    (_request, response) => response.writeHead(500).end('{}'),
    (path) => assert.rejects(connectSocket(path), problem('SOCKET_PROTOCOL')),
  );
  await serve(
    (request) => request.socket.destroy(),
    (path) => assert.rejects(connectSocket(path), problem('SOCKET_PROTOCOL')),
  );
  // Ends in the middle of its answer.
  await serve(
    (_request, response) => {
      response.writeHead(200, { 'content-length': 100 });
      response.write('{', () => response.destroy());
    },
    (path) => assert.rejects(connectSocket(path), problem('SOCKET_PROTOCOL')),
  );
});

test('a daemon that ends between two commands is a problem, not a hang', async () => {
  const { commands } = fixtureCommands();
  await listening(commands, async (client, _path, socket) => {
    await socket.stop();
    await assert.rejects(client.reload(), problem('SOCKET_PROTOCOL'));
  });
});

test('a command that outlives its deadline is given up on both sides', async () => {
  const { commands } = fixtureCommands({ reload: () => new Promise(() => {}) });
  await listening(
    commands,
    async (client, path) => {
      await assert.rejects(client.reload(), problem('HTTP_OVERLOADED'));
      const hasty = await connectSocket(path, { deadlineMs: 20 });
      await assert.rejects(hasty?.reload() ?? Promise.resolve(), problem('SOCKET_TIMEOUT'));
    },
    { handlerTimeoutMs: 100 },
  );
});

test('a client that sends half a request is cut off', async () => {
  const { commands, calls } = fixtureCommands();
  await listening(
    commands,
    async (_client, path) => {
      const head =
        'POST /v1/release HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 12\r\n\r\n{"all"';
      const { answer, ms } = await rawExchange({ path }, head);
      assert.match(answer, /^HTTP\/1\.1 408 /);
      assert.ok(ms < 3000);
    },
    { headersTimeoutMs: 100, requestTimeoutMs: 200, checkIntervalMs: 50 },
  );
  assert.deepEqual(calls, []);
});
