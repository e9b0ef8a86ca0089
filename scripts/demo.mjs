// `npm run demo`, from a fresh clone with nothing but Node, npm and root on Debian: installs what is missing, builds,
// and hands over to demo/main.ts. Ctrl-C at any moment ends it and puts everything back; npm may deliver it twice.
//   npm run demo -- [--no-wait]
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { DEMO_TOOLS, ensureHostTools, ensureNpmPackages, ROOT } from './bootstrap.mjs';
import { build } from './build.mjs';
import { SetupError } from './child.mjs';

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 };

const interrupt = new AbortController();
let stoppedBy = null;
for (const name of Object.keys(EXIT_CODES)) {
  process.on(name, () => {
    stoppedBy ??= name;
    interrupt.abort(new Error(`stopped by ${name}`));
  });
}

process.exit(await main());

async function main() {
  let wait;
  try {
    wait = !parseArgs({ options: { 'no-wait': { type: 'boolean', default: false } } }).values['no-wait'];
  } catch (error) {
    console.error(`${error.message}\nUsage: npm run demo -- [--no-wait]`);
    return 2;
  }
  const { signal } = interrupt;
  try {
    await prepare(signal);
    const { runDemo } = await import(pathToFileURL(join(ROOT, 'build', 'demo', 'main.js')).href);
    const kept = await runDemo({ signal, wait });
    // To end the demo with Ctrl-C while it waits is to end it well.
    if (kept) return 0;
  } catch (error) {
    if (signal.aborted) console.log('Stopped.');
    else console.error(error instanceof SetupError ? error.message : error);
  }
  return stoppedBy === null ? 1 : EXIT_CODES[stoppedBy];
}

async function prepare(signal) {
  const say = (text) => console.log(`▸ ${text}`);
  if (process.platform !== 'linux') throw new SetupError('The demo needs Linux: it runs QEMU guests in cgroups.');
  if (process.getuid() !== 0) throw new SetupError('The demo needs root: it starts QEMU guests and writes cgroups.');
  await ensureNpmPackages({ signal, say });
  const reason = await ensureHostTools(DEMO_TOOLS, { signal, say });
  if (reason !== null) throw new SetupError(`The demo cannot run here: ${reason}`);
  say('Building');
  await build({ demo: true, signal });
}
