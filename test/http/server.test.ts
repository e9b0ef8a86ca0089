import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { createServer } from 'node:net';
import { test } from 'node:test';
import { VirtsladError } from '../../src/errors.js';
import { buildWebApp, createWebServer, type WebServer, type WebServerOptions } from '../../src/http/server.js';
import type { Snapshot } from '../../src/snapshot/types.js';
import { fixtureDomain, fixtureSnapshot, fixtureUuid, HOSTILE_NAME } from '../fixtures/snapshot.js';
import { FIXTURE_METRICS, quietLog, rawExchange } from './fixture-server.js';

function options(changes: Partial<WebServerOptions> = {}): WebServerOptions {
  const snapshot = fixtureSnapshot();
  return {
    listenAddress: '127.0.0.1:0',
    snapshot: () => snapshot,
    metrics: FIXTURE_METRICS,
    log: quietLog().log,
    ...changes,
  };
}

function appOf(snapshot: Snapshot = fixtureSnapshot()): ReturnType<typeof buildWebApp> {
  return buildWebApp(options({ snapshot: () => snapshot }));
}

function portOf(server: WebServer): number {
  return Number(new URL(server.url() ?? '').port);
}

test('/metrics gives the rendered bytes and their content type', async () => {
  const answer = await appOf().inject('/metrics');
  assert.equal(answer.statusCode, 200);
  assert.equal(answer.headers['content-type'], 'text/plain; version=0.0.4; charset=utf-8');
  assert.equal(answer.body, 'up 1\n');
});

test('ready says why not; healthy is healthy all the same', async () => {
  const ready = async (changes: Partial<Snapshot>): Promise<[number, string]> => {
    const answer = await appOf(fixtureSnapshot(changes)).inject('/-/ready');
    return [answer.statusCode, answer.body];
  };
  assert.deepEqual(await ready({}), [200, 'ready\n']);
  assert.deepEqual(await ready({ ready: false }), [503, 'the first reconcile is not done\n']);
  assert.deepEqual(await ready({ generation: null }), [503, 'no policy is in force\n']);
  const problem = 'a.yaml:1:1: empty';
  assert.deepEqual(await ready({ generation: null, policyProblems: [problem] }), [
    503,
    `no policy is in force: ${problem}\n`,
  ]);
  assert.equal((await appOf(fixtureSnapshot({ ready: false })).inject('/-/healthy')).statusCode, 200);
});

test('the API shows status, guests, one guest by uuid or name, and the policy', async () => {
  const app = appOf();
  const status = (await app.inject('/api/v1/status')).json();
  assert.deepEqual(status.domains, { total: 11, running: 10, managed: 10, compliant: 2, noncompliant: 7, held: 2 });
  assert.equal(status.mode, 'enforce');
  const { domains } = (await app.inject('/api/v1/domains')).json();
  assert.equal(domains.length, 11);
  assert.equal('settings' in domains[0].controls[0], false);
  const byUuid = await app.inject(`/api/v1/domains/${fixtureUuid(1)}`);
  assert.equal(byUuid.json().controls[0].settings[0].key, 'cpu.weight');
  assert.deepEqual((await app.inject('/api/v1/domains/db-1')).json(), byUuid.json());
  const hostile = await app.inject(`/api/v1/domains/${encodeURIComponent(HOSTILE_NAME)}`);
  assert.equal(hostile.json().uuid, fixtureUuid(9));
  const policy = (await app.inject('/api/v1/policy')).json();
  assert.equal(policy.generation.id, '3f9a1c20be47');
  assert.deepEqual(
    policy.classes.map(({ name }: { name: string }) => name),
    ['bronze', 'gold', 'silver'],
  );
});

test('a guest that is not there is 404, a name that two have is 409, both with a code', async () => {
  const twins = fixtureSnapshot({ domains: [fixtureDomain(1, { name: 'twin' }), fixtureDomain(2, { name: 'twin' })] });
  const missing = await appOf(twins).inject('/api/v1/domains/nobody');
  assert.equal(missing.statusCode, 404);
  assert.equal(missing.json().problems[0].code, 'DOMAIN_UNKNOWN');
  const both = await appOf(twins).inject('/api/v1/domains/twin');
  assert.equal(both.statusCode, 409);
  assert.match(both.json().problems[0].fix, new RegExp(`${fixtureUuid(1)}, ${fixtureUuid(2)}`));
});

test('unknown and malformed paths are problems with a code and no more', async () => {
  const app = appOf();
  for (const [url, status, code] of [
    ['/nope', 404, 'HTTP_NOT_FOUND'],
    ['/api/v1/domains/', 404, 'DOMAIN_UNKNOWN'],
    ['/%zz', 400, 'HTTP_BAD_REQUEST'],
    [`/api/v1/domains/${'x'.repeat(3000)}`, 414, 'HTTP_BAD_REQUEST'],
  ] as const) {
    const answer = await app.inject(url);
    assert.equal(answer.statusCode, status, url.slice(0, 40));
    assert.equal(answer.json().problems[0].code, code);
  }
});

test('only GET and HEAD are answered, wherever the request goes', async () => {
  const app = appOf();
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const) {
    for (const url of ['/', '/metrics', '/v1/release', '/nope']) {
      const answer = await app.inject({ method, url, ...(method === 'OPTIONS' ? {} : { payload: { all: true } }) });
      assert.equal(answer.statusCode, 405, `${method} ${url}`);
      assert.equal(answer.headers.allow, 'GET, HEAD');
      assert.equal(answer.json().problems[0].code, 'HTTP_METHOD');
    }
  }
  const head = await app.inject({ method: 'HEAD', url: '/metrics' });
  assert.equal(head.statusCode, 200);
  assert.equal(head.body, '');
});

test('a defect is logged with its stack and answered without', async () => {
  const { log, lines } = quietLog();
  const broken = { render: () => Promise.reject(new Error('secret detail at /etc/shadow')) };
  const answer = await buildWebApp(options({ metrics: broken, log })).inject('/metrics');
  assert.equal(answer.statusCode, 500);
  assert.equal(answer.json().problems[0].code, 'INTERNAL');
  assert.doesNotMatch(answer.body, /secret|\.js|at /);
  assert.ok(
    lines.some((line) => line.includes('http.defect') && line.includes('secret detail') && line.includes('stack')),
  );
});

test('the page is escaped, allows no script and no other origin, and says the same as the guests', async () => {
  const answer = await appOf().inject('/');
  const policy = String(answer.headers['content-security-policy']);
  assert.match(policy, /default-src 'none'/);
  assert.doesNotMatch(policy, /unsafe|https?:|\*/);
  const style = answer.body.match(/<style>([\s\S]*?)<\/style>/)?.[1] ?? '';
  assert.ok(
    policy.includes(`'sha256-${createHash('sha256').update(style).digest('base64')}'`),
    'the style is the one allowed',
  );
  assert.equal(answer.headers['x-content-type-options'], 'nosniff');
  assert.doesNotMatch(answer.body, /<script|javascript:| style=| on[a-z]+=|<(img|iframe|object)/);
  assert.match(answer.body, /&lt;script&gt;alert\(1\)&lt;\/script&gt;\\u001b\[31m\\u202e/);
  // biome-ignore lint/suspicious/noControlCharactersInRegex: none may be left
  assert.doesNotMatch(answer.body, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f\u202e]/);
  for (const text of [
    '0.58 of 1.00 cores',
    'machine.slice allows 0.60 cores',
    'held until 2026-01-15 14:00:00 UTC',
    '/metrics',
    '/api/v1/domains',
  ]) {
    assert.ok(answer.body.includes(text), text);
  }
});

test('the page tells of everything that stops writes, and of an empty host', async () => {
  const { libvirt } = fixtureSnapshot();
  const page = async (changes: Partial<Snapshot>): Promise<string> =>
    (await appOf(fixtureSnapshot(changes)).inject('/')).body;
  assert.match(await page({ killSwitch: true }), /The kill switch is set/);
  assert.match(await page({ mode: 'observe' }), /Observe mode/);
  assert.match(await page({ handsOffAll: true }), /Every guest is released/);
  assert.match(await page({ policyProblems: ['<b>:1:1'] }), /Policy: &lt;b&gt;:1:1/);
  assert.match(await page({ libvirt: { ...libvirt, connected: false, lastError: 'no socket' } }), /libvirt: no socket/);
  assert.match(await page({ domains: [] }), /No guests yet/);
  assert.doesNotMatch(await page({ pendingGeneration: null, lacks: [] }), /class="notes"/);
});

test('/?follow asks the browser to come again, / does not', async () => {
  assert.equal((await appOf().inject('/?follow')).headers.refresh, '10');
  assert.equal((await appOf().inject('/')).headers.refresh, undefined);
});

test('a view is rendered once for each snapshot', async () => {
  let reads = 0;
  let snapshot = fixtureSnapshot();
  const counted = (of: Snapshot): Snapshot =>
    new Proxy(of, {
      get: (target, key) => {
        if (key === 'domains') reads++;
        return Reflect.get(target, key);
      },
    });
  snapshot = counted(snapshot);
  const app = buildWebApp(options({ snapshot: () => snapshot }));
  await app.inject('/api/v1/domains');
  const once = reads;
  await app.inject('/api/v1/domains');
  assert.equal(reads, once);
  snapshot = counted(fixtureSnapshot({ domains: [] }));
  assert.deepEqual((await app.inject('/api/v1/domains')).json().domains, []);
});

test('it listens, tells its url, and stops at once when the signal aborts', async () => {
  const stop = new AbortController();
  const server = createWebServer(options());
  assert.equal(server.url(), null);
  await server.start(stop.signal);
  const url = server.url() ?? '';
  assert.match(url, /^http:\/\/127\.0\.0\.1:\d+$/);
  assert.equal((await fetch(`${url}/-/healthy`)).status, 200);
  const idle = rawExchange({ host: '127.0.0.1', port: portOf(server) }, '');
  stop.abort();
  await server.stop();
  await idle;
  assert.equal(server.url(), null);
  await assert.rejects(fetch(`${url}/-/healthy`));
});

test('IPv6 and every address', async () => {
  for (const [listenAddress, shown] of [
    ['[::1]:0', /^http:\/\/\[::1\]:\d+$/],
    [':0', /^http:\/\/\[::\]:\d+$/],
    ['localhost:0', /^http:\/\/127\.0\.0\.1:\d+$/],
  ] as const) {
    const server = createWebServer(options({ listenAddress }));
    await server.start(new AbortController().signal);
    assert.match(server.url() ?? '', shown);
    await server.stop();
  }
});

test('an address that is none, and a port in use, are clear', async () => {
  const start = (listenAddress: string): Promise<void> =>
    createWebServer(options({ listenAddress })).start(new AbortController().signal);
  for (const bad of ['19177', 'host', '::1:19177', '[::1]', 'a:70000', 'http://a:1', '']) {
    await assert.rejects(start(bad), (error: VirtsladError) => error.code === 'HTTP_LISTEN_ADDRESS', bad);
  }
  const other = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => other.once('listening', resolve));
  const { port } = other.address() as { port: number };
  await assert.rejects(start(`127.0.0.1:${port}`), (error: unknown) => {
    assert.ok(error instanceof VirtsladError);
    assert.equal(error.code, 'HTTP_LISTEN_FAILED');
    assert.match(error.message, /the port is in use/);
    return true;
  });
  other.close();
  await assert.rejects(start('192.0.2.1:0'), (error: VirtsladError) => error.code === 'HTTP_LISTEN_FAILED');
});

test('slow and silent clients are cut off', async () => {
  const server = createWebServer(
    options({
      limits: {
        headersTimeoutMs: 150,
        requestTimeoutMs: 300,
        connectionTimeoutMs: 600,
        keepAliveTimeoutMs: 200,
        checkIntervalMs: 50,
      },
    }),
  );
  await server.start(new AbortController().signal);
  const to = { host: '127.0.0.1', port: portOf(server) };
  const [silent, slow, idle] = await Promise.all([
    rawExchange(to, ''),
    rawExchange(to, 'GET /metrics HTTP/1.1\r\nHost: a\r\nX-Slow: '),
    rawExchange(to, 'GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n'),
  ]);
  assert.ok(silent.ms < 3000, `silent: ${silent.ms}`);
  assert.match(slow.answer, /^HTTP\/1\.1 408 /);
  assert.ok(slow.ms < 3000, `slow: ${slow.ms}`);
  assert.match(idle.answer, /^HTTP\/1\.1 200 /);
  assert.ok(idle.ms < 3000, `idle: ${idle.ms}`);
  await server.stop();
});

test('an answer that is not ready in time is given up, and so is one that nobody reads', async () => {
  const slow = createWebServer(
    options({ metrics: { render: () => new Promise(() => {}) }, limits: { handlerTimeoutMs: 50 } }),
  );
  await slow.start(new AbortController().signal);
  const answer = await fetch(`${slow.url()}/metrics`);
  assert.equal(answer.status, 503);
  assert.equal(((await answer.json()) as { problems: { code: string }[] }).problems[0]?.code, 'HTTP_OVERLOADED');
  await slow.stop();

  const large = { render: async () => ({ body: Buffer.alloc(64 * 1024 * 1024), contentType: 'text/plain' }) };
  const unread = createWebServer(options({ metrics: large, limits: { responseTimeoutMs: 200 } }));
  await unread.start(new AbortController().signal);
  const { connect } = await import('node:net');
  const startMs = performance.now();
  const socket = connect({ host: '127.0.0.1', port: portOf(unread) }, () =>
    socket.write('GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n'),
  );
  socket.on('error', () => {});
  // Reads nothing until the server has had time to give up; then it must find the connection ended.
  await new Promise((resolve) => setTimeout(resolve, 500));
  socket.resume();
  await new Promise((resolve) => socket.once('close', resolve));
  assert.ok(performance.now() - startMs < 3000);
  assert.ok(socket.bytesRead < 64 * 1024 * 1024);
  await unread.stop();
});

test('more connections than allowed are refused, and large headers too', async () => {
  const server = createWebServer(
    options({ limits: { maxConnections: 2, connectionTimeoutMs: 400, checkIntervalMs: 50 } }),
  );
  await server.start(new AbortController().signal);
  const to = { host: '127.0.0.1', port: portOf(server) };
  const waiting = [rawExchange(to, ''), rawExchange(to, '')];
  await new Promise((resolve) => setTimeout(resolve, 50));
  const third = await rawExchange(to, 'GET /-/healthy HTTP/1.1\r\nHost: a\r\n\r\n');
  assert.equal(third.answer, '');
  await Promise.all(waiting);
  const large = await rawExchange(to, `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`);
  assert.match(large.answer, /^HTTP\/1\.1 431 /);
  await server.stop();
});
