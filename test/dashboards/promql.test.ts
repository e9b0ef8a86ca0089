import assert from 'node:assert/strict';
import { test } from 'node:test';
import { partsOf, substituted, variablesOf } from './promql.js';

test('metrics with their matchers, and labels of groups, are found in a query', () => {
  const { selectors, grouping, outer } = partsOf(
    'histogram_quantile(0.99, sum by (le, host) (rate(a_bucket{x=~"$y{}",z!="b, c=\\"d\\""}[5m]))) / on (host) (e:f < +Inf) and time() - g offset 5m > 60',
  );
  assert.deepEqual(selectors, [
    { metric: 'a_bucket', matchers: ['x', 'z'] },
    { metric: 'e:f', matchers: [] },
    { metric: 'g', matchers: [] },
  ]);
  assert.deepEqual(grouping, ['le', 'host', 'host']);
  assert.equal(outer, null);
});

test('the labels that are left are those of the outermost aggregation', () => {
  assert.deepEqual(partsOf('sum by (a, b) (rate(c{d="e"}[5m]))').outer, ['a', 'b']);
  assert.deepEqual(partsOf('min(c)').outer, []);
  assert.equal(partsOf('c{d="e"}').outer, null);
});

test('variables of Grafana are found and replaced', () => {
  assert.deepEqual(variablesOf('a{b=~"$host"}[$__range] $' + '{datasource:raw}'), ['host', '__range', 'datasource']);
  assert.equal(substituted('a{b="$host"}[$other]', { host: 'x' }), 'a{b="x"}[$other]');
});
