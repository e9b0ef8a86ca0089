/**
 * How long the event loop is kept from its other work, and how long a scrape takes while cycles run: 600 guests on
 * fixtures, a cycle every second, another process that scrapes.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { fileURLToPath } from 'node:url';
import type { Core } from '../src/assemble.js';
import { createWebServer } from '../src/http/server.js';
import { createMetrics } from '../src/metrics/metrics.js';
import { SILENT } from './bench-core.js';
import { begin, steadyCycle } from './daemon-core.js';
import { FixtureHost } from './fixture-host.js';
import { number } from './page.js';
import type { Measurement, Result } from './result.js';
import { cleanup } from './scratch.js';
import { median, percentile } from './statistics.js';

const SCRAPER = fileURLToPath(new URL('./scraper.js', import.meta.url));
/** Of the timer by which delays are seen. */
const RESOLUTION_MS = 1;

/** The daemon's web server over a core, as `daemon.ts` wires it. */
export async function serve(core: Core): Promise<{ readonly port: number; stop(): Promise<void> }> {
  const metrics = createMetrics({ version: '0.0.0' });
  const snapshot = () => core.snapshots.current();
  const render = () => {
    metrics.update(snapshot());
    return metrics.render();
  };
  const web = createWebServer({ listenAddress: '127.0.0.1:0', snapshot, metrics: { render }, log: SILENT });
  await web.start(new AbortController().signal);
  return { port: Number(new URL(web.url() ?? '').port), stop: () => web.stop() };
}

export function startScraper(port: number, pauseMs: number): { stop(): Promise<number[]> } {
  const child: ChildProcess = spawn(process.execPath, [SCRAPER, String(port), '/metrics', String(pauseMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  cleanup.defer('stop the scraper', () => void child.kill('SIGKILL'));
  let text = '';
  child.stdout?.on('data', (chunk) => {
    text += chunk;
  });
  return {
    stop: async () => {
      const ended = new Promise((resolve) => child.once('close', resolve));
      child.kill('SIGTERM');
      await ended;
      return JSON.parse(text) as number[];
    },
  };
}

export const stallsMeasurement: Measurement = {
  name: 'stalls',
  gives: ['stall', 'scrape-spread'],
  async run({ short }): Promise<Result> {
    const count = short ? 300 : 600;
    const host = new FixtureHost(count);
    cleanup.defer('remove the host', () => host.remove());
    const core = host.assemble();
    await begin(core, host.libvirt);
    const web = await serve(core);
    // Once without being counted, so that what is compiled is compiled.
    for (let cycle = 0; cycle < 5; cycle++) await steadyCycle(core);
    const scraper = startScraper(web.port, 100);
    await pause(1500);
    const delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    delay.enable();
    const longest: number[] = [];
    for (let cycle = 0; cycle < (short ? 8 : 20); cycle++) {
      delay.reset();
      await steadyCycle(core);
      await pause(500);
      longest.push(delay.max / 1e6 - RESOLUTION_MS);
    }
    delay.disable();
    const scrapes = (await scraper.stop()).slice(5);
    await web.stop();
    await core.reconciler.stop();
    // One that the machine's other work made long must not fail a build: the middle of the cycles' longest counts there.
    const stall = short ? median(longest) : Math.max(...longest);
    const [p50, p99] = [median(scrapes), percentile(scrapes, 0.99)];
    return {
      figures: [
        {
          id: 'stall',
          value: stall,
          shown: `${longest.length} cycles; the median of their longest ${number(median(longest))} ms`,
        },
        {
          id: 'scrape-spread',
          value: p99 / p50,
          shown: `p50 ${number(p50)} ms, p99 ${number(p99)} ms, ${scrapes.length} scrapes`,
        },
      ],
      raw: { 'stall.ms': longest, 'scrape.ms': scrapes },
    };
  },
};

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
