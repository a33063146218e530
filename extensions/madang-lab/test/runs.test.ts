import assert from 'node:assert/strict';
import { test } from 'node:test';

import { digits, line } from '../src/runs.ts';

test('numbers have four digits that count, and very large and small ones a power', () => {
  assert.equal(digits(0.123456, 'en'), '0.1235');
  assert.equal(digits(0.5, 'ko-KR'), '0.5');
  assert.equal(digits(-1234.56, 'en'), '-1,235');
  assert.equal(digits(0, 'en'), '0');
  assert.equal(digits(0.00001234, 'en'), '1.234E-5');
  assert.equal(digits(123456789, 'en'), '1.235E8');
});

test('a curve needs two values', () => {
  assert.equal(line([], 70, 20), '');
  assert.equal(line([[0, 1]], 70, 20), '');
});

test('the smallest value lies at the bottom, the steps go across', () => {
  const drawn = line(
    [
      [0, 1],
      [1, 0.5],
      [4, 0]
    ],
    85,
    25
  );
  assert.equal(drawn, '2.5,2.5 22.5,12.5 82.5,22.5');
});

test('values without steps follow one another, and one value is a line in the middle', () => {
  const drawn = line(
    [
      [0, 3],
      [0, 3],
      [0, 3]
    ],
    85,
    25
  );
  assert.equal(drawn, '2.5,12.5 42.5,12.5 82.5,12.5');
});

test('a curve stays inside its picture, whatever its values are', () => {
  const most = Number.MAX_VALUE;
  for (const values of [
    [-most, most],
    [1e-320, 2e-320, 5e-324],
    [1e300, -1e-300, 0]
  ]) {
    const points = values.map((value, step): [number, number] => [step, value]);
    for (const pair of line(points, 72, 22).split(' ')) {
      const [x = NaN, y = NaN] = pair.split(',').map(Number);
      assert.ok(x >= 0 && x <= 72, pair);
      assert.ok(y >= 0 && y <= 22, pair);
    }
  }
});
