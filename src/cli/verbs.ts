/** Every command, in the order in which help lists them. Adding one is a file and a line here. */
import { apply } from './apply.js';
import { check } from './check.js';
import { createCompletion } from './completion.js';
import { explain } from './explain.js';
import { createHelp } from './help.js';
import { history } from './history.js';
import { hold } from './hold.js';
import { launch } from './launch.js';
import { plan } from './plan.js';
import { release } from './release.js';
import { resume } from './resume.js';
import { rules } from './rules.js';
import { run } from './run.js';
import { schema } from './schema.js';
import { status } from './status.js';
import type { Verb } from './verb.js';

/** Part of the interface and not built yet: known by name, so that the answer is honest. */
export const PLANNED_VERBS: readonly string[] = ['report'];

export const VERBS: readonly Verb[] = [
  run,
  check,
  plan,
  apply,
  status,
  explain,
  history,
  release,
  hold,
  resume,
  launch,
  rules,
  schema,
  createCompletion(() => VERBS),
  createHelp(() => VERBS, PLANNED_VERBS),
];
