/**
 * Which assignment a domain falls under: a generation and the attributes of a domain in, the first assignment whose
 * match holds out, or null when none does (the domain is seen and not managed). Pure.
 */
import { type Glob, matchGlob, parseGlob } from './glob.js';
import type { Assignment, DomainAttributes, Generation, Match, XmlElement } from './types.js';

/** `nova:instance/nova:flavor@name`, taken apart. */
export interface MetadataPath {
  /** Qualified names, outermost first. */
  readonly elements: readonly string[];
  /** Qualified name; without one the text of the element counts. */
  readonly attribute?: string;
}

export type MatchTest = (attributes: DomainAttributes) => boolean;

/** Patterns are taken apart once a generation, not once a domain and cycle. */
const TESTS = new WeakMap<Generation, readonly MatchTest[]>();

/** First match wins; null when nothing matches. */
export function assign(generation: Generation, attributes: DomainAttributes): Assignment | null {
  let tests = TESTS.get(generation);
  if (tests === undefined) {
    tests = generation.assignments.map(({ match }) => matchTest(match));
    TESTS.set(generation, tests);
  }
  const index = tests.findIndex((test) => test(attributes));
  return generation.assignments[index] ?? null;
}

/** All given keys are required; of the patterns of one key any will do. */
export function matchTest(match: Match): MatchTest {
  if (match.any === true) return () => true;
  const tests: MatchTest[] = [];
  for (const key of ['name', 'uuid', 'title', 'description'] as const) {
    const patterns = match[key];
    if (patterns === undefined) continue;
    const globs = globsOf(patterns);
    tests.push((attributes) => matchesAny(globs, attributes[key]));
  }
  for (const [text, patterns] of match.metadata ?? []) {
    const path = parseMetadataPath(text);
    const globs = globsOf(patterns);
    tests.push((attributes) => path !== null && metadataMatches(attributes.metadata, path, globs));
  }
  // A match without keys is refused when a policy is read; should one get here, it matches nothing.
  return (attributes) => tests.length > 0 && tests.every((test) => test(attributes));
}

function globsOf(patterns: readonly string[]): readonly Glob[] {
  return patterns.map(parseGlob).flatMap((parsed) => ('glob' in parsed ? [parsed.glob] : []));
}

function matchesAny(globs: readonly Glob[], text: string): boolean {
  return globs.some((glob) => matchGlob(glob, text));
}

/** One qualified name of XML, without what the path syntax uses itself. */
const NAME = /^[^\s/@:*?[\]]+(?::[^\s/@:*?[\]]+)?$/;

/** Null when the text is no metadata path. */
export function parseMetadataPath(text: string): MetadataPath | null {
  const [path = '', attribute, ...more] = text.split('@');
  const elements = path.split('/');
  if (more.length > 0 || !elements.every((name) => NAME.test(name))) return null;
  if (attribute === undefined) return { elements };
  return NAME.test(attribute) ? { elements, attribute } : null;
}

/** Elements may repeat: one that matches is enough. */
function metadataMatches(elements: readonly XmlElement[], path: MetadataPath, globs: readonly Glob[]): boolean {
  let found: readonly XmlElement[] = elements.filter((element) => element.name === path.elements[0]);
  for (const name of path.elements.slice(1)) {
    found = found.flatMap((element) => element.children.filter((child) => child.name === name));
  }
  const { attribute } = path;
  return found.some((element) => {
    if (attribute === undefined) return matchesAny(globs, element.text.trim());
    const value = Object.hasOwn(element.attributes, attribute) ? element.attributes[attribute] : undefined;
    return value !== undefined && matchesAny(globs, value);
  });
}
