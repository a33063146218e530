import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  type IMe,
  type IStatus,
  REMEMBERED,
  clock,
  gib,
  level,
  packagesKey,
  remember,
  split,
  tag,
  unread,
  until,
  warningKey
} from '../src/model.ts';

const GIB = 2 ** 30;
const MINUTE = 60_000;

function me(changes: Partial<IMe> = {}): IMe {
  return {
    now: '2026-11-21T10:00:00+00:00',
    server: null,
    announcements: [],
    look_ins: [],
    ...changes
  };
}

function announcement(id: string) {
  return { id, text: `text ${id}`, team: 'class:a', from: '', until: '' };
}

function status(server: Partial<NonNullable<IMe['server']>>, owner = true): IStatus {
  const whole = {
    ends: null,
    why: null,
    warning: false,
    can_extend: false,
    extended_until: null,
    ...server
  };
  return {
    memory: { used: 0, limit: GIB, enforced: true },
    owner,
    name: 'minji',
    madang: true,
    run: '1',
    lending: null,
    packages: null,
    me: me({ server: whole })
  };
}

test('memory has a level by its share of the limit', () => {
  const of = (used: number | null, limit: number | null) => level({ used, limit, enforced: true });
  assert.equal(of(0.79 * GIB, GIB), 'fine');
  assert.equal(of(0.8 * GIB, GIB), 'high');
  assert.equal(of(0.95 * GIB, GIB), 'full');
  assert.equal(of(2 * GIB, GIB), 'full');
  for (const [used, limit] of [
    [null, GIB],
    [GIB, null],
    [GIB, 0]
  ] as const) {
    assert.equal(of(used, limit), 'unknown');
  }
});

test('bytes are shown in GiB', () => {
  assert.equal(gib(0), '0.0');
  assert.equal(gib(1.55 * GIB), '1.6');
  assert.equal(gib(16 * GIB), '16.0');
});

test("the time left goes by the service's clock and the answer's age", () => {
  assert.equal(until('2026-11-21T10:30:00Z', me(), 0), 30 * MINUTE);
  assert.equal(until('2026-11-21T19:30:00+09:00', me(), 5 * MINUTE), 25 * MINUTE);
  assert.equal(until('2026-11-21T09:59:00Z', me(), 0), -MINUTE);
  for (const [when, now] of [
    [null, me().now],
    ['soon', me().now],
    ['2026-11-21T10:30:00Z', '']
  ] as const) {
    assert.equal(until(when, me({ now }), 0), null);
  }
});

test('time is split into hours and minutes, never below zero', () => {
  assert.deepEqual(split(-MINUTE), { hours: 0, minutes: 0 });
  assert.deepEqual(split(59_999), { hours: 0, minutes: 0 });
  assert.deepEqual(split(60 * MINUTE), { hours: 1, minutes: 0 });
  assert.deepEqual(split(125 * MINUTE), { hours: 2, minutes: 5 });
});

test('a time of day has its date only on another day', () => {
  const now = new Date(2026, 10, 21, 9, 0);
  assert.equal(clock(new Date(2026, 10, 21, 15, 5).toISOString(), 'ko-KR', now), '오후 3:05');
  assert.match(clock(new Date(2026, 10, 22, 15, 5).toISOString(), 'en', now), /Nov 22.*3:05/);
  assert.equal(clock('never', 'en', now), '');
});

test("JupyterLab's names of languages become the browser's", () => {
  assert.equal(tag('ko_KR'), 'ko-KR');
  assert.equal(tag('en'), 'en');
  assert.equal(tag('default'), 'default');
  assert.equal(tag('?'), 'en');
});

test('an announcement is shown once, and not when it was read', () => {
  const rows = ['1', '2', '2', '3'].map(announcement);
  const found = unread(me({ announcements: rows }), ['1']).map(one => one.id);
  assert.deepEqual(found, ['2', '3']);
  assert.deepEqual(unread(me({ announcements: rows }), ['1', '2', '3']), []);
});

test('what was read is remembered, the newest last and not without end', () => {
  assert.deepEqual(remember(['1', '2'], '3'), ['1', '2', '3']);
  assert.deepEqual(remember(['1', '2'], '1'), ['2', '1']);
  let seen: string[] = [];
  for (let number = 0; number < REMEMBERED + 5; number += 1) {
    seen = remember(seen, String(number));
  }
  assert.equal(seen.length, REMEMBERED);
  assert.equal(seen.at(-1), String(REMEMBERED + 4));
  assert.equal(seen[0], '5');
});

test('a warning is told from the next by the end that it speaks of', () => {
  const ends = '2026-11-21T10:05:00Z';
  assert.equal(warningKey(status({ ends, warning: true })), ends);
  assert.equal(warningKey(status({ ends })), null);
  assert.equal(warningKey(status({ warning: true })), null);
  assert.equal(warningKey(status({ ends, warning: true }, false)), null);
  assert.equal(warningKey({ ...status({ ends, warning: true }), me: null }), null);
});

test('own packages are pointed out once per change, and trouble as long as it lasts', () => {
  const packages = (key: string, trouble: '' | 'full' = '') => ({ trouble, shadows: [], key });
  assert.equal(packagesKey(null, ''), null);
  assert.equal(packagesKey(packages(''), ''), null);
  assert.equal(packagesKey(packages('numpy=2<1'), ''), 'numpy=2<1');
  assert.equal(packagesKey(packages('numpy=2<1'), 'numpy=2<1'), null);
  assert.equal(packagesKey(packages('numpy=3<1'), 'numpy=2<1'), 'numpy=3<1');
  assert.equal(packagesKey(packages('', 'full'), 'full'), 'full');
});
