/** The completion scripts: each shell that is here accepts its script, and bash completes what it should. */
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { grammarOf } from '../../src/cli/completion.js';
import { bashCompletion, fishCompletion, zshCompletion } from '../../src/cli/completion-scripts.js';
import { PLANNED_VERBS, VERBS } from '../../src/cli/verbs.js';
import { inDirectory } from './fake-host.js';

const grammar = grammarOf(VERBS);
const SCRIPTS = { bash: bashCompletion(grammar), zsh: zshCompletion(grammar), fish: fishCompletion(grammar) };

function here(shell: string): false | string {
  return spawnSync(shell, ['-c', 'true']).status === 0 ? false : `${shell} is not installed`;
}

for (const [shell, script] of Object.entries(SCRIPTS)) {
  test(`${shell} accepts its script`, { skip: here(shell) }, () => {
    const { status, stderr } = spawnSync(shell, ['-n'], { input: script, encoding: 'utf8' });
    assert.equal(status, 0, stderr);
  });
  test(`the ${shell} script knows every command and none that is not built`, () => {
    for (const { name } of VERBS) assert.match(script, new RegExp(`\\b${name}\\b`));
    // As a command of its own; the words occur in sentences.
    for (const name of PLANNED_VERBS) assert.doesNotMatch(script, new RegExp(`^\\s*'?${name}[:)]|-a ${name} `, 'm'));
  });
}

describe('bash completes', { skip: here('bash') }, () => {
  const rows: readonly [line: string, expected: readonly string[]][] = [
    ['virtslad pl', ['plan']],
    ['virtslad re', ['release', 'resume']],
    ['virtslad explain ', ['db-1', 'web-1']],
    ['virtslad explain d', ['db-1']],
    ['virtslad hold db-1 --f', ['--for']],
    ['virtslad plan --mode ', ['enforce', 'observe']],
    ['virtslad plan -o j', ['json']],
    ['virtslad --mode observe sta', ['status']],
    ['virtslad completion z', ['zsh']],
    ['virtslad help exp', ['explain']],
    ['virtslad hold db-1 --for ', []],
    ['virtslad schema ', []],
    ['virtslad check pol', ['policies']],
    ['virtslad plan --policy-dir pol', ['policies']],
  ];
  for (const [line, expected] of rows) {
    test(JSON.stringify(line), () =>
      inDirectory(async (directory) => {
        const script = join(directory, 'completion.bash');
        writeFileSync(script, SCRIPTS.bash);
        const command = join(directory, 'virtslad');
        writeFileSync(command, '#!/bin/sh\n[ "$*" = "completion --guests" ] && printf "db-1\\nweb-1\\n"\n');
        chmodSync(command, 0o755);
        const words = line.split(' ').map((word) => `'${word}'`);
        const program = `mkdir policies; source ./completion.bash; COMP_WORDS=(${words.join(' ')}); COMP_CWORD=${words.length - 1}
          _virtslad; printf '%s\\n' "\${COMPREPLY[@]}"`;
        const { stdout, stderr } = spawnSync('bash', ['--norc', '-c', program], {
          cwd: directory,
          encoding: 'utf8',
          env: { PATH: `${directory}:/usr/bin:/bin` },
        });
        assert.deepEqual([stdout.split('\n').filter((word) => word !== ''), stderr], [expected, '']);
      }),
    );
  }
});
