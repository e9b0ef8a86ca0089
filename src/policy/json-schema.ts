/**
 * The JSON Schema (draft-07, which every editor's YAML support understands) of a policy file, built from the keys that
 * the controls declare. It gives completion and catches slips while typing; compile.ts knows more and has the last word.
 */
import * as z from 'zod';
import type { KeySpec } from '../controls/control.js';
import { CLASS_KEYS } from '../controls/registry.js';
import { objectiveWindow } from './objectives.js';
import { type WindowKind, windowLength } from './read-window.js';
import {
  CLASS_NAME,
  DEFAULT_PRIORITY,
  DESCRIPTION_LENGTH_MAX,
  type KeyTree,
  keyTree,
  POLICY_VERSION,
  PRIORITY_MAX,
  SCHEDULE_NAME,
  SLIS,
} from './schema.js';
import { duration, objectiveShare, percent } from './value-types.js';

type Json = Record<string, unknown>;

/** `keys` are the class keys that there are; the registry's, but for tests. */
export function policyJsonSchema(keys: readonly KeySpec[] = CLASS_KEYS): object {
  const tree = keyTree(keys);
  return {
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: 'virtslad policy',
    description: 'What each class of virtual machine is promised, which guests are in it, and what changes when.',
    ...object(
      {
        version: { description: 'Version of the policy language.', const: POLICY_VERSION },
        classes: {
          description: 'Classes by name. A key that a class leaves out is not managed.',
          type: 'object',
          propertyNames: { pattern: CLASS_NAME.source },
          additionalProperties: classSchema(tree),
        },
        assignments: {
          description: 'Which guests are in which class; the first that matches decides.',
          type: 'array',
          items: assignmentSchema(),
        },
        schedules: {
          description: 'Values that hold only while a window is open.',
          type: 'array',
          items: scheduleSchema(keys),
        },
        maintenance: {
          description: 'Windows of planned maintenance, whose time counts neither for nor against objectives.',
          type: 'array',
          items: maintenanceSchema(),
        },
      },
      ['version'],
    ),
  };
}

function object(properties: Json, required: readonly string[] = []): Json {
  return { type: 'object', properties, additionalProperties: false, ...(required.length > 0 ? { required } : {}) };
}

/** What a leaf accepts, from the metadata of its zod schema. */
function leaf(schema: z.ZodType): Json {
  const { $schema: _, ...json } = z.toJSONSchema(schema, {
    io: 'input',
    target: 'draft-07',
    unrepresentable: 'any',
  }) as Json;
  return json;
}

function keySchema({ schema, summary, range, example }: KeySpec): Json {
  return { description: `${summary}. Range: ${range}.`, ...leaf(schema), examples: [exampleValue(example)] };
}

/** The example as YAML would read it. */
function exampleValue(example: string): string | number | boolean {
  if (example === 'true' || example === 'false') return example === 'true';
  return /^\d+$/.test(example) ? Number(example) : example;
}

function groupSchema(tree: KeyTree): Json {
  const properties: Json = {};
  for (const [name, child] of tree.children) {
    properties[name] = child.spec === undefined ? groupSchema(child) : keySchema(child.spec);
  }
  return object(properties);
}

function classSchema(tree: KeyTree): Json {
  const { properties } = groupSchema(tree) as { properties: Json };
  return object({
    description: { description: 'For people.', type: 'string', maxLength: DESCRIPTION_LENGTH_MAX },
    priority: {
      description: 'Who gives way first when promises are at risk: lower first.',
      type: 'integer',
      minimum: 0,
      maximum: PRIORITY_MAX,
      default: DEFAULT_PRIORITY,
    },
    ...properties,
    objectives: { description: 'Service level objectives.', type: 'array', items: objectiveSchema() },
  });
}

function objectiveSchema(): Json {
  const share = leaf(percent);
  const latency = leaf(duration('10us', '60s'));
  return {
    ...object(
      {
        sli: { description: 'What is measured.', enum: Object.keys(SLIS) },
        'at-least': { description: 'A slice is good with at least this much of what was promised.', ...share },
        'at-most': {
          description: 'A slice is good with at most this share of time, or this latency.',
          anyOf: [share, latency],
        },
        of: { description: 'Share of slices that must be good, above 0% and below 100%.', ...leaf(objectiveShare) },
        window: { description: 'Over which time: a duration from 1m, or month.', ...leaf(objectiveWindow) },
      },
      ['sli', 'of', 'window'],
    ),
    examples: [{ sli: 'cpu.delivered', 'at-least': '95%', of: '99.9%', window: '30d' }],
  };
}

function assignmentSchema(): Json {
  return {
    ...object(
      {
        class: { description: 'Name of a class.', type: 'string', pattern: CLASS_NAME.source },
        match: matchSchema(),
      },
      ['class', 'match'],
    ),
    examples: [{ class: 'gold', match: { name: 'db-*' } }],
  };
}

function matchSchema(): Json {
  const pattern = { type: 'string', minLength: 1 };
  const patterns = { anyOf: [pattern, { type: 'array', items: pattern, minItems: 1 }] };
  const field = (what: string) => ({
    description: `${what}: whole, case-sensitive; *, ? and [a-z]; a list means any.`,
    ...patterns,
  });
  return {
    description: 'All keys are required.',
    ...object({
      any: { description: 'Every guest.', const: true },
      name: field('Name of the guest'),
      uuid: field('UUID of the guest, in lower case'),
      title: field('Title of the guest'),
      description: field('Description of the guest'),
      metadata: {
        description: 'Metadata of the guest: prefix:element[/prefix:element...][@attribute] to patterns.',
        type: 'object',
        propertyNames: { pattern: '^[^\\s@/:]+(:[^\\s@/:]+)?(/[^\\s@/:]+(:[^\\s@/:]+)?)*(@[^\\s@/]+)?$' },
        additionalProperties: patterns,
        minProperties: 1,
      },
    }),
    minProperties: 1,
  };
}

/** When windows open and how long they stay so. */
function windowProperties(kind: WindowKind): Json {
  return {
    name: {
      description: `Name of the ${kind}, unique in the set.`,
      type: 'string',
      pattern: SCHEDULE_NAME.source,
    },
    cron: {
      description: 'Start of the window: minute hour day-of-month month day-of-week.',
      type: 'string',
      pattern: '^\\s*\\S+(\\s+\\S+){4}\\s*$',
      examples: ['0 20 * * 1-5'],
    },
    for: { description: 'Length of the window on the wall clock, 1s to 366d.', ...leaf(windowLength) },
    timezone: { description: 'IANA time zone.', type: 'string', default: 'UTC', examples: ['Europe/Berlin'] },
  };
}

function maintenanceSchema(): Json {
  const names = (description: string, items: Json): Json => ({
    description,
    type: 'array',
    items,
    minItems: 1,
    uniqueItems: true,
  });
  return {
    ...object(
      {
        ...windowProperties('maintenance window'),
        classes: names('Classes of the guests that it covers; all where left out.', {
          type: 'string',
          pattern: CLASS_NAME.source,
        }),
        match: matchSchema(),
        slis: names('SLIs of the objectives that it covers; all where left out.', { enum: Object.keys(SLIS) }),
      },
      ['name', 'cron', 'for'],
    ),
    examples: [{ name: 'patch-day', cron: '0 2 * * sun', for: '2h', timezone: 'Europe/Berlin', classes: ['gold'] }],
  };
}

function scheduleSchema(keys: readonly KeySpec[]): Json {
  const className = CLASS_NAME.source.slice(1, -1);
  const set = Object.fromEntries(
    keys.map((spec) => [`^${className}\\.${spec.key.replaceAll('.', '\\.')}$`, keySchema(spec)] as const),
  );
  return {
    ...object(
      {
        ...windowProperties('schedule'),
        set: {
          description: 'CLASS.KEY.PATH to the value while the window is open.',
          type: 'object',
          patternProperties: set,
          additionalProperties: false,
          minProperties: 1,
        },
      },
      ['name', 'cron', 'for', 'set'],
    ),
    examples: [{ name: 'nights', cron: '0 20 * * 1-5', for: '10h', set: { 'bronze.cpu.limit': '100%' } }],
  };
}
