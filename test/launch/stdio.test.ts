/** Which of the streams that a launched guest is handed it may not use. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { type HandedStream, unusableStreams } from '../../src/launch/stdio.js';

const GUEST = 'system_u:system_r:svirt_t:s0:c12,c345';
const stream = (fd: number, level: string, kind: HandedStream['kind'] = 'pipe'): HandedStream => ({
  fd,
  kind,
  label: `unconfined_u:unconfined_r:unconfined_t:${level}`,
});

describe('streams handed to a launched guest', () => {
  it('are usable when they were made at s0, or with no categories that the guest has not', () => {
    assert.equal(unusableStreams([stream(0, 's0'), stream(1, 's0:c12'), stream(2, 's0-s0:c12,c345')], GUEST), null);
    assert.equal(unusableStreams([], GUEST), null);
  });

  it('are named when who made them stands above the guest', () => {
    const said = unusableStreams([stream(0, 's0'), stream(1, 's0-s0:c0.c1023'), stream(2, 's0:c7', 'socket')], GUEST);
    assert.match(
      said ?? '',
      /^the guest, at s0:c12,c345, may not use stdout \(a pipe\) and stderr \(a socket\), made at s0-s0:c0\.c1023,/,
    );
  });

  it('say nothing where a label cannot be read as one', () => {
    assert.equal(unusableStreams([{ fd: 1, kind: 'pipe', label: 'kernel' }], GUEST), null);
    assert.equal(unusableStreams([stream(1, 's0-s0:c0.c1023')], 'unconfined'), null);
  });

  it('cannot write escape sequences to a terminal', () => {
    const said = unusableStreams([stream(1, 's0:c7\u001b[2J')], GUEST) ?? '';
    assert.ok(!said.includes('\u001b'));
  });
});
