/** The generated pages are what the code says now, and the packaged configuration is one that the loader takes. */
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { cliReference } from '../../src/cli/reference.js';
import { PLANNED_VERBS, VERBS } from '../../src/cli/verbs.js';
import { CONFIG_KEY_NAMES, CONFIG_KEYS, configKey } from '../../src/config/keys.js';
import { parseConfigText } from '../../src/config/parse.js';
import { configurationReference, defaultConfigurationFile } from '../../src/config/reference.js';
import type { Problem } from '../../src/errors.js';
import { ROOT } from '../support/paths.js';

const GENERATED: Readonly<Record<string, () => string>> = {
  'docs/reference/cli.md': () => cliReference(),
  'docs/reference/configuration.md': configurationReference,
  'packaging/virtslad.yaml': defaultConfigurationFile,
};

for (const [path, generate] of Object.entries(GENERATED)) {
  test(`${path} is current`, () => {
    const file = join(ROOT, path);
    if (process.env.UPDATE_GOLDEN === '1') writeFileSync(file, generate());
    assert.equal(readFileSync(file, 'utf8'), generate(), `${path} is stale: npm run generate`);
  });
}

describe('the command reference', () => {
  test('has a section and every flag of each command, and does not list what is not built', () => {
    const text = cliReference();
    for (const verb of VERBS) {
      assert.match(text, new RegExp(`^## ${verb.name}$`, 'm'));
      for (const flag of verb.flags) assert.ok(text.includes(`--${flag.name}`), `${verb.name} --${flag.name}`);
    }
    for (const name of PLANNED_VERBS) assert.doesNotMatch(text, new RegExp(`^## ${name}$`, 'm'));
  });
  test('every command has examples that name it, and says its exit codes', () => {
    for (const { name, examples, exits } of VERBS) {
      assert.ok(examples.length > 0 && exits.length > 1, name);
      for (const [line] of examples) assert.match(line, new RegExp(`virtslad[ -]${name}\\b`));
    }
  });
});

describe('the default configuration', () => {
  const commented = defaultConfigurationFile();
  /** The keys as they would stand with the comment signs of the key lines removed. */
  const bared = commented
    .split('\n')
    .filter((line) => /^#\s*[a-z-]+:(?: |$)/.test(line))
    .map((line) => line.slice(1))
    .join('\n');

  test('as shipped it sets nothing', () => {
    const problems: Problem[] = [];
    assert.deepEqual(parseConfigText('virtslad.yaml', commented, problems), {});
    assert.deepEqual(problems, []);
  });
  test('with every # removed it sets every key, to the default where there is one', () => {
    const problems: Problem[] = [];
    const values: Record<string, unknown> = parseConfigText('virtslad.yaml', bared, problems);
    assert.deepEqual(problems, [], bared);
    assert.deepEqual(Object.keys(values).sort(), [...CONFIG_KEY_NAMES].sort());
    for (const name of CONFIG_KEY_NAMES) {
      const text = CONFIG_KEYS[name].default?.replace('RUN_DIR', '/run/virtslad') ?? null;
      if (text === null) continue;
      const expected = configKey(name)?.schema.parse(/^\d+$/.test(text) ? Number(text) : text);
      assert.deepEqual(values[name], expected, name);
    }
  });
});
