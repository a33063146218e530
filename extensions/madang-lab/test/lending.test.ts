import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  type IDevice,
  type ILease,
  type ILendingOn,
  choices,
  current,
  due,
  memory,
  replacement,
  short,
  utilisation
} from '../src/lending.ts';

const GIB = 2 ** 30;
const MINUTE = 60_000;
const NOW = '2026-11-27T10:00:00+00:00';

/** So many minutes after the answer. */
function at(minutes: number): string {
  return new Date(Date.parse(NOW) + minutes * MINUTE).toISOString();
}

function lease(changes: Partial<ILease> = {}): ILease {
  return {
    id: 'a',
    state: 'active',
    team: 'team:vision',
    kind: 'nvidia.com/gpu',
    model: 'NVIDIA H100 80GB HBM3',
    count: 1,
    seconds: 3600,
    shared: 0,
    returned: false,
    restarting: false,
    asked: at(-61),
    take_until: null,
    began: at(-60),
    ends: at(60),
    ended: null,
    soonest: null,
    latest: null,
    idle_since: null,
    idle_until: null,
    place: null,
    why: null,
    here: null,
    devices: [],
    ...changes
  };
}

function lending(...leases: ILease[]): ILendingOn {
  const page = '/services/accelerators/';
  const policy = { longest: 8 * 3600, after: 'stop' } as const;
  return { state: 'on', page, now: NOW, lending: true, offered: true, ...policy, leases };
}

function device(changes: Partial<IDevice> = {}): IDevice {
  const known = { memory: 80 * GIB, used_memory: 20 * GIB, utilisation: 30 };
  return { id: 'GPU-1', model: '', health: 'good', ...known, ...changes };
}

const kinds = (leases: ILease[], age = 0) => due(lending(...leases), age).map(one => one.kind);

test('what matters most is the accelerator that is in use, then the one that is kept', () => {
  const [active, granted, ending, queued] = (['active', 'granted', 'ending', 'queued'] as const).map(
    state => lease({ id: state, state })
  ) as [ILease, ILease, ILease, ILease];
  assert.equal(current(lending(queued, granted, active))?.id, 'active');
  assert.equal(current(lending(queued, ending))?.id, 'ending');
  assert.equal(current(lending(ending, granted))?.id, 'granted');
  assert.equal(current(lending(lease({ state: 'ended' }))), null);
  assert.equal(current({ state: 'away', expected: true, devices: [] }), null);
  assert.equal(current(null), null);
});

test("a model's name is short", () => {
  for (const [model, name] of [
    ['NVIDIA H100 80GB HBM3', 'H100'],
    ['NVIDIA H100 MIG 1g.10gb', 'H100 1g.10gb'],
    ['NVIDIA A100-PCIE-40GB', 'A100'],
    ['NVIDIA GeForce RTX 4090', 'RTX 4090'],
    ['AMD Instinct MI300X', 'MI300X'],
    ['RBLN-CA22', 'RBLN-CA22'],
    ['NVIDIA', 'NVIDIA'],
    ['', 'NPU']
  ] as const) {
    assert.equal(short({ model, kind: 'rebellions.ai/npu' }), name);
  }
  assert.equal(short({ model: 'x'.repeat(99), kind: '' }).length, 20);
});

test('use is of all devices together, and unknown as soon as one does not say', () => {
  assert.deepEqual(memory([device(), device()]), { used: 40 * GIB, total: 160 * GIB });
  assert.deepEqual(memory([device(), device({ used_memory: null })]), {
    used: null,
    total: 160 * GIB
  });
  assert.deepEqual(memory([]), { used: null, total: null });
  assert.equal(utilisation([device(), device({ utilisation: 61 })]), 46);
  assert.equal(utilisation([device(), device({ utilisation: null })]), null);
  assert.equal(utilisation([]), null);
});

test('a longer time is offered up to what the policy lets, counted from now as the broker does', () => {
  const found = choices(lease(), lending(), 0);
  assert.deepEqual(
    found.map(one => [one.more, one.minutes]),
    [30, 60, 120, 240, 360].map(more => [more, 60 + more])
  );
  assert.equal(found[0]?.ends, at(90));
  // an answer that is old: the same end is fewer minutes away
  assert.equal(choices(lease(), lending(), 10 * MINUTE)[0]?.minutes, 80);
  // little room is one choice, none is none
  const room = (ends: number) => choices(lease({ ends: at(ends) }), lending(), 0).map(one => one.more);
  assert.deepEqual(room(7 * 60 - 20), [20]);
  assert.deepEqual(room(7 * 60 - 30), [30]);
  assert.deepEqual(room(7 * 60), []);
  assert.deepEqual(room(-1), []);
  assert.deepEqual(choices(lease({ state: 'ending' }), lending(), 0), []);
  assert.deepEqual(choices(lease({ began: null }), lending(), 0), []);
});

test('the end is said ten minutes before, and again two', () => {
  const left = (minutes: number) => kinds([lease({ ends: at(minutes) })]);
  assert.deepEqual(left(10.1), []);
  assert.deepEqual(left(10), ['soon']);
  assert.deepEqual(left(2.1), ['soon']);
  assert.deepEqual(left(2), ['last']);
  assert.deepEqual(left(0), []);
  assert.deepEqual(kinds([lease({ ends: at(12) })], 3 * MINUTE), ['soon']);
  // after an extension it is news again
  const key = (minutes: number) => due(lending(lease({ ends: at(minutes) })), 0)[0]?.key;
  assert.notEqual(key(5), key(6));
  assert.equal(key(5), key(5));
});

test('a turn is due while the accelerator is kept', () => {
  const granted = lease({ state: 'granted', take_until: at(2) });
  assert.deepEqual(kinds([granted]), ['turn']);
  assert.deepEqual(kinds([granted], 2 * MINUTE), []);
  assert.deepEqual(kinds([{ ...granted, restarting: true }]), []);
  assert.deepEqual(kinds([lease({ state: 'queued' })]), []);
});

test('nothing runs on it: said only if it goes back because of that', () => {
  assert.deepEqual(kinds([lease({ idle_since: at(-30) })]), []);
  assert.deepEqual(kinds([lease({ idle_since: at(-30), idle_until: at(5) })]), ['idle']);
});

test('an end is told if the person did not bring it about, the newest, and for half a day', () => {
  const ended = (why: ILease['why'], ago = 1) => lease({ state: 'ended', why, ended: at(-ago) });
  assert.deepEqual(kinds([ended('ill')]), ['ended']);
  assert.deepEqual(kinds([ended('released')]), []);
  assert.deepEqual(kinds([ended('left')]), []);
  assert.deepEqual(kinds([ended(null)]), []);
  assert.deepEqual(kinds([ended('over', 12 * 60)]), []);
  assert.deepEqual(kinds([ended('over', 30), ended('left', 2)]), []);
  assert.deepEqual(kinds([ended('over', 2), ended('left', 30)]), ['ended']);
});

test('nothing is due while the broker does not answer', () => {
  assert.deepEqual(due({ state: 'away', expected: true, devices: [] }, 0), []);
  assert.deepEqual(due(null, 0), []);
});

test('what is asked for again after a fault is known', () => {
  const ill = lease({ state: 'ended', why: 'ill' });
  const again = lease({ id: 'b', state: 'queued', returned: true });
  assert.equal(replacement(ill, lending(ill, again))?.id, 'b');
  assert.equal(replacement(ill, lending(ill, { ...again, returned: false })), null);
  assert.equal(replacement({ ...ill, why: 'over' }, lending(again)), null);
});
