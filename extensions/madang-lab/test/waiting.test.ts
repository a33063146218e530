import assert from 'node:assert/strict';
import { test } from 'node:test';

import { type Coming, PERHAPS, STARTED, STOPPED, UNCHANGED, next } from '../src/waiting.ts';

const ALL: readonly Coming[] = ['taken', 'without', 'stopped', 'unknown'];

test('another run of the server is gone to, whatever was waited for', () => {
  for (const coming of ALL) {
    assert.equal(next(coming, 'new', 0, 0), 'reload');
  }
});

test('a server that never ends is gone on with', () => {
  for (const coming of ALL) {
    assert.equal(next(coming, 'old', UNCHANGED - 1, 0), 'wait');
    assert.equal(next(coming, 'old', UNCHANGED, 0), 'stay');
  }
});

test('a server that stays away leads home: soon if it stops, late if it starts again', () => {
  for (const [coming, patience] of [
    ['stopped', STOPPED],
    ['unknown', PERHAPS],
    ['taken', STARTED],
    ['without', STARTED]
  ] as const) {
    assert.equal(next(coming, 'gone', 9 * STARTED, patience - 1), 'wait');
    assert.equal(next(coming, 'gone', 9 * STARTED, patience), 'home');
  }
});
