import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  backupTime,
  byPath,
  type ICopy,
  type ILesson,
  type ILessons,
  isNewcomer,
  langOf,
  numbered,
  stateOf,
  upNext
} from '../src/lessons.ts';

const COPY: ICopy = { path: 'p', etag: 'e', update: false, choices: [], backups: [], trouble: '' };

function lesson(id: string, more: Partial<ILesson> = {}): ILesson {
  return {
    id,
    path: 'first-hour',
    minutes: 6,
    title: { ko: id, en: id },
    summary: { ko: '', en: '' },
    accelerator: false,
    memory_mb: 512,
    tracking: false,
    checks: 2,
    passed: 0,
    copies: {},
    ...more
  };
}

function list(...lessons: ILesson[]): ILessons {
  const paths = ['first-hour', 'energy', 'empty'].map(id => ({ id, title: { ko: id, en: id } }));
  return { version: '1', paths, lessons, owner: true };
}

test('lessons are in Korean on Korean pages and in English on all others', () => {
  assert.deepEqual(['ko', 'ko-KR', 'KO', 'en', 'en-US', 'fr'].map(langOf), [
    'ko',
    'ko',
    'ko',
    'en',
    'en',
    'en'
  ]);
});

test('what is to be decided comes before what is new, and that before progress', () => {
  const choice = { kind: 'changed', cell: 'a', title: '', ways: [], mine: '', new: '' } as const;
  const both = { ...COPY, update: true, choices: [{ ...choice, ways: [] }] };
  assert.equal(stateOf(lesson('a'), 'ko'), 'new');
  assert.equal(stateOf(lesson('a', { copies: { en: COPY } }), 'ko'), 'new');
  assert.equal(stateOf(lesson('a', { copies: { ko: both } }), 'ko'), 'choose');
  assert.equal(stateOf(lesson('a', { copies: { ko: { ...COPY, update: true } } }), 'ko'), 'update');
  assert.equal(stateOf(lesson('a', { copies: { ko: COPY } }), 'ko'), 'started');
  assert.equal(stateOf(lesson('a', { copies: { ko: COPY }, passed: 2 }), 'ko'), 'passed');
  assert.equal(stateOf(lesson('a', { copies: { ko: COPY }, checks: 0 }), 'ko'), 'started');
});

test('paths come in their order, those without lessons not at all', () => {
  const found = byPath(list(lesson('e', { path: 'energy' }), lesson('a'), lesson('b')));
  assert.deepEqual(
    found.map(path => [path.id, path.lessons.map(one => one.id)]),
    [
      ['first-hour', ['a', 'b']],
      ['energy', ['e']]
    ]
  );
});

test('what was begun comes first, then the first path that is not finished', () => {
  const all = [
    lesson('a', { passed: 2, copies: { ko: COPY } }),
    lesson('b'),
    lesson('c', { copies: { ko: COPY } }),
    lesson('d'),
    lesson('e', { path: 'energy' })
  ];
  const ids = (count: number): string[] => upNext(list(...all), 'ko', count).map(one => one.id);
  assert.deepEqual(ids(9), ['c', 'b', 'd']);
  assert.deepEqual(ids(2), ['c', 'b']);
  assert.deepEqual(upNext(list(), 'ko', 3), []);
});

test('a newcomer has opened nothing, in no language', () => {
  assert.equal(isNewcomer(list(lesson('a'), lesson('b'))), true);
  assert.equal(isNewcomer(list(lesson('a'), lesson('b', { copies: { en: COPY } }))), false);
  assert.equal(isNewcomer(list(lesson('a', { passed: 1 }))), false);
  assert.equal(isNewcomer(list()), false);
  assert.equal(isNewcomer({ ...list(lesson('a')), owner: false }), false);
});

test('labels are told apart', () => {
  assert.deepEqual(numbered(['a', 'b', 'a', 'a']), ['a', 'b', 'a (2)', 'a (3)']);
});

test('a backup says when it was made', () => {
  assert.equal(
    backupTime('20261128T102926Z-0123456789ab.ipynb')?.toISOString(),
    '2026-11-28T10:29:26.000Z'
  );
  assert.equal(backupTime('x.ipynb'), null);
});
