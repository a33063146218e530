/**
 * Lessons as the server part tells of them (`madang/learn`), and what follows from it. Pure: no page, no network.
 */
export type Lang = 'ko' | 'en';
export type Text = Record<Lang, string>;
export type How = 'mine' | 'new' | 'both';

/** Something that came with an update (`madang_lab/learn/merge.py`); `cell` is empty for the whole notebook. */
export interface IChange {
  kind: 'changed' | 'added' | 'removed' | 'order' | 'order-kept' | 'settings-kept';
  cell: string;
  title: string;
}

/** What needs a decision, with both texts. */
export interface IChoice {
  kind: 'changed' | 'removed' | 'deleted';
  cell: string;
  title: string;
  ways: How[];
  mine: string;
  new: string;
}

/** The person's copy of a lesson; `etag` says which state of it was seen, `trouble` is a sentence. */
export interface ICopy {
  path: string;
  etag: string;
  update: boolean;
  choices: IChoice[];
  backups: string[];
  trouble: string;
}

export interface ILesson {
  id: string;
  path: string;
  minutes: number;
  title: Text;
  summary: Text;
  accelerator: boolean;
  memory_mb: number;
  tracking: boolean;
  checks: number;
  passed: number;
  copies: Partial<Record<Lang, ICopy>>;
}

export interface ILessons {
  version: string;
  paths: { id: string; title: Text }[];
  lessons: ILesson[];
  owner: boolean;
}

/** What came of a step. */
export interface IDone {
  path: string;
  changes: IChange[];
  choices: { cell: string }[];
}

export type State = 'new' | 'choose' | 'update' | 'passed' | 'started';

/** The language of lessons on a page in `locale` (as browsers name it). */
export function langOf(locale: string): Lang {
  return locale.toLowerCase().startsWith('ko') ? 'ko' : 'en';
}

/** What is to be said of a lesson first. */
export function stateOf(lesson: ILesson, lang: Lang): State {
  const copy = lesson.copies[lang];
  if (copy === undefined) {
    return 'new';
  }
  if (copy.choices.length) {
    return 'choose';
  }
  if (copy.update) {
    return 'update';
  }
  return isPassed(lesson) ? 'passed' : 'started';
}

/** Whether every check is passed; a lesson without any never is. */
export function isPassed(lesson: ILesson): boolean {
  return lesson.checks > 0 && lesson.passed >= lesson.checks;
}

/** The paths that have lessons, with them. */
export function byPath(list: ILessons): { id: string; title: Text; lessons: ILesson[] }[] {
  return list.paths
    .map(path => ({ ...path, lessons: list.lessons.filter(one => one.path === path.id) }))
    .filter(path => path.lessons.length > 0);
}

/** What to go on with: lessons that were begun, then those of the first path that was not finished. */
export function upNext(list: ILessons, lang: Lang, count: number): ILesson[] {
  const open = list.lessons.filter(one => !isPassed(one));
  const begun = open.filter(one => one.copies[lang] !== undefined);
  const fresh = open.filter(one => one.copies[lang] === undefined);
  const [first] = fresh;
  return [...begun, ...fresh.filter(one => one.path === first?.path)].slice(0, count);
}

/** Whether somebody is here for whom no lesson was ever opened. */
export function isNewcomer(list: ILessons): boolean {
  const untouched = list.lessons.every(one => !Object.keys(one.copies).length && !one.passed);
  return list.owner && list.lessons.length > 0 && untouched;
}

/** Labels of which no two are the same: the second of a kind has ` (2)` behind it, and so on. */
export function numbered(labels: string[]): string[] {
  const count = new Map<string, number>();
  return labels.map(label => {
    const number = (count.get(label) ?? 0) + 1;
    count.set(label, number);
    return number > 1 ? `${label} (${number})` : label;
  });
}

/** When a backup was made, by its name; `null` if it does not say. */
export function backupTime(name: string): Date | null {
  const found = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z-/.exec(name);
  if (found === null) {
    return null;
  }
  const [year, month, day, hour, minute, second] = found.slice(1).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number
  ];
  return new Date(Date.UTC(year, month - 1, day, hour, minute, second));
}
