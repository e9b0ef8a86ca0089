// Runs test files in a VM: one Node for each, its events streamed back. After each file the audit log and the kernel's are
// judged: what no test has announced fails the file that was running.
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, freemem } from 'node:os';
import { basename, dirname, join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ROOT } from '../bootstrap.mjs';
import { lastLines, SetupError } from '../child.mjs';
import { TestEvents } from './test-events.mjs';
import { COMPILED_TESTS, crashedTest, describeCrash, findTestFiles } from './test-files.mjs';
import { NoMirror } from './vm-image.mjs';
import { findVm, startVm, stopVm, waitUntilUp, whyNoVm } from './vm-start.mjs';
import { sync } from './vm-sync.mjs';

const GUEST_ROOT = '/opt/virtslad-tests';
const AUDIT_LOG = '/var/log/audit/audit.log';
/** JSON lines of `announceDenial` (test/vm/support/announce.ts). */
const ANNOUNCED = '/run/virtslad-lane/announced';
const EVENTS = '/run/virtslad-lane/events';
const LOGS = join(ROOT, 'vm-logs');
const KEEP_LOGS = 5;
const MEMORY_OF_TWO_BYTES = 8e9;
const NO_SURPRISE = 'no denial and no kernel message that no test has announced';

const compiled = (path) => import(pathToFileURL(join(COMPILED_TESTS, 'vm', path)).href);

/** First whether the VM is what it claims; then the longest, so that in the end no VM waits for another; then the rest. */
const ORDER = ['host.test', 'svirt-assign', 'v2-resets', 'svirt-audit', 'confined', 'launch', 'io-weight', 'v2-levels'];

/** The lane's own files, and those that it has from the host lane. */
export async function findVmFiles(filter) {
  const { HOST_SUBSET } = await compiled('host-subset.js');
  const rank = (path) => {
    const at = ORDER.findIndex((name) => basename(path).startsWith(name));
    return at < 0 ? ORDER.length : at;
  };
  return [...findTestFiles('vm'), ...HOST_SUBSET.map((name) => join(COMPILED_TESTS, `${name}.js`))]
    .filter((path) => path.includes(filter))
    .sort((one, other) => rank(one) - rank(other));
}

/**
 * @param {{ files: readonly string[], name?: string, limitSeconds: number, grep?: string, signal: AbortSignal,
 *   say: (text: string) => void, onTest: (test: object) => void }} options `name`: in the VM of that name, which stays
 * @returns {Promise<string | null>} why it cannot run here; null when it ran
 */
export async function runVmLane(options) {
  const { name, files, signal, say } = options;
  const kept = name === undefined ? null : await findVm(name, { signal });
  if (name !== undefined && kept === null) throw new SetupError(`no VM ${name} runs: npm run vm -- --name ${name} up`);
  const reason = await whyNoVm({ signal, say });
  if (reason !== null) return reason;
  const queue = [...files];
  if (kept !== null) {
    await sync(kept, { signal, say });
    await runIn(kept, { ...options, queue });
    return null;
  }
  const running = [];
  const ofItsOwn = async (machine) => {
    try {
      await runIn(machine, { ...options, queue });
    } finally {
      stopVm(machine);
    }
  };
  let failure = null;
  try {
    // One after the other: the first makes what they share.
    for (let at = 0; at < vmsAtOnce(files) && queue.length > 0; at++)
      running.push(ofItsOwn(await startVm({ signal, say })));
  } catch (error) {
    if (error instanceof NoMirror && running.length === 0) return error.message;
    failure = error;
  }
  const ends = await Promise.allSettled(running);
  failure ??= ends.find(({ status }) => status === 'rejected')?.reason ?? null;
  if (failure !== null) throw failure;
  return null;
}

/** A VM keeps one of the host's CPUs busy. */
function vmsAtOnce(files) {
  return files.length > 3 && availableParallelism() > 1 && freemem() > MEMORY_OF_TWO_BYTES ? 2 : 1;
}

async function runIn(machine, options) {
  const { signal, say, onTest } = options;
  let failed = false;
  const give = (test) => {
    failed ||= test.event === 'fail';
    onTest(test);
  };
  try {
    await runFiles({ ...options, machine, onTest: give });
  } catch (error) {
    failed = true;
    throw error;
  } finally {
    if (failed && !signal.aborted) say(`   logs of the VM: ${await saveLogs(machine, { signal })}`);
  }
}

/** Takes from the queue what another VM has not taken. */
async function runFiles({ machine, name, queue, limitSeconds, grep, signal, onTest }) {
  const judge = await Judge.open(machine, signal);
  // What was done by hand in a VM that stays is nobody's failure.
  if (name !== undefined) await judge.surprises();
  const check = async (file) => {
    const surprise = await judge.surprises();
    if (surprise !== '') onTest({ ...crashedTest(surprise), name: NO_SURPRISE, file });
    return surprise === '';
  };
  const began = performance.now();
  const units = await waitUntilUp(machine, { signal });
  const seconds = (performance.now() - began) / 1000;
  if (units !== '')
    onTest({ ...crashedTest(`these units failed:\n${units}`), name: 'every unit of the VM starts', file: '' });
  let quiet = await check('');
  for (let path = queue.shift(); path !== undefined; path = queue.shift()) {
    signal.throwIfAborted();
    const file = relative(COMPILED_TESTS, path).replace(/\.js$/, '');
    await runFile({ machine, file, limitSeconds, grep, signal, onTest });
    quiet = (await check(file)) && quiet;
  }
  if (quiet) onTest({ event: 'pass', name: NO_SURPRISE, file: '', nesting: 0, seconds, notes: [], error: '' });
}

async function runFile({ machine, file, limitSeconds, grep, signal, onTest }) {
  let output = '';
  const give = (test) => onTest({ ...test, file, ...(test.event === 'fail' ? { output: lastLines(output, 60) } : {}) });
  const events = new TestEvents(give);
  const child = machine.spawn(guestCommand(file, limitSeconds, grep));
  child.stdout.setEncoding('utf8').on('data', (text) => events.push(text));
  child.stderr.setEncoding('utf8').on('data', (text) => {
    output += text;
  });
  const stop = () => {
    // In a VM that stays, the file cleans up behind itself.
    machine.spawn('pkill -TERM -f events-reporter.mjs', { stdio: 'ignore' }).on('error', () => {});
    setTimeout(() => child.kill('SIGTERM'), 1000).unref();
  };
  signal.addEventListener('abort', stop, { once: true });
  const { code, killedBy } = await new Promise((resolve) => {
    child.once('error', (error) => resolve({ code: 1, killedBy: error.message }));
    child.once('close', (exitCode, name) => resolve({ code: exitCode, killedBy: name }));
  });
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  events.end();
  // As timeout(1) says it.
  const overran = code === 124 || code === 137;
  const crash = describeCrash({ overran, limitSeconds, code, killedBy, events });
  if (crash !== null) give(crashedTest(crash));
}

/** Events go to standard output while they come, the rest to standard error. SIGTERM first, so that a file can clean up. */
function guestCommand(file, limitSeconds, grep) {
  const pattern = grep === undefined ? [] : [`--test-name-pattern=${grep}`];
  const words = [
    ...['timeout', '--kill-after=40', String(limitSeconds), 'node', '--enable-source-maps'],
    ...['--test-reporter=./scripts/lanes/events-reporter.mjs', `--test-reporter-destination=${EVENTS}`],
    ...[...pattern, `build/test/${file}.js`],
  ];
  const line = words.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(' ');
  const start = `mkdir -p ${dirname(EVENTS)} && : >${EVENTS} && cd ${GUEST_ROOT} && { ${line} >&2 & } && pid=$!`;
  return `${start} && tail -n +1 -f --pid=$pid ${EVENTS}; wait $pid`;
}

/** Reads what is new in the logs since it last looked. */
class Judge {
  #auditBytes = 0;
  #consoleLines = 0;

  static async open(machine, signal) {
    const judge = new Judge();
    judge.machine = machine;
    judge.signal = signal;
    judge.rules = { ...(await compiled('support/denials.js')), ...(await compiled('support/known-denials.js')) };
    judge.kernelSurprises = (await compiled('support/kernel-log.js')).kernelSurprises;
    return judge;
  }

  /** @returns {Promise<string>} empty, or what nobody has announced */
  async surprises() {
    const { parseDenials, unexpectedDenials, describeDenials, KNOWN_DENIALS } = this.rules;
    const tail = `tail -c +${this.#auditBytes + 1} ${AUDIT_LOG}`;
    const text = await this.machine.output(`${tail}; echo; echo ==; cat ${ANNOUNCED} 2>/dev/null; rm -f ${ANNOUNCED}`, {
      signal: this.signal,
    });
    const end = text.lastIndexOf('\n==\n');
    const audit = text.slice(0, end);
    this.#auditBytes += Buffer.byteLength(audit);
    const announced = text
      .slice(end + 4)
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line));
    const console = readFileSync(this.machine.consoleLog, 'latin1').split('\n');
    const said = console.slice(this.#consoleLines).join('\n');
    this.#consoleLines = console.length - 1;
    const denials = unexpectedDenials(parseDenials(`${audit}\n${said}`), announced, KNOWN_DENIALS);
    const kernel = this.kernelSurprises(said);
    return [
      ...(denials.length === 0 ? [] : [`SELinux denials that no test announced:\n${describeDenials(denials)}`]),
      ...(kernel.length === 0 ? [] : [`the kernel said:\n${kernel.join('\n')}`]),
    ].join('\n');
  }
}

/** Brings the logs back. @returns {Promise<string>} the directory */
export async function saveLogs(machine, { signal }) {
  const directory = join(LOGS, `${new Date().toISOString().replace(/[:.]/g, '-')}-${basename(machine.directory)}`);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, 'console.log'), readFileSync(machine.consoleLog));
  const commands = {
    'audit.log': `cat ${AUDIT_LOG}`,
    'denials.txt': 'ausearch --input-logs -i -m avc,user_avc,selinux_err',
    'journal.log': 'journalctl --no-pager -o short-precise -b',
    'virtslad.log': 'journalctl --no-pager -o short-precise -b -u virtslad',
    'libvirt-guests.log': 'tail -n 200 /var/log/libvirt/qemu/*.log',
  };
  for (const [name, command] of Object.entries(commands)) {
    const text = await machine
      .output(`${command} || true`, { signal, seconds: 120 })
      .catch((error) => `${error.message}\n`);
    writeFileSync(join(directory, name), text);
  }
  for (const old of readdirSync(LOGS).sort().slice(0, -KEEP_LOGS))
    rmSync(join(LOGS, old), { recursive: true, force: true });
  return directory;
}
