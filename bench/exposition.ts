/**
 * What it costs to write 36,000 series, from the snapshot that a core of as many guests as that takes has after a cycle;
 * against prom-client with the same series, and C. Values change from round to round. The page is given to promtool and
 * to a real Prometheus. Also how a whole scrape grows: snapshot and page.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { join } from 'node:path';
import { Gauge, Registry } from 'prom-client';
import type { Core } from '../src/assemble.js';
import { CONTROLS } from '../src/controls/registry.js';
import { domainFamilies } from '../src/metrics/domain-families.js';
import { DOMAIN_LABELS } from '../src/metrics/family.js';
import { createMetrics, type Metrics } from '../src/metrics/metrics.js';
import { CONTENT_TYPE } from '../src/metrics/registry.js';
import type { Snapshot } from '../src/snapshot/types.js';
import { freePort } from '../test/support/free-port.js';
import { cpuMs } from './cpu.js';
import { begin, steadyCycle } from './daemon-core.js';
import { FixtureHost } from './fixture-host.js';
import { interleave } from './interleave.js';
import { number } from './page.js';
import { compileReference, Reference } from './references.js';
import { type Figure, type Measurement, type Missing, NotRun, type Result } from './result.js';
import { cleanup, scratch } from './scratch.js';
import { median } from './statistics.js';

const SERIES = 36_000;
/** About as many as that takes. */
const GUESTS = 600;
const ROUNDS = 15;

function seriesIn(page: string): number {
  return page.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length;
}

/** A core in which every guest has been looked at twice, so that it has rates. */
async function coreOf(count: number): Promise<{ readonly host: FixtureHost; readonly core: Core }> {
  const host = new FixtureHost(count);
  cleanup.defer('remove the host', () => host.remove());
  const core = host.assemble({ watch: false });
  await begin(core, host.libvirt);
  return { host, core };
}

/** prom-client's registry with the series of a snapshot about guests. */
function promClient(snapshot: Snapshot): Registry {
  const registry = new Registry();
  for (const { name, help, labels, samples } of domainFamilies(CONTROLS)) {
    const metric = new Gauge({ name, help, labelNames: [...DOMAIN_LABELS, ...labels], registers: [registry] });
    for (const domain of snapshot.domains) {
      const { name: guest, uuid, className } = domain;
      for (const sample of samples(domain, snapshot)) {
        if (sample.value === null) continue;
        const own = Object.fromEntries(labels.map((label, at) => [label, sample.labels[at] ?? '']));
        metric.set({ domain: guest, uuid, class: className ?? '', ...own }, sample.value);
      }
    }
  }
  return registry;
}

function promtool(page: Buffer): Figure {
  const { status, stderr, stdout, error } = spawnSync('promtool', ['check', 'metrics'], {
    input: page,
    encoding: 'utf8',
  });
  if (error !== undefined) throw new NotRun('there is no promtool');
  const complaints = `${stderr}${stdout}`.split('\n').filter((line) => line !== '');
  return {
    id: 'promtool',
    value: status === 0 ? complaints.length : Math.max(1, complaints.length),
    shown: complaints[0] ?? 'none',
  };
}

/** How many of the page's series a Prometheus that scrapes it does not have afterwards. */
async function prometheus(page: Buffer, series: number): Promise<Figure> {
  if (spawnSync('prometheus', ['--version']).error !== undefined) throw new NotRun('there is no prometheus');
  const server = createServer((_request, response) => response.setHeader('content-type', CONTENT_TYPE).end(page));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  const target = `127.0.0.1:${typeof address === 'object' ? address?.port : ''}`;
  const port = await freePort();
  const directory = join(scratch(), 'prometheus');
  mkdirSync(directory);
  const config = {
    global: { scrape_interval: '1s' },
    scrape_configs: [{ job_name: 'bench', static_configs: [{ targets: [target] }] }],
  };
  writeFileSync(join(directory, 'prometheus.json'), JSON.stringify(config));
  const words = ['config.file', join(directory, 'prometheus.json'), 'storage.tsdb.path', join(directory, 'data')];
  const child = spawn(
    'prometheus',
    [
      `--${words[0]}=${words[1]}`,
      `--${words[2]}=${words[3]}`,
      `--web.listen-address=127.0.0.1:${port}`,
      '--log.level=error',
    ],
    { stdio: 'ignore' },
  );
  const ended = new Promise((resolve) => child.once('close', resolve));
  cleanup.defer('stop Prometheus', async () => {
    child.kill('SIGKILL');
    server.close();
    await ended;
  });
  let found = 0;
  for (let tries = 0; tries < 60 && found < series; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 500));
    const query = encodeURIComponent('count({job="bench",__name__=~"virtsla_.*"})');
    const answer = await fetch(`http://127.0.0.1:${port}/api/v1/query?query=${query}`).catch(() => null);
    const body = (await answer?.json()) as { data?: { result?: { value: [number, string] }[] } } | undefined;
    found = Number(body?.data?.result?.[0]?.value[1] ?? 0);
  }
  child.kill('SIGKILL');
  server.close();
  return { id: 'prometheus', value: series - found, shown: `${found} of ${series} taken` };
}

function write(metrics: Metrics, snapshot: Snapshot): Promise<unknown> {
  metrics.update(snapshot);
  return metrics.render();
}

/** Snapshot and page, as a scrape makes them. */
async function scrapeCost(core: Core, metrics: Metrics): Promise<number> {
  return cpuMs(() => write(metrics, core.snapshots.build()));
}

/** A whole scrape at one size. */
export function scrapeAt(count: number): Measurement {
  return {
    name: `scrape-${count}`,
    gives: [`scrape-${count}`],
    async run(): Promise<Result> {
      const { host, core } = await coreOf(count);
      const metrics = createMetrics({ version: '0.0.0' });
      const taken: number[] = [];
      for (let round = 0; round < ROUNDS; round++) {
        host.advance();
        await steadyCycle(core);
        const cost = await scrapeCost(core, metrics);
        if (round >= 5) taken.push(cost);
      }
      const compliant = core.snapshots.build().domains.filter((one) => one.compliant).length;
      return {
        figures: [],
        costs: compliant === count ? [{ what: 'scrape', count, cost: median(taken) }] : [],
        notes: [
          `A whole scrape at ${count} guests, snapshot and page: ${number(median(taken))} ms of CPU; ${compliant} guests compliant.`,
        ],
        raw: { [`scrape-${count}.ms`]: taken },
      };
    },
  };
}

export const expositionMeasurement: Measurement = {
  name: 'exposition',
  gives: ['exposition', 'promtool', 'prometheus'],
  async run(): Promise<Result> {
    const found: Found = { figures: [], missing: [], notes: [], raw: {} };
    const { host, core } = await coreOf(GUESTS);
    await writing(host, core, found);
    return found;
  },
};

interface Found {
  readonly figures: Figure[];
  readonly missing: Missing[];
  readonly notes: string[];
  readonly raw: Record<string, readonly number[]>;
}

/** The page alone, with the guests doubled up to the number of series. */
async function writing(host: FixtureHost, core: Core, { figures, missing, notes, raw }: Found): Promise<void> {
  const metrics = createMetrics({ version: '0.0.0' });
  const enough = (): Snapshot => {
    const snapshot = core.snapshots.build();
    const wanted = Math.ceil((SERIES * snapshot.domains.length) / Math.max(1, perSnapshot));
    const domains = Array.from({ length: wanted }, (_, at) => {
      const domain = snapshot.domains[at % snapshot.domains.length];
      if (domain === undefined) throw new Error('no guests');
      return at < snapshot.domains.length
        ? domain
        : { ...domain, uuid: `${domain.uuid}-${at}`, name: `${domain.name}-${at}` };
    });
    return { ...snapshot, domains };
  };
  metrics.update(core.snapshots.build());
  const perSnapshot = seriesIn((await metrics.render()).body.toString());
  let snapshot = enough();
  metrics.update(snapshot);
  const { body } = await metrics.render();
  const series = seriesIn(body.toString());
  const page = join(scratch(), 'page');
  writeFileSync(page, body);
  const floor = new Reference(compileReference('exposition', ['-lm']), []);
  cleanup.defer('stop the C floor', () => floor.stop());
  await floor.round(page);
  const registry = promClient(snapshot);
  const rounds = await interleave(
    [
      { name: 'subject', round: () => cpuMs(() => write(metrics, snapshot)) },
      { name: 'c', round: async () => ((await floor.round())[0] ?? Number.NaN) / 1000 },
      { name: 'promClient', round: () => cpuMs(() => registry.metrics()) },
    ],
    {
      warmups: 5,
      rounds: ROUNDS,
      before: async () => {
        host.advance();
        await steadyCycle(core);
        snapshot = enough();
        global.gc?.();
      },
    },
  );
  await floor.stop();
  const { subject = [], c = [], promClient: peer = [] } = rounds;
  Object.assign(raw, { 'exposition.subject.ms': subject, 'exposition.c.ms': c, 'exposition.prom-client.ms': peer });
  const own = median(subject);
  figures.push({
    id: 'exposition',
    value: own,
    shown: `${series} series; C ${number(median(c))} ms (${number(own / median(c))} ×), prom-client ${number(median(peer))} ms (${number(median(peer) / own)} × as dear)`,
  });
  notes.push(`A page of ${series} series is ${(body.length / 1024 ** 2).toFixed(1)} MiB.`);
  for (const [id, check] of [
    ['promtool', async () => promtool(body)],
    [
      'prometheus',
      () =>
        prometheus(
          body,
          body
            .toString()
            .split('\n')
            .filter((line) => line.startsWith('virtsla_')).length,
        ),
    ],
  ] as const) {
    try {
      figures.push(await check());
    } catch (error) {
      if (!(error instanceof NotRun)) throw error;
      missing.push({ id, reason: error.message });
    }
  }
}
