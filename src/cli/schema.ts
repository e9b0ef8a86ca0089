/** `virtslad schema`: the JSON Schema of policy files, for editors. */
import { EXIT_DONE, USUAL_EXITS, type Verb } from './verb.js';

export const schema: Verb = {
  name: 'schema',
  summary: 'Print the JSON Schema of policy files',
  about: [
    'Editors check and complete policy files with it: name it in the first line of a file as `# yaml-language-server: $schema=FILE`. `virtslad check` finds more than a schema can say.',
  ],
  flags: [],
  configured: false,
  reads: false,
  examples: [['virtslad schema > virtslad-policy.schema.json', 'for an editor']],
  exits: USUAL_EXITS,
  async run(context) {
    const document = await context.services.policyJsonSchema();
    context.out.write(`${JSON.stringify(document, null, 2)}\n`);
    return EXIT_DONE;
  },
};
