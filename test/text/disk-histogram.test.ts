/** The text of histograms and back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { formatHistogram, histogramText, parseHistogram } from '../../src/text/disk-histogram.js';

const of = (...boundariesNs: number[]) => ({ boundariesNs, bins: [...boundariesNs.map(() => 0), 0], totalNs: 0 });

test('all kinds alike have one list, none have none, others are told apart', () => {
  assert.equal(histogramText({ reads: null, writes: null, flushes: null }), 'none');
  assert.equal(histogramText({ reads: of(1, 20), writes: of(1, 20), flushes: of(1, 20) }), 'ns=1,20');
  assert.equal(
    histogramText({ reads: of(1, 20), writes: null, flushes: of(3) }),
    'read-ns=1,20 write-ns=none flush-ns=3',
  );
});

test('a text gives its boundaries back; none is null, anything else undefined', () => {
  assert.deepEqual(parseHistogram(formatHistogram([100_000, 60_000_000_000])), [100_000, 60_000_000_000]);
  assert.equal(parseHistogram('none'), null);
  for (const text of ['', 'ns=', 'ns=0', 'ns=5,5', 'ns=5,4', 'ns=1.5', 'ns=01', 'ns= 1', 'ns=-1,2', 'read-ns=1']) {
    assert.equal(parseHistogram(text), undefined, text);
  }
});
