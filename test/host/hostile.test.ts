/** A guest whose owner chose its name, title and description to do damage. */
import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { execute } from '../support/command.js';
import { limitCores } from '../support/kernel-view.js';
import { Lab } from '../support/lab.js';
import { waitUntil } from '../support/wait.js';

const lab = await Lab.open();
after(() => lab.close());

const POLICY = `version: 1
classes:
  batch: { cpu: { limit: 30% } }
assignments:
  - { class: batch, match: { any: true } }
`;
/** libvirt refuses a slash and a newline; all else goes through. */
const NAME = `..evil"} 1 # \\ {x='<b>&$(id)\`;é☃\u202e%s`;

test('a hostile name is managed like any other, and breaks neither metrics, pages nor logs', async () => {
  const guest = await lab.startGuest({ name: NAME, burn: false, title: `</title>"} 9 ${'x'.repeat(300)}` });
  const daemon = await lab.startDaemon({ policies: { '10-hostile.yaml': POLICY } });
  await waitUntil('the guest to be capped', () => limitCores(guest.groups, 'vcpu0') === 0.3, { seconds: 10 });
  await daemon.waitUntilCompliant([guest]);

  const text = await daemon.scrapeText();
  const file = join(lab.directory, 'metrics.prom');
  writeFileSync(file, text);
  const promtool = await execute('sh', ['-c', 'promtool check metrics < "$1"', 'sh', file]);
  assert.equal(promtool.code, 0, promtool.stderr + promtool.stdout);
  assert.equal((promtool.stderr + promtool.stdout).trim(), '', 'promtool complains');
  const infos = (await daemon.scrape()).filter(({ name }) => name === 'virtsla_domain_info');
  assert.equal(infos.filter(({ labels }) => labels.uuid === guest.uuid).length, 1);

  const page = await (await fetch(`${daemon.url}/`)).text();
  assert.ok(page.includes('&lt;b&gt;'), 'the name is not in the page');
  assert.ok(!page.includes("'<b>") && !page.includes('<b>&'), 'the name is in the page unescaped');
  for (const line of daemon.log.trim().split('\n')) assert.doesNotThrow(() => JSON.parse(line), line);

  for (const verb of ['status', 'explain', 'history']) {
    const said = await daemon.virtsladOk(verb, guest.uuid);
    assert.ok(!said.includes('\u202e'), `${verb} prints a control character`);
  }
  await daemon.virtsladOk('release', guest.uuid);
  assert.equal(limitCores(guest.groups, 'vcpu0'), null);
});
