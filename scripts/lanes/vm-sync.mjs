// Brings a VM that runs up to what the checkout has now, without a new image: the installed virtslad, the compiled tests
// and the SELinux policy. Takes some seconds; only what has changed is sent.
import { createReadStream, existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from '../bootstrap.mjs';
import { run, SetupError } from '../child.mjs';
import { hashOf } from './vm-cache.mjs';
import { ensureBase, ensurePolicy, makeInstalledTree } from './vm-image.mjs';

/** What the module gives a label of its own. */
const RELABEL = '/usr/lib/systemd/system/virtslad.service /etc/virtslad /var/lib/virtslad /run/virtslad';

/** The daemon is restarted. */
export async function sync(machine, { signal, say }) {
  const began = performance.now();
  const sent = readSent(machine);
  const now = {
    policy: await ensurePolicy(await ensureBase({ signal, say }), { signal, say }),
    modules: modulesHash(),
  };
  if (now.policy !== sent.policy) {
    say('Loading the SELinux policy …');
    await send(machine, createReadStream(now.policy), 'tar -C / --no-same-owner -xzf - && load_policy', signal);
  }
  const tree = join(machine.directory, 'tree');
  await makeInstalledTree(tree, { signal });
  const tar = join(machine.directory, 'tree.tar');
  const exclude =
    now.modules === sent.modules ? ['--exclude=./usr/lib/virtslad/node_modules'] : ['--exclude=./nothing'];
  // What an operator changed in /etc stays, as with the package.
  const packed = await run('tar', ['-C', tree, ...exclude, '--exclude=./etc', '-czf', tar, '.'], { signal });
  if (packed.code !== 0) throw new SetupError('tar failed', packed.output);
  const clear = 'rm -rf /usr/lib/virtslad/dist /opt/virtslad-tests/build';
  await send(machine, createReadStream(tar), `${clear} && tar -C / --no-same-owner -xzf -`, signal);
  const restart = 'systemctl daemon-reload && systemctl reset-failed virtslad; systemctl --no-block restart virtslad';
  const code = now.modules === sent.modules ? '/usr/lib/virtslad/dist' : '/usr/lib/virtslad';
  await machine.output(`restorecon -RF ${code} ${RELABEL} 2>/dev/null; ${restart}`, {
    signal,
    seconds: 300,
  });
  writeFileSync(join(machine.directory, 'sent'), JSON.stringify(now));
  say(`Synced in ${((performance.now() - began) / 1000).toFixed(0)} s.`);
}

/** What the image of a run was made with, so that a sync need not send it again. */
export function noteSent(machine, policy) {
  writeFileSync(join(machine.directory, 'sent'), JSON.stringify({ policy, modules: modulesHash() }));
}

function readSent(machine) {
  const path = join(machine.directory, 'sent');
  return existsSync(path) ? JSON.parse(readFileSync(path, 'utf8')) : {};
}

function modulesHash() {
  return hashOf([
    readFileSync(join(ROOT, 'package-lock.json')),
    String(readdirSync(join(ROOT, 'node_modules')).length),
  ]);
}

async function send(machine, stream, command, signal) {
  const child = machine.spawn(command, { stdio: ['pipe', 'pipe', 'pipe'] });
  let said = '';
  for (const output of [child.stdout, child.stderr]) {
    output.setEncoding('utf8').on('data', (text) => {
      said += text;
    });
  }
  const stop = () => child.kill('SIGKILL');
  signal.addEventListener('abort', stop, { once: true });
  child.stdin.on('error', () => {});
  stream.pipe(child.stdin);
  const code = await new Promise((resolve) => {
    child.once('error', () => resolve(127));
    child.once('close', resolve);
  });
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  if (code !== 0) throw new SetupError(`in the VM: ${command}: exit code ${code}`, said);
}
