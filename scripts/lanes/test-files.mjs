// Runs compiled test files, each in a process of its own, and counts what really ran. A process that dies, hangs or
// ends without saying so is a failed test: its output is kept for the report.
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOT } from '../bootstrap.mjs';
import { killGroup, lastLines } from '../child.mjs';
import { TestEvents } from './test-events.mjs';

const REPORTER = fileURLToPath(new URL('./events-reporter.mjs', import.meta.url));
export const COMPILED_TESTS = join(ROOT, 'build', 'test');
/** How long a file may clean up after SIGTERM (guests, a libvirtd) before it is killed. */
const GRACE_MS = 30_000;

/**
 * Compiled test files of a lane. The host lane's are those that open a lab: the rest of test/host tests src/host. The VM
 * lane's are in test/vm, and those of the host lane that run there too are listed in test/vm/host-subset.ts.
 * @param {'unit' | 'host' | 'vm'} lane
 */
export function findTestFiles(lane) {
  let entries;
  try {
    entries = readdirSync(COMPILED_TESTS, { recursive: true });
  } catch {
    return [];
  }
  return entries
    .filter((name) => name.endsWith('.test.js') && (lane === 'vm') === /^vm\/[^/]+$/.test(name))
    .map((name) => join(COMPILED_TESTS, name))
    .filter((path) => lane === 'vm' || (lane === 'host') === opensLab(path))
    .sort();
}

function opensLab(path) {
  return readFileSync(path, 'utf8').includes("/support/lab.js'");
}

/**
 * @param {readonly string[]} files
 * @param {{ workers: number, limitSeconds: number, grep?: string, signal: AbortSignal,
 *   onFile?: (result: FileResult) => void, onTest?: (event: object) => void }} options
 * @returns {Promise<FileResult[]>}
 * @typedef {{ file: string, tests: object[], seconds: number }} FileResult
 */
export async function runTestFiles(files, options) {
  const queue = [...files];
  const results = [];
  const worker = async () => {
    for (let file = queue.shift(); file !== undefined && !options.signal.aborted; file = queue.shift()) {
      const result = await runTestFile(file, options);
      results.push(result);
      options.onFile?.(result);
    }
  };
  await Promise.all(Array.from({ length: options.workers }, worker));
  options.signal.throwIfAborted();
  return results;
}

async function runTestFile(path, { limitSeconds, grep, signal, onTest }) {
  const file = relative(COMPILED_TESTS, path).replace(/\.js$/, '');
  const scratch = await mkdtemp(join(tmpdir(), 'virtslad-events-'));
  const eventsFile = join(scratch, 'events');
  const started = performance.now();
  const child = spawn(
    process.execPath,
    [
      '--enable-source-maps',
      `--test-reporter=${REPORTER}`,
      `--test-reporter-destination=${eventsFile}`,
      ...(grep === undefined ? [] : [`--test-name-pattern=${grep}`]),
      path,
    ],
    { cwd: ROOT, detached: true, stdio: ['ignore', 'pipe', 'pipe'] },
  );
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8');
    stream.on('data', (text) => {
      output += text;
    });
  }
  let overran = false;
  const stop = () => {
    child.kill('SIGTERM');
    setTimeout(() => killGroup(child.pid, 'SIGKILL'), GRACE_MS).unref();
  };
  const limit = setTimeout(() => {
    overran = true;
    stop();
  }, limitSeconds * 1000);
  signal.addEventListener('abort', stop, { once: true });

  const { code, killedBy } = await new Promise((resolve) => {
    child.on('error', (error) => resolve({ code: 1, killedBy: error.message }));
    child.on('close', (exitCode, signalName) => resolve({ code: exitCode, killedBy: signalName }));
  });
  clearTimeout(limit);
  signal.removeEventListener('abort', stop);

  const tests = [];
  const events = new TestEvents((test) => tests.push(test));
  events.push(await readFile(eventsFile, 'utf8').catch(() => ''));
  events.end();
  rmSync(scratch, { recursive: true, force: true });
  const crash = describeCrash({ overran, limitSeconds, code, killedBy, events });
  if (crash !== null && !signal.aborted) tests.push(crashedTest(crash));
  for (const test of tests) {
    test.file = file;
    if (test.event === 'fail') test.output = lastLines(output, 60);
    onTest?.(test);
  }
  return { file, tests, seconds: (performance.now() - started) / 1000 };
}

/** A process that dies, hangs or ends without saying so is a failed test of its own. */
export function crashedTest(error) {
  return { event: 'fail', name: 'the test process itself', nesting: 0, seconds: 0, notes: [], error };
}

/** @returns {string | null} null when the process ended as its tests say */
export function describeCrash({ overran, limitSeconds, code, killedBy, events }) {
  if (overran) return `stopped: still running after ${limitSeconds} s`;
  if (killedBy !== null) return `killed by ${killedBy}`;
  if (!events.ended) return `exit code ${code} before its tests had ended`;
  return code !== 0 && !events.failed ? `exit code ${code} although no test failed` : null;
}
