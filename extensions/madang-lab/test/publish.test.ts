import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  type ICourse,
  type IDashboard,
  type IForm,
  type IKept,
  type IMine,
  type IPlan,
  address,
  afterwards,
  audienceOf,
  begin,
  ending,
  mayPublish,
  missing,
  names,
  opened,
  share,
  sizeWords,
  targets,
  wish
} from '../src/publish.ts';

function dashboard(slug: string, changes: Partial<IDashboard> = {}): IDashboard {
  return {
    slug,
    url: `/services/dashboards/d/${slug}/`,
    title: slug,
    description: '',
    team: '',
    state: 'published',
    revision: 4,
    current: 1,
    audience: { people: [], teams: [], everyone: false, links: 0 },
    version: { number: 1, notebook: 'a.ipynb', size: 'small' },
    mine: true,
    ...changes
  };
}

function mine(changes: Partial<IMine> = {}): IMine {
  const sizes = ['small', 'medium'].map(name => ({ name, title: name }));
  const there = { teams: [{ name: 'class:a', title: 'A' }], sizes, size: 'small', dashboards: [] };
  return { state: 'on', publishes: true, ...there, last: '', ...changes };
}

const PLAN: IPlan = {
  summary: [],
  stops: [],
  warnings: [],
  seen: 'digest',
  title: '판매 현황',
  notebook: 'a.ipynb',
  size: 10,
  secrets: 0,
  files: [],
  left: []
};

function form(changes: Partial<IForm> = {}): IForm {
  return { ...begin(null, PLAN, mine()), ...changes };
}

test('the button is for whoever may publish', () => {
  assert.equal(mayPublish(mine()), true);
  assert.equal(mayPublish(mine({ publishes: false })), false);
  assert.equal(mayPublish(mine({ state: 'away' })), false);
  assert.equal(mayPublish(null), false);
});

test('the dashboard that the notebook became last is the first that is offered', () => {
  const all = [
    dashboard('c', { version: null }),
    dashboard('b'),
    dashboard('a', { version: { number: 1, notebook: 'x.ipynb', size: '' } }),
    dashboard('d', { state: 'deleted' }),
    dashboard('e', { mine: false })
  ];
  const order = (last: string): string[] =>
    targets(mine({ dashboards: [...all], last }), 'a.ipynb').map(one => one.slug);
  assert.deepEqual(order(''), ['b', 'a', 'c']);
  assert.deepEqual(order('c'), ['c', 'b', 'a']);
  assert.deepEqual(order('d'), ['b', 'a', 'c']);
});

test('a new version begins with what the dashboard says', () => {
  const audience = { people: ['hana', 'kim'], teams: ['class:a'], everyone: false, links: 1 };
  const version = { number: 2, notebook: 'a.ipynb', size: 'medium' };
  const before = dashboard('a', { title: '전', description: '말', audience, version });
  assert.deepEqual(begin(before, PLAN, mine()), {
    slug: 'a',
    title: '전',
    description: '말',
    team: '',
    whom: 'some',
    people: 'hana, kim',
    teams: ['class:a'],
    size: 'medium',
    despite: false
  });
  const gone = begin(before, PLAN, mine({ sizes: [{ name: 'large', title: 'L' }] }));
  assert.equal(gone.size, 'large');
  const fresh = begin(null, PLAN, mine({ sizes: [] }));
  assert.deepEqual([fresh.title, fresh.whom, fresh.size], ['판매 현황', 'me', '']);
});

/** How a try ended. */
function course(changes: Partial<ICourse> = {}): ICourse {
  return {
    stage: 'failed',
    done: 0,
    total: 0,
    slug: '',
    url: '',
    title: '',
    version: 0,
    message: '',
    cell: 0,
    traceback: '',
    shown: false,
    known: true,
    let_in: true,
    revision: 0,
    stoppable: false,
    ...changes
  };
}

/** What the dialog shows after that, where the dashboards are these. */
function again(kept: IKept, how: ICourse, ...dashboards: IDashboard[]): IForm {
  const there = mine({ dashboards, last: how.slug });
  return opened(afterwards(kept, how), targets(there, PLAN.notebook), PLAN, there);
}

test('the next try goes on as the dashboard that the last one began', () => {
  const kept = { form: form({ title: '새', description: '말' }), revision: null };
  const begun = again(kept, course({ slug: 'x', revision: 2 }), dashboard('x', { revision: 2 }));
  assert.deepEqual([begun.slug, begun.title, begun.description], ['x', '새', '말']);
  // nothing was begun
  assert.equal(again(kept, course()).slug, '');
  assert.equal(again(kept, course()).title, '새');
});

test('what stood in the dialog is kept only while nobody changed the dashboard elsewhere', () => {
  const filled = form({ slug: 'a', title: '새', whom: 'some', people: 'hana, kim' });
  const kept = { form: filled, revision: 4 };
  const audience = { people: ['hana'], teams: [], everyone: false, links: 0 };
  const refused = course({ slug: '' });
  const same = again(kept, refused, dashboard('a', { revision: 4 }));
  assert.deepEqual([same.title, same.people], ['새', 'hana, kim']);
  // somebody took kim out: that is seen, and is not undone unseen
  const other = again(kept, refused, dashboard('a', { revision: 5, audience, title: '전' }));
  assert.deepEqual([other.slug, other.title, other.people], ['a', '전', 'hana']);
  // its own change is no other's
  const own = course({ slug: 'a', revision: 6 });
  assert.equal(again(kept, own, dashboard('a', { revision: 6, audience })).people, 'hana, kim');
  assert.equal(again(kept, own, dashboard('a', { revision: 7, audience })).people, 'hana');
  // it is gone
  assert.equal(again(kept, own).slug, '');
  assert.equal(again({ form: { ...filled, despite: true }, revision: 4 }, refused, dashboard('a')).despite, false);
});

test('"not published" is said of no version that is shown or may be', () => {
  assert.equal(ending(course()), 'not published');
  assert.equal(ending(course({ known: false })), 'unknown');
  assert.equal(ending(course({ stage: 'stopped' })), 'stopped');
  const done = course({ stage: 'done', shown: true });
  assert.equal(ending(done), 'published');
  assert.equal(ending({ ...done, let_in: false }), 'not for all');
  assert.equal(ending({ ...done, shown: false }), 'not shown');
});

test('names stand between commas, spaces or lines', () => {
  assert.deepEqual(names(' hana, kim;lee\nhana、박  '), ['hana', 'kim', 'lee', '박']);
  assert.deepEqual(names(' , '), []);
});

test('whom it is for is what was chosen last, not what stands in fields that are not shown', () => {
  const written = { people: 'hana', teams: ['class:a'] };
  assert.deepEqual(audienceOf(form({ whom: 'me', ...written })), {
    people: [],
    teams: [],
    everyone: false
  });
  assert.deepEqual(audienceOf(form({ whom: 'everyone', ...written })), {
    people: [],
    teams: [],
    everyone: true
  });
  assert.deepEqual(audienceOf(form({ whom: 'some', ...written })), {
    people: ['hana'],
    teams: ['class:a'],
    everyone: false
  });
});

test('what is missing is said', () => {
  assert.equal(missing(form({ title: '  ' }), PLAN), 'title');
  assert.equal(missing(form({ whom: 'some', people: ' ,' }), PLAN), 'whom');
  const secret = { ...PLAN, secrets: 1 };
  assert.equal(missing(form(), secret), 'secrets');
  assert.equal(missing(form({ despite: true }), secret), '');
  assert.equal(missing(form(), PLAN), '');
});

test('the wish names what was seen', () => {
  const target = dashboard('a', { team: 'class:a' });
  const told = wish(form({ slug: 'a', title: ' 가 ', team: 'class:a' }), PLAN, target, 'x/a.ipynb');
  assert.deepEqual(told, {
    path: 'x/a.ipynb',
    slug: 'a',
    expect: 4,
    title: '가',
    description: '',
    team: '',
    audience: { people: [], teams: [], everyone: false },
    size: 'small',
    seen: 'digest',
    despite: false
  });
  const fresh = wish(form({ team: 'class:a' }), PLAN, null, 'a.ipynb') as Record<string, unknown>;
  assert.deepEqual([fresh['expect'], fresh['team']], [null, 'class:a']);
});

test('only while it is sent the bar says how far it is', () => {
  const course = { stage: 'sending', done: 5, total: 20 } as ICourse;
  assert.equal(share(course), 0.25);
  assert.equal(share({ ...course, total: 0 }), null);
  assert.equal(share({ ...course, stage: 'checking' }), null);
});

test('sizes as people read them', () => {
  assert.deepEqual(
    [0, 1023, 2048, 0.4 * 2 ** 20, 2.5 * 2 ** 20, 37 * 2 ** 20, 1.2 * 2 ** 30].map(sizeWords),
    ['0 B', '1023 B', '2 KB', '0.4 MB', '2.5 MB', '37 MB', '1.2 GB']
  );
});

test('only an address of a page is a link', () => {
  const origin = 'https://madang.example';
  assert.equal(address('/services/x/', origin), 'https://madang.example/services/x/');
  assert.equal(address('https://hub.example/x', origin), 'https://hub.example/x');
  assert.equal(address('javascript:alert(1)', origin), null);
  assert.equal(address('', origin), null);
});
