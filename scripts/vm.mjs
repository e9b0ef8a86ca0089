// A VM of the VM lane for people: a root shell in it, or one command. Without a name it is a fresh one that ends with the
// shell; with a name it is left running, found again, and brought up to the checkout with --sync.
//   npm run vm                                          a shell
//   npm run vm -- COMMAND                               one command; its exit code
//   npm run vm -- --name NAME [--sync] [COMMAND | up]   in the VM of that name, booted if need be, left running
//   npm run vm -- --name NAME --stop                    ends it
//   npm run vm -- --list                                those that run
import { existsSync, readdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ensureNpmPackages } from './bootstrap.mjs';
import { build } from './build.mjs';
import { SetupError } from './child.mjs';
import { runDirectory } from './lanes/vm-cache.mjs';
import { Machine } from './lanes/vm-machine.mjs';
import { findVm, startVm, stopVm, waitUntilUp, whyNoVm } from './lanes/vm-start.mjs';
import { sync } from './lanes/vm-sync.mjs';

const interrupt = new AbortController();
const { signal } = interrupt;
/** In the shell of the VM Ctrl-C is the shell's. */
let inShell = false;
for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(name, () => {
    if (!inShell || name !== 'SIGINT') interrupt.abort(new Error(`stopped by ${name}`));
  });
}
const say = (text) => console.error(text);

try {
  process.exitCode = await main(readOptions());
} catch (error) {
  console.error(error instanceof SetupError || signal.aborted ? error.message : error);
  process.exitCode = 1;
}

async function main({ values, positionals }) {
  if (values.list) return list();
  const command = positionals.join(' ');
  if (values.stop) {
    const machine = new Machine(runDirectory(values.name ?? ''));
    if (values.name === undefined || !machine.runs) throw new SetupError('--stop needs the --name of a VM that runs');
    stopVm(machine);
    return 0;
  }
  const found = values.name === undefined ? null : await findVm(values.name, { signal });
  if (found === null || values.sync) await prepare();
  const machine = found ?? (await start(values.name));
  try {
    if (found !== null && values.sync) await sync(machine, { signal, say });
    if (command === 'up') return 0;
    return await shell(machine, command);
  } finally {
    if (values.name === undefined) stopVm(machine);
  }
}

async function prepare() {
  const reason = await whyNoVm({ signal, say });
  if (reason !== null) throw new SetupError(`no VM here: ${reason}`);
  await ensureNpmPackages({ signal, say });
  try {
    await build({ tests: true, signal });
  } catch (error) {
    if (!(error instanceof SetupError)) throw error;
    // What compiles is there; for a look around that may be enough.
    say(error.message);
  }
}

async function start(name) {
  const machine = await startVm({ ...(name === undefined ? {} : { name, keep: true }), signal, say });
  const failed = await waitUntilUp(machine, { signal });
  if (failed !== '') say(`These units failed:\n${failed}`);
  say(`The VM is up. Its console: ${machine.consoleLog}`);
  return machine;
}

async function shell(machine, command) {
  inShell = true;
  const terminal = command === '' || (process.stdin.isTTY === true && process.stdout.isTTY === true);
  const child = machine.spawn(command, { stdio: 'inherit', terminal });
  signal.addEventListener('abort', () => child.kill('SIGTERM'), { once: true });
  const code = await new Promise((resolve) => {
    child.once('error', () => resolve(127));
    child.once('close', (exitCode) => resolve(exitCode ?? 1));
  });
  signal.throwIfAborted();
  return code;
}

function list() {
  const parent = runDirectory('.');
  for (const name of existsSync(parent) ? readdirSync(parent) : []) {
    const machine = new Machine(runDirectory(name));
    if (machine.runs) console.log(`${name}\tpid ${machine.pid}\t${machine.consoleLog}`);
  }
  return 0;
}

function readOptions() {
  try {
    const options = {
      name: { type: 'string' },
      sync: { type: 'boolean' },
      stop: { type: 'boolean' },
      list: { type: 'boolean' },
    };
    // What follows the first word is the command's.
    const args = process.argv.slice(2);
    const first = args.findIndex((word, index) => !word.startsWith('-') && args[index - 1] !== '--name');
    const own = first < 0 ? args : args.slice(0, first);
    const { values } = parseArgs({ args: own, options, allowPositionals: false });
    if (values.name !== undefined && !/^[a-z][a-z0-9-]{0,30}$/.test(values.name))
      throw new Error('--name: small letters, digits, -');
    return { values, positionals: first < 0 ? [] : args.slice(first) };
  } catch (error) {
    console.error(`${error.message}\nUsage: npm run vm -- [--name NAME [--sync] [--stop]] [--list] [COMMAND]`);
    process.exit(2);
  }
}
