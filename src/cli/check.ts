/** `virtslad check [PATH…]`: whether policy files are good, with every problem at once. */
import { resolve } from 'node:path';
import { VirtsladError } from '../errors.js';
import { print } from './print.js';
import { renderProblems } from './render/problems.js';
import { plural } from './render/words.js';
import { EXIT_DONE, EXIT_ERROR, type Verb } from './verb.js';

export const check: Verb = {
  name: 'check',
  summary: 'Validate policy files; all problems at once, with file:line:col',
  about: [
    'Reads the files and directories given, or the policy directory, as one set, exactly as the daemon would. Needs no daemon, no libvirt and no root.',
    'A problem is an error; a warning is something that is allowed and probably not meant.',
  ],
  argument: {
    name: 'PATH',
    summary: 'Policy file or directory; default the policy directory',
    least: 0,
    most: Number.POSITIVE_INFINITY,
  },
  flags: [],
  configured: true,
  reads: true,
  examples: [
    ['virtslad check', 'the policy directory of this host'],
    ['virtslad check policies/', 'a directory in a repository'],
    ['virtslad check 10-gold.yaml 20-silver.yaml', 'some files, together'],
  ],
  exits: [
    [EXIT_DONE, 'the set is good; there may be warnings'],
    [EXIT_ERROR, 'the set is refused, or cannot be read'],
  ],
  async run(context) {
    const { arguments: paths, services, err } = context;
    // With paths given a broken configuration does not matter; nothing of it is used.
    const result =
      paths.length === 0
        ? await services.loadPolicyDirectory(context.config().policyDir)
        : await services.loadPolicyPaths(paths.map((path) => resolve(context.workingDirectory, path)));
    if (!result.ok) {
      if (!context.json) throw new VirtsladError(result.problems);
      print(context, { ok: false, problems: result.problems, warnings: [] }, () => '');
      return EXIT_ERROR;
    }
    const { generation, warnings } = result;
    const { classes, assignments, schedules, maintenance, files } = generation;
    const counts = {
      classes: classes.size,
      assignments: assignments.length,
      schedules: schedules.length,
      maintenance: maintenance.length,
      files: files.length,
    };
    if (!context.json) err.write(renderProblems(warnings, 'warning', err.color));
    print(context, { ok: true, generation: generation.id, ...counts, problems: [], warnings }, () => {
      const parts = [
        plural(counts.classes, 'class', 'classes'),
        plural(counts.assignments, 'assignment'),
        plural(counts.schedules, 'schedule'),
        plural(counts.maintenance, 'maintenance window'),
      ];
      return `OK: ${parts.join(', ')} in ${plural(counts.files, 'file')}; generation ${generation.id}\n`;
    });
    return EXIT_DONE;
  },
};
