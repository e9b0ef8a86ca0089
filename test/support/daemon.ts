/**
 * The built `virtslad run` as a child process, with policy, state and run directories of its own, a free port, and the
 * guests that it may manage named in its configuration. One object may start and kill it many times over the same state.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CommandResult, execute } from './command.js';
import { freePort } from './free-port.js';
import { PATIENCE } from './lab-kind.js';
import { parseMetrics, type Sample, sumOf } from './metrics.js';
import { VIRTSLAD } from './paths.js';
import { waitUntil } from './wait.js';

export interface DaemonOptions {
  /** File name → policy text. */
  readonly policies: Readonly<Record<string, string>>;
  readonly libvirtUri: string;
  readonly runLibvirt: string;
  /** The only guests that it may ever touch. */
  readonly manageUuids: readonly string[];
  readonly mode?: 'enforce' | 'observe';
  /** Default: a free one. */
  readonly port?: number;
}

export interface DaemonExit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly seconds: number;
}

export class Daemon {
  readonly policyDir: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly killSwitch: string;
  readonly configFile: string;
  /** Everything it has written to stdout and stderr, over all its runs. */
  log = '';
  readonly #options: DaemonOptions;
  #port = 0;
  #child: ChildProcess | null = null;
  #exit: Promise<DaemonExit> | null = null;

  /** `directory` must exist and be root's alone. */
  constructor(directory: string, options: DaemonOptions) {
    this.#options = options;
    this.policyDir = join(directory, 'policies.d');
    this.stateDir = join(directory, 'state');
    this.runDir = join(directory, 'run');
    this.killSwitch = join(this.runDir, 'stop');
    this.configFile = join(directory, 'virtslad.yaml');
    for (const path of [this.policyDir, this.stateDir, this.runDir]) mkdirSync(path, { mode: 0o755 });
    for (const [name, text] of Object.entries(options.policies)) this.writePolicy(name, text);
  }

  /** The end of its log, without the requests that the test itself made. */
  lastWords(lines: number): string {
    const said = this.log.split('\n').filter((line) => line !== '' && !line.includes('"event":"http.'));
    return said.slice(-lines).join('\n');
  }

  writePolicy(name: string, text: string): void {
    writeFileSync(join(this.policyDir, name), text, { mode: 0o644 });
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get running(): boolean {
    return this.#child !== null && this.#child.exitCode === null && this.#child.signalCode === null;
  }

  /** Starts it; with `ready` (default) returns when `/-/ready` says so, else at once. */
  async start({ ready = true } = {}): Promise<void> {
    if (this.running) throw new Error('this daemon runs already');
    if (!existsSync(VIRTSLAD)) throw new Error(`${VIRTSLAD} is missing: npm run build`);
    this.#port = this.#options.port ?? (await freePort());
    this.#writeConfig();
    const started = performance.now();
    const child = spawn(process.execPath, [VIRTSLAD, 'run', '--config', this.configFile], {
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr]) {
      stream.setEncoding('utf8').on('data', (text: string) => {
        this.log += text;
      });
    }
    this.#exit = new Promise((resolve) => {
      child.once('close', (code, signal) => resolve({ code, signal, seconds: (performance.now() - started) / 1000 }));
    });
    if (ready) await this.waitUntilReady();
  }

  async waitUntilReady(seconds = 20): Promise<void> {
    await waitUntil('the daemon to be ready', () => !this.running || this.#answers('/-/ready'), { seconds });
    if (!this.running) throw new Error(`the daemon exited instead of becoming ready:\n${this.log.slice(-4000)}`);
  }

  /** Sends the signal and waits for the end; `seconds` is how long that took. No error if it does not run. */
  async kill(signal: NodeJS.Signals = 'SIGTERM'): Promise<DaemonExit> {
    const began = performance.now();
    if (this.running) this.#child?.kill(signal);
    const exit = await this.#exit;
    if (exit === null) return { code: null, signal: null, seconds: 0 };
    return { ...exit, seconds: (performance.now() - began) / 1000 };
  }

  signal(name: NodeJS.Signals): void {
    this.#child?.kill(name);
  }

  get pid(): number {
    const pid = this.#child?.pid;
    if (pid === undefined || !this.running) throw new Error('the daemon does not run');
    return pid;
  }

  /** Runs another verb of the command with this daemon's configuration. */
  virtslad(...args: readonly string[]): Promise<CommandResult> {
    return execute(process.execPath, [VIRTSLAD, ...args, '--config', this.configFile], { timeoutSeconds: 30 });
  }

  /** The same, throwing unless the exit code is 0; gives stdout. */
  async virtsladOk(...args: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await this.virtslad(...args);
    if (code !== 0) throw new Error(`virtslad ${args.join(' ')}: exit code ${code}\n${stderr}${stdout}`);
    return stdout;
  }

  async scrapeText(): Promise<string> {
    const response = await fetch(`${this.url}/metrics`, { signal: AbortSignal.timeout(5_000 * PATIENCE) });
    if (!response.ok) throw new Error(`/metrics answered ${response.status}`);
    return response.text();
  }

  async scrape(): Promise<readonly Sample[]> {
    return parseMetrics(await this.scrapeText());
  }

  /** Sum of a metric's samples with those labels; null when there is none. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number | null> {
    return sumOf(await this.scrape(), name, labels);
  }

  /** Waits until every one of the guests holds all its desired values. */
  async waitUntilCompliant(guests: readonly { readonly uuid: string; readonly name: string }[], seconds = 15) {
    for (const { uuid, name } of guests) {
      await waitUntil(
        `${name} to be compliant`,
        async () => (await this.metric('virtsla_domain_compliant', { uuid })) === 1,
        { seconds, everyMs: 100 },
      );
    }
  }

  async #answers(path: string): Promise<boolean> {
    try {
      return (await fetch(this.url + path, { signal: AbortSignal.timeout(1_000 * PATIENCE) })).ok;
    } catch {
      return false;
    }
  }

  #writeConfig(): void {
    const { libvirtUri, runLibvirt, manageUuids, mode = 'enforce' } = this.#options;
    const lines = [
      `policy-dir: ${this.policyDir}`,
      `state-dir: ${this.stateDir}`,
      `run-dir: ${this.runDir}`,
      `libvirt-uri: ${JSON.stringify(libvirtUri)}`,
      `mode: ${mode}`,
      `web: { listen-address: "127.0.0.1:${this.#port}" }`,
      `path: { run-libvirt: ${runLibvirt} }`,
      'log: { format: json, level: debug }',
      'manage:',
      '  uuids:',
      ...manageUuids.map((uuid) => `    - ${uuid}`),
    ];
    writeFileSync(this.configFile, `${lines.join('\n')}\n`, { mode: 0o644 });
  }
}
