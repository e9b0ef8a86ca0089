// Runs every test, from a fresh clone with nothing but Node and npm. Lanes: static (sources), unit (no root, no host),
// host (real libvirtd, QEMU and cgroups; root on Linux), vm (a Debian with systemd, cgroup v2 and SELinux; root on x86-64
// Linux). The last line is `N passed, N failed, N skipped`.
//   npm test -- [--lane static,unit,host,vm] [--file TEXT] [--grep PATTERN] [--vm NAME]
// `--vm NAME` uses a VM that `npm run vm` left running.
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { ensureHostTools, ensureNpmPackages, TEST_TOOLS } from './bootstrap.mjs';
import { indent, SetupError } from './child.mjs';

const LANES = { static: staticLane, unit: unitLane, host: hostLane, vm: vmLane };
const DEFAULT_LANES = ['static', 'unit', 'host', 'vm'];
const UNIT_LIMIT_SECONDS = 180;
const HOST_LIMIT_SECONDS = 300;
const VM_LIMIT_SECONDS = 480;

const options = readOptions();
const interrupt = new AbortController();
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'])
  process.on(name, () => interrupt.abort(new Error(`stopped by ${name}`)));
const { signal } = interrupt;

/** Every test that ended: { lane, file, name, event: 'pass' | 'fail' | 'skip', seconds, error, output, reason }. */
const done = [];
/** Why the host lane cannot run; null when it can. */
let noHostLane = null;
let compiled = false;

try {
  await ensureNpmPackages({ signal, say: console.log });
  // First of all, because unit tests that can use libvirt's library or promtool do.
  if (options.lanes.includes('host')) await installHostTools();
  for (const lane of options.lanes) await runLane(lane);
} catch (error) {
  if (!signal.aborted && !(error instanceof SetupError)) console.error(error);
  record({ lane: 'run', file: '', name: 'the test run itself', event: 'fail', error: error.message });
}
report();

async function runLane(lane) {
  const started = performance.now();
  const before = done.length;
  console.log(`\n── ${lane} ${'─'.repeat(60 - lane.length)}`);
  await LANES[lane]();
  const tests = done.slice(before);
  console.log(`   ${lane}: ${totals(tests)} (${((performance.now() - started) / 1000).toFixed(1)} s)`);
}

async function staticLane() {
  const { STATIC_CHECKS } = await import('./lanes/static-checks.mjs');
  for (const [name, check] of Object.entries(STATIC_CHECKS)) {
    const started = performance.now();
    let error;
    try {
      error = await check(signal);
    } catch (thrown) {
      signal.throwIfAborted();
      error = thrown instanceof SetupError ? thrown.message : String(thrown.stack ?? thrown);
    }
    const event = error === '' ? 'pass' : 'fail';
    record({ lane: 'static', file: '', name, event, seconds: (performance.now() - started) / 1000, error });
    console.log(`${mark(event)} ${name}`);
  }
}

async function unitLane() {
  await compileUnlessDone('unit');
  await runFiles('unit', {
    workers: Math.max(2, availableParallelism()),
    limitSeconds: UNIT_LIMIT_SECONDS,
    showTests: false,
  });
}

async function installHostTools() {
  noHostLane = whyNoHostLane() ?? (await ensureHostTools(TEST_TOOLS, { signal, say: console.log }));
}

async function hostLane() {
  await compileUnlessDone('host');
  if (noHostLane === null) {
    // One file at a time: they measure CPU shares.
    await runFiles('host', { workers: 1, limitSeconds: HOST_LIMIT_SECONDS, showTests: true });
    return;
  }
  const { findTestFiles } = await import('./lanes/test-files.mjs');
  console.log(`   skipped: ${noHostLane}`);
  skipFiles('host', findTestFiles('host'), noHostLane);
}

async function vmLane() {
  await compileUnlessDone('vm');
  const { findVmFiles, runVmLane } = await import('./lanes/vm-lane.mjs');
  const files = await findVmFiles(options.file);
  if (files.length === 0) return;
  const reason = await runVmLane({
    files,
    name: options.vm,
    grep: options.grep,
    limitSeconds: VM_LIMIT_SECONDS,
    signal,
    say: console.log,
    onTest: (test) => {
      record({ lane: 'vm', ...test });
      printTest(test);
    },
  });
  if (reason === null) return;
  console.log(`   skipped: ${reason}`);
  skipFiles('vm', files, reason);
}

function skipFiles(lane, files, reason) {
  for (const file of files) record({ lane, file, name: 'all tests of this file', event: 'skip', reason });
}

function whyNoHostLane() {
  if (process.platform !== 'linux') return 'needs Linux';
  if (process.getuid() !== 0) return 'needs root: it starts a libvirtd and guests of its own';
  const controllers = ['/sys/fs/cgroup/cpu/cpu.shares', '/sys/fs/cgroup/cgroup.controllers'];
  return controllers.some((path) => existsSync(path)) ? null : 'no cgroup CPU controller is mounted at /sys/fs/cgroup';
}

/** The static lane compiles; alone, the other lanes do so themselves. What does compile is run all the same. */
async function compileUnlessDone(lane) {
  if (compiled || options.lanes.includes('static')) return;
  compiled = true;
  const { build } = await import('./build.mjs');
  try {
    await build({ tests: true, signal });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    record({ lane, file: '', name: 'sources compile (tsc, strict)', event: 'fail', error: error.message });
    console.log(`${mark('fail')} sources compile (tsc, strict)`);
  }
}

async function runFiles(lane, { workers, limitSeconds, showTests }) {
  const { findTestFiles, runTestFiles } = await import('./lanes/test-files.mjs');
  const files = findTestFiles(lane).filter((path) => path.includes(options.file));
  await runTestFiles(files, {
    workers,
    limitSeconds,
    grep: options.grep,
    signal,
    onTest: (test) => {
      record({ lane, ...test });
      if (showTests) printTest(test);
    },
    onFile: ({ file, tests, seconds }) => {
      if (!showTests && tests.length > 0) printFile(file, tests, seconds);
    },
  });
}

function printFile(file, tests, seconds) {
  const failed = tests.some((test) => test.event === 'fail');
  console.log(`${mark(failed ? 'fail' : 'pass')} ${file}: ${totals(tests)} (${seconds.toFixed(1)} s)`);
}

function printTest(test) {
  const reason = test.event === 'skip' ? ` — skipped: ${test.reason || 'no reason given'}` : '';
  console.log(`${mark(test.event)} ${'  '.repeat(test.nesting)}${test.name} (${test.seconds.toFixed(1)} s)${reason}`);
  for (const note of test.notes) console.log(`       ${'  '.repeat(test.nesting)}${note}`);
}

function record(test) {
  done.push({ seconds: 0, reason: '', error: '', output: '', ...test });
}

function mark(event) {
  return { pass: '  ok', fail: 'FAIL', skip: 'skip' }[event];
}

function totals(tests) {
  const count = (event) => tests.filter((test) => test.event === event).length;
  return `${count('pass')} passed, ${count('fail')} failed, ${count('skip')} skipped`;
}

/** Skips with their reasons, failures with their output, and the one line that says it all. */
function report() {
  const skips = new Map();
  for (const test of done.filter(({ event }) => event === 'skip')) {
    const reason = test.reason || 'no reason given';
    skips.set(reason, (skips.get(reason) ?? 0) + 1);
  }
  if (skips.size > 0) console.log('\nSkipped:');
  for (const [reason, count] of skips) console.log(`  ${count} × ${reason}`);

  const failures = done.filter(({ event }) => event === 'fail');
  for (const { lane, file, name, error, output } of failures) {
    console.log(`\n✗ ${[lane, file, name].filter((part) => part !== '').join(' › ')}`);
    if (error !== '') console.log(indent(error.trimEnd(), '    '));
    if (output !== '') console.log(indent(`── output of the process\n${output.trimEnd()}`, '    '));
  }
  console.log(`\n${totals(done)}`);
  // Nothing run is no success.
  process.exitCode = failures.length > 0 || !done.some(({ event }) => event === 'pass') ? 1 : 0;
}

function readOptions() {
  try {
    const { values } = parseArgs({
      options: {
        lane: { type: 'string', default: DEFAULT_LANES.join(',') },
        file: { type: 'string', default: '' },
        grep: { type: 'string' },
        vm: { type: 'string' },
      },
    });
    const lanes = values.lane.split(',');
    const unknown = lanes.find((lane) => !(lane in LANES));
    if (unknown !== undefined) throw new Error(`no lane "${unknown}"; there are ${Object.keys(LANES).join(', ')}`);
    return { lanes, file: values.file, grep: values.grep, vm: values.vm };
  } catch (error) {
    console.error(
      `${error.message}\nUsage: npm test -- [--lane static,unit,host,vm] [--file TEXT] [--grep PATTERN] [--vm NAME]`,
    );
    process.exit(2);
  }
}
