/** Policies in, rules out; and the rules as Prometheus would take them, in a directory that goes away. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { AlertingRule, RecordingRule, RulesOptions } from '../../src/rules/rule.js';
import { type RulesDocument, renderRules, rulesOf } from '../../src/rules/rules.js';
import { generationOf } from '../policy/compiled.js';
import { type CommandResult, execute } from '../support/command.js';

/** One class `gold` with these objectives. */
export function documentOf(objectives: string, options?: RulesOptions): RulesDocument {
  return rulesOf(generationOf(`version: 1\nclasses:\n  gold:\n    objectives: [${objectives}]\n`), options);
}

export function alertsOf({ groups }: RulesDocument, name?: string): readonly AlertingRule[] {
  const alerts = groups.flatMap(({ rules }) => rules).filter((rule): rule is AlertingRule => 'alert' in rule);
  return name === undefined ? alerts : alerts.filter(({ alert }) => alert === name);
}

export function recordsOf({ groups }: RulesDocument): readonly RecordingRule[] {
  return groups.flatMap(({ rules }) => rules).filter((rule): rule is RecordingRule => 'record' in rule);
}

/** Null, and the test skipped, where promtool is not installed. */
export async function promtool(t: TestContext, words: readonly string[], cwd: string): Promise<CommandResult | null> {
  const found = await execute('sh', ['-c', 'command -v promtool']);
  if (found.code === 0) return execute('promtool', words, { cwd, timeoutSeconds: 180 });
  t.skip('promtool is not installed');
  return null;
}

/** Gives `act` a directory with the rules as `rules.yaml` and a test of them as `test.yaml`. */
export async function withRuleFiles<T>(
  document: RulesDocument,
  test: string,
  act: (directory: string) => Promise<T>,
): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), 'virtslad-rules-'));
  try {
    writeFileSync(join(directory, 'rules.yaml'), renderRules(document));
    writeFileSync(join(directory, 'test.yaml'), test);
    return await act(directory);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}
