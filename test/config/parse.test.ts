/** The configuration file's text: what is accepted, and which error stands at which line and column. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { parseConfigText } from '../../src/config/parse.js';
import { formatProblem, type Problem } from '../../src/errors.js';

function parse(text: string): { values: object; problems: string[] } {
  const problems: Problem[] = [];
  const values = parseConfigText('virtslad.yaml', text, problems);
  return { values, problems: problems.map(formatProblem) };
}

describe('accepted', () => {
  const rows: readonly [text: string, values: object][] = [
    ['', {}],
    ['# nothing but a comment\n', {}],
    ['mode: observe\n', { mode: 'observe' }],
    ['libvirt-uri: none\n', { 'libvirt-uri': null }],
    ['libvirt-uri: qemu+unix:///system?socket=/x\n', { 'libvirt-uri': 'qemu+unix:///system?socket=/x' }],
    ['web: { listen-address: "[::1]:9000" }\n', { 'web.listen-address': '[::1]:9000' }],
    ['web:\n  listen-address: :0\n', { 'web.listen-address': ':0' }],
    ['cycle: 250ms\n', { cycle: 0.25 }],
    ['blast-radius: { percent: 12.5, domains: 0 }\n', { 'blast-radius.percent': 12.5, 'blast-radius.domains': 0 }],
    [
      'manage:\n  uuids: [4DEA22B3-1D52-D8F3-2516-782E98AB3FA0]\n  names: [db-1, "7"]\n',
      { 'manage.uuids': ['4dea22b3-1d52-d8f3-2516-782e98ab3fa0'], 'manage.names': ['db-1', '7'] },
    ],
    ['log: { level: debug, format: logfmt }\n', { 'log.level': 'debug', 'log.format': 'logfmt' }],
    [
      'path: { cgroup: /a, proc: /b, run-libvirt: /c, libvirt-save: /d }',
      { 'path.cgroup': '/a', 'path.proc': '/b', 'path.run-libvirt': '/c', 'path.libvirt-save': '/d' },
    ],
  ];
  for (const [text, values] of rows) {
    test(JSON.stringify(text), () => assert.deepEqual(parse(text), { values, problems: [] }));
  }
});

describe('refused', () => {
  const rows: readonly [text: string, ...problems: RegExp[]][] = [
    [
      'polcy-dir: /x\n',
      /^virtslad\.yaml:1:1: unknown key polcy-dir \[CONFIG_UNKNOWN_KEY\]; did you mean policy-dir\?$/,
    ],
    [
      '\nweb:\n  listen-adress: x\n',
      /^virtslad\.yaml:3:3: unknown key web\.listen-adress .*did you mean web\.listen-address\?$/,
    ],
    ['web: { tls: yes }', /:1:8: unknown key web\.tls .*known keys: web\.listen-address$/],
    [
      'web.listen-address: ":1"',
      /:1:1: the key web\.listen-address is written with a dot .*write web: \{ listen-address: … \}$/,
    ],
    ['log: debug\n', /:1:1: log holds other keys .*write log: \{ level: … \} with the keys level, format$/],
    ['mode: on\n', /:1:7: mode does not accept "on" \[CONFIG_VALUE\]; write enforce or observe$/],
    ['mode:\n', /mode does not accept nothing/],
    ['mode: [enforce]\n', /mode does not accept \["enforce"\]/],
    ['mode: { a: b }\n', /mode does not accept \{"a":"b"\}/],
    ['policy-dir: policies\n', /:1:13: policy-dir does not accept "policies" .*write an absolute path$/],
    ['cycle: 5\n', /cycle does not accept 5 .*such as 5s$/],
    ['cycle: 99ms\n', /write a duration from 100ms to 10m/],
    ['cycle: 601s\n', /write a duration from 100ms to 10m/],
    ['web: { listen-address: 127.0.0.1 }', /write HOST:PORT/],
    ['web: { listen-address: "127.0.0.1:65536" }', /write HOST:PORT/],
    ['web: { listen-address: "::1:80" }', /write HOST:PORT/],
    ['libvirt-uri: system', /write a libvirt URI/],
    ['blast-radius: { percent: 101 }', /write a number from 0 to 100/],
    ['blast-radius: { domains: 1.5 }', /write a whole number/],
    ['blast-radius: { domains: -1 }', /write a whole number/],
    ['manage: { names: [] }', /write a list with at least one entry/],
    ['manage: { names: db-1 }', /write a list with at least one entry/],
    ['manage: { uuids: [db-1] }', /write a domain uuid/],
    ['- mode\n', /:1:1: the file is not a map of keys/],
    ['mode: enforce\nmode: observe\n', /:2:1: .*\[CONFIG_SYNTAX\]; write each key once$/],
    ['mode: &a enforce\nlog: { level: *a }\n', /:2:15: aliases are not accepted/],
    ['mode: !x enforce\n', /:1:10: tags are not accepted/],
    ['mode: enforce\n---\nmode: observe\n', /:2:1: .*write one document a file$/],
    ['mode: "enforce\n', /CONFIG_SYNTAX/],
    ['__proto__: { mode: observe }\n', /unknown key __proto__/],
    ['constructor: x\n', /unknown key constructor/],
    [`mode: ${'['.repeat(100_000)}`, /CONFIG_SYNTAX/],
    ['mode: on\ncycle: 1\nfoo: 1\n', /mode/, /cycle/, /unknown key foo/],
  ];
  for (const [text, ...expected] of rows) {
    test(JSON.stringify(text.slice(0, 60)), () => {
      const { problems } = parse(text);
      for (const pattern of expected)
        assert.ok(
          problems.some((line) => pattern.test(line)),
          problems.join('\n'),
        );
      if (expected.length > 1) assert.equal(problems.length, expected.length, problems.join('\n'));
    });
  }
});
