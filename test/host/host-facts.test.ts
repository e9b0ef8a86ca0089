import assert from 'node:assert/strict';
import os from 'node:os';
import { test } from 'node:test';
import { HOST_FACT_NAMES, readHostFacts, type SystemAnswers } from '../../src/host/host-facts.js';
import { HOST_INFO_LABELS } from '../../src/metrics/daemon-families.js';

const ANSWERS: SystemAnswers = {
  cpu: { manufacturer: 'Intel', brand: 'Xeon 6130', cores: 64, physicalCores: 32, processors: 2 },
  osInfo: { distro: 'Debian GNU/Linux', release: '12' },
  system: { manufacturer: 'Dell', model: 'Dell R640' },
};

test('the facts are the labels of virtsla_host_info', () => {
  assert.deepEqual([...HOST_FACT_NAMES], [...HOST_INFO_LABELS]);
});

test('answers become facts', async () => {
  assert.deepEqual(await readHostFacts({ ask: async () => ANSWERS }), {
    arch: os.machine(),
    cpu_cores: '32',
    cpu_model: 'Intel Xeon 6130',
    cpu_sockets: '2',
    cpu_threads: '64',
    distro: 'Debian GNU/Linux 12',
    kernel: os.release(),
    machine: 'Dell R640',
  });
});

test('a question that fails leaves its facts empty or to node:os', async () => {
  const facts = await readHostFacts({ ask: async () => ({ cpu: null, osInfo: null, system: null }) });
  assert.equal(facts.kernel, os.release());
  assert.equal(facts.cpu_threads, String(os.cpus().length));
  assert.equal(facts.distro, '');
  const thrown = await readHostFacts({ ask: () => Promise.reject(new Error('no sh')) });
  assert.deepEqual(thrown, facts);
  const vague = await readHostFacts({
    ask: async () => ({ ...ANSWERS, osInfo: { distro: 'unknown', release: 'unknown' } }),
  });
  assert.equal(vague.distro, '');
});

test('an answer that never comes is given up at the deadline, and the asker is told', async () => {
  let aborted = false;
  const ask = (signal: AbortSignal): Promise<SystemAnswers> =>
    new Promise(() => signal.addEventListener('abort', () => (aborted = true)));
  const facts = await readHostFacts({ ask, deadlineMs: 20 });
  assert.equal(facts.arch, os.machine());
  assert.equal(aborted, true);
});

test('this host answers through the thread', async () => {
  const facts = await readHostFacts({ deadlineMs: 30_000 });
  assert.deepEqual(Object.keys(facts), [...HOST_FACT_NAMES]);
  assert.notEqual(facts.distro, '');
});
