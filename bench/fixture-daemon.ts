/**
 * The shipped daemon, `dist/main.js run`, as a process of its own on a fixture host that is at rest. libvirt is the real
 * client on its threads, with libvirt's own test driver behind it: it lists and describes the guests, and needs no libvirtd.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort } from '../test/support/free-port.js';
import { VIRTSLAD } from '../test/support/paths.js';
import { NotRun } from './result.js';
import { cleanup } from './scratch.js';

const SETTLE = fileURLToPath(new URL('./settle-main.js', import.meta.url));

export interface Answer {
  readonly status: number;
  readonly bytes: number;
  readonly ms: number;
  readonly text: string;
}

export class FixtureDaemon {
  readonly root: string;
  log = '';
  port = 0;
  #child: ChildProcess | null = null;

  /** Makes the host. */
  constructor(count: number) {
    const settled = spawnSync(process.execPath, [SETTLE, String(count)], { encoding: 'utf8', env: process.env });
    this.root = settled.stdout;
    if (settled.status !== 0 || this.root === '') throw new Error(`no fixture host: ${settled.stderr.slice(-500)}`);
    cleanup.defer('remove a fixture host', () => rmSync(this.root, { recursive: true, force: true }));
    cleanup.defer('stop a daemon', () => this.stop());
    mkdirSync(join(this.root, 'run'), { mode: 0o755 });
  }

  get pid(): number {
    return this.#child?.pid ?? 0;
  }

  /** Gives the milliseconds from the start of the process until it answers that it is ready. */
  async start({ cycle = '5s', libvirtUri = `test://${join(this.root, 'node.xml')}` } = {}): Promise<number> {
    this.port = await freePort();
    const at = (name: string): string => join(this.root, name);
    const flags = {
      'policy-dir': at('policies.d'),
      'state-dir': at('state'),
      'run-dir': at('run'),
      'libvirt-uri': libvirtUri,
      'web.listen-address': `127.0.0.1:${this.port}`,
      'path.cgroup': at('cgroup'),
      'path.proc': at('proc'),
      cycle,
      'log.level': 'warn',
      config: at('virtslad.yaml'),
    };
    writeFileSync(flags.config, `path: { run-libvirt: ${at('run-libvirt')} }\n`, { mode: 0o644 });
    const words = Object.entries(flags).flatMap(([key, value]) => [`--${key}`, value]);
    const began = performance.now();
    const child = spawn(process.execPath, [VIRTSLAD, 'run', ...words], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#child = child;
    for (const stream of [child.stdout, child.stderr])
      stream.setEncoding('utf8').on('data', (text) => (this.log += text));
    for (;;) {
      if (child.exitCode !== null) throw new NotRun(`the daemon ended: ${this.log.slice(-300)}`);
      const answer = await this.get('/-/ready').catch(() => null);
      if (answer?.status === 200) return performance.now() - began;
      if (performance.now() - began > 120_000) throw new NotRun(`the daemon is not ready after 120 s: ${answer?.text}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  get(path: string): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const began = performance.now();
      const asking = request({ host: '127.0.0.1', port: this.port, path, agent: false }, (response) => {
        const chunks: Buffer[] = [];
        response.on('data', (chunk: Buffer) => chunks.push(chunk));
        response.on('end', () => {
          const body = Buffer.concat(chunks);
          const ms = performance.now() - began;
          resolve({ status: response.statusCode ?? 0, bytes: body.length, ms, text: body.toString() });
        });
      });
      asking.on('error', reject);
      asking.end();
    });
  }

  async stop(): Promise<void> {
    const child = this.#child;
    this.#child = null;
    if (child === null || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('close', resolve));
    child.kill('SIGKILL');
    await ended;
  }
}
