/** What was given to a guest still counts while libvirt has not described it, as after a restart of the daemon. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Domain } from '../../../src/domains/types.js';
import { claimsOf } from '../../../src/reconcile/host-controls/slice-plan.js';
import { guestOn } from '../../controls/some-guest.js';
import { GIB, given } from './slice-host.js';

const described: Domain = guestOn('v2-nested', { id: 8 });
const undescribed: Domain = { ...described, id: 8, facts: null };
const bytesOf = (domain: Domain): number[] =>
  claimsOf({ domain, desired: null, record: given(described, 2 * GIB), handsOff: null }).map(({ bytes }) => bytes);

test('a guest that libvirt lists and has not described yet keeps what it was given', () => {
  assert.deepEqual(bytesOf(undescribed), [2 * GIB]);
});

test('another instance of it does not', () => {
  assert.deepEqual(bytesOf({ ...undescribed, id: 9 }), []);
});
