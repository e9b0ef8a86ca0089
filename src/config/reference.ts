/**
 * The reference page of the configuration (docs/reference/configuration.md) and the documented default file
 * (packaging/virtslad.yaml), both from the table of keys. Pure; each gives the whole text.
 */
import { CONFIG_KEY_NAMES, type ConfigKey, configKey } from './keys.js';

export function configurationReference(): string {
  const rows = entries().map(([name, key]) => {
    const shown = key.default === null ? 'not set' : `\`${key.default}\``;
    const flag = key.flag ? `\`--${name}\`` : '–';
    return `| \`${name}\` | ${cell(`\`${key.placeholder}\``)} | ${shown} | ${flag} | ${key.takes} | ${cell(key.summary)} |`;
  });
  return `# Configuration reference

<!-- Generated from the code by \`npm run generate\`; do not edit. -->

The daemon and the commands read \`/etc/virtslad/virtslad.yaml\`, or the file that \`--config\` names. The default file may be missing; a named one may not. Flags win over the file, the file over the defaults.

A dot in a key stands for nesting: \`web.listen-address\` is \`web: { listen-address: … }\`. In the file paths are absolute; in flags they may start at the working directory. Durations are written \`250ms\`, \`5s\`, \`2m\`. Unknown keys, duplicate keys, aliases and tags are errors; every problem is told at once with file, line and column.

The file and every directory above it must be owned by root or by the user that runs virtslad, and not be writable by group or others (sticky directories are fine). It may be at most 256 KiB.

| Key | Value | Default | Flag | Taken at | Meaning |
| --- | --- | --- | --- | --- | --- |
${rows.join('\n')}

*Taken at*: \`reload\` means that SIGHUP (\`systemctl reload virtslad\`) takes a new value; \`restart\` means that a reload says in the log that the key has changed and waits for a restart. Restarting is harmless: limits stay in place meanwhile. Policy files need neither, they are read again when they change.

## The default file

\`\`\`yaml
${defaultConfigurationFile().trimEnd()}
\`\`\`
`;
}

/** Every key, commented out, with its default: an administrator sees all there is and changes only what differs. */
export function defaultConfigurationFile(): string {
  const out = [
    '## Configuration of virtslad: every key with its default. Remove the # before the keys that you change, and before the',
    '## line of the section that they are in. Lines with ## explain. A changed key is taken at the next restart, which',
    '## leaves all limits in place; `virtslad plan` says at once whether the file is good.',
  ];
  const sections = new Set<string>();
  for (const [name, key] of entries()) {
    const [first = '', rest] = name.split('.');
    out.push('');
    if (rest !== undefined && !sections.has(first)) {
      sections.add(first);
      out.push(`#${first}:`);
    }
    const indent = rest === undefined ? '' : '  ';
    for (const line of wrap(key.summary.replaceAll('`', ''), 100)) out.push(`##${indent} ${line}`);
    out.push(`#${indent}${rest ?? first}: ${exampleOf(name, key)}`);
  }
  return `${out.join('\n')}\n`;
}

function exampleOf(name: string, key: ConfigKey): string {
  if (name === 'manage.uuids') return '[4dea22b3-1d52-d8f3-2516-782e98ab3fa0] # an example; not set by default';
  if (name === 'manage.names') return '[db-1, web-1] # an example; not set by default';
  return key.default?.replace('RUN_DIR', configKey('run-dir')?.default ?? '') ?? '';
}

function entries(): [string, ConfigKey][] {
  return CONFIG_KEY_NAMES.map((name) => [name, configKey(name) as ConfigKey]);
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|');
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > width) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
