/**
 * A policy generation → the rules for Prometheus that prove it: for each objective of each class what
 * `guest-rules.ts` and `class-rules.ts` say, and the alerts about the daemon. The same objectives give the same text. Pure.
 */
import { stringify } from 'yaml';
import type { Generation } from '../policy/types.js';
import { classGroup } from './class-rules.js';
import { daemonGroup } from './daemon-alerts.js';
import { guestGroups } from './guest-rules.js';
import { DEFAULT_OPTIONS, type RuleGroup, type RulesOptions } from './rule.js';

/** What Prometheus reads from a rule file. */
export interface RulesDocument {
  readonly groups: readonly RuleGroup[];
}

/** Classes by name, so that the order of files does not count. */
export function rulesOf(
  generation: Pick<Generation, 'classes'>,
  options: RulesOptions = DEFAULT_OPTIONS,
): RulesDocument {
  const classes = [...generation.classes.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
  const groups: RuleGroup[] = [];
  for (const { name: className, objectives } of classes) {
    for (const objective of objectives) {
      const name = { className, sli: objective.sli };
      groups.push(...guestGroups(name, objective, options), classGroup(name, objective));
    }
  }
  return { groups: [...groups, daemonGroup(options)] };
}

const HEADER = `# Rules for Prometheus (rule_files), made by \`virtslad rules\` from the policy; not for editing.
# Error budgets are of guests: virtsla:slo_bad:*, and the alerts. Those of whole classes have the names of Sloth: slo:*.
`;

export function renderRules(document: RulesDocument): string {
  return `${HEADER}\n${stringify(document, { lineWidth: 0, blockQuote: 'literal', aliasDuplicateObjects: false })}`;
}
