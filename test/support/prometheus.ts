/** A real Prometheus that scrapes a daemon of the lab each second and evaluates the rules of its policy. */
import { spawn } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { execute } from './command.js';
import type { Daemon } from './daemon.js';
import { freePort } from './free-port.js';
import type { Lab } from './lab.js';
import { waitUntil } from './wait.js';

export interface Series {
  readonly metric: Readonly<Record<string, string>>;
  /** Seconds since 1970, and the value in words. */
  readonly value: readonly [number, string];
}

/** One that is pending or firing; what has gone back to normal is none. */
export interface ActiveAlert {
  readonly labels: Readonly<Record<string, string>>;
  /** Templates filled in. */
  readonly annotations: Readonly<Record<string, string>>;
  readonly state: 'pending' | 'firing';
}

export interface PrometheusOptions {
  /** Every group each second, whatever it says of itself. False: the text of `virtslad rules` as it is. Default: true. */
  readonly everySecond?: boolean;
}

export class Prometheus {
  readonly #url: string;

  private constructor(url: string) {
    this.#url = url;
  }

  /** Null where there is none. It goes with the lab, and so does what it has stored. */
  static async start(
    lab: Lab,
    daemon: Daemon,
    { everySecond = true }: PrometheusOptions = {},
  ): Promise<Prometheus | null> {
    if ((await execute('sh', ['-c', 'command -v prometheus'])).code !== 0) return null;
    const directory = join(lab.directory, 'prometheus');
    mkdirSync(directory, { mode: 0o755 });
    const rules = await daemon.virtsladOk('rules');
    const ruleFile = join(directory, 'rules.yaml');
    writeFileSync(ruleFile, everySecond ? eachSecond(rules) : rules);
    const config = {
      global: { scrape_interval: '1s', evaluation_interval: '1s' },
      rule_files: [ruleFile],
      scrape_configs: [{ job_name: 'virtslad', static_configs: [{ targets: [new URL(daemon.url).host] }] }],
    };
    const file = join(directory, 'prometheus.json');
    writeFileSync(file, JSON.stringify(config));
    const port = await freePort();
    const child = spawn(
      'prometheus',
      [
        `--config.file=${file}`,
        `--storage.tsdb.path=${join(directory, 'data')}`,
        `--web.listen-address=127.0.0.1:${port}`,
        '--log.level=warn',
      ],
      { detached: true, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let said = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
    lab.cleanup.defer('kill Prometheus', async () => {
      child.kill('SIGKILL');
      await ended;
    });
    const url = `http://127.0.0.1:${port}`;
    await waitUntil('Prometheus to be ready', () => child.exitCode !== null || answers(`${url}/-/ready`), {
      seconds: 30,
      everyMs: 100,
    });
    if (child.exitCode !== null) throw new Error(`Prometheus ended with ${child.exitCode}:\n${said}`);
    return new Prometheus(url);
  }

  /** The answer of this moment; throws what Prometheus says of a query that it does not take. */
  async query(expr: string): Promise<readonly Series[]> {
    const { result } = await this.#ask<{ result: readonly Series[] }>('query', { query: expr });
    return result;
  }

  /** All of this moment, of all rules. */
  async alerts(): Promise<readonly ActiveAlert[]> {
    const { alerts } = await this.#ask<{ alerts: readonly ActiveAlert[] }>('alerts');
    return alerts;
  }

  async #ask<T>(what: string, form?: Readonly<Record<string, string>>): Promise<T> {
    const response = await fetch(`${this.#url}/api/v1/${what}`, {
      ...(form === undefined ? {} : { method: 'POST', body: new URLSearchParams(form) }),
      signal: AbortSignal.timeout(10_000),
    });
    const body = (await response.json()) as { error?: string; data?: T };
    if (body.data === undefined) throw new Error(`${body.error}: ${JSON.stringify(form ?? what)}`);
    return body.data;
  }
}

/** The rules, as JSON, which is YAML too. */
function eachSecond(rules: string): string {
  const document = parse(rules) as { groups: { interval?: string }[] };
  for (const group of document.groups) group.interval = '1s';
  return JSON.stringify(document);
}

async function answers(url: string): Promise<boolean> {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(1000) })).ok;
  } catch {
    return false;
  }
}
