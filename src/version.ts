/** The version of this build, from package.json: one level up from dist/, two from the tests' build tree. */
import { readFileSync } from 'node:fs';

export function readVersion(): string {
  for (const path of ['../package.json', '../../package.json']) {
    try {
      return (JSON.parse(readFileSync(new URL(path, import.meta.url), 'utf8')) as { version: string }).version;
    } catch {
      // Not there: the other place.
    }
  }
  return 'unknown';
}
