import assert from 'node:assert/strict';
import { test } from 'node:test';

import { reachable } from '../src/links.ts';

const INSIDE = 'http://hub.madang:8000/services/mlflow';
const RUN = '/#/experiments/1/runs/abc?workspace=u-ann';

test('a printed link leads where the page came from', () => {
  for (const origin of ['https://madang.example.org', 'http://10.0.0.7:8000', 'http://localhost:9']) {
    for (const inside of [INSIDE, `${INSIDE}/`]) {
      assert.equal(
        reachable(`🏃 View run x at: ${INSIDE}${RUN}\n🧪 ${INSIDE}/#/experiments/1`, inside, origin),
        `🏃 View run x at: ${origin}/services/mlflow${RUN}\n🧪 ${origin}/services/mlflow/#/experiments/1`
      );
    }
  }
});

test('other addresses stay as they are', () => {
  for (const text of [
    'http://hub.madang:8000/services/people',
    `${INSIDE}-2/x`,
    `${INSIDE}2`,
    'http://hubxmadang:8000/services/mlflow',
    'nothing'
  ]) {
    assert.equal(reachable(text, INSIDE, 'https://m.example'), text);
  }
});

test('outside Madang nothing changes', () => {
  assert.equal(reachable(INSIDE, '', 'https://m.example'), INSIDE);
});

test('a dollar sign in the address is only that', () => {
  assert.equal(reachable(`${INSIDE}/x`, INSIDE, 'http://$&'), 'http://$&/services/mlflow/x');
});
