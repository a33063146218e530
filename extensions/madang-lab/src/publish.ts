/**
 * *Publish*: what the server part tells and is told. Pure: no page, no network.
 */

/** Whom a dashboard is for beside its author. */
export interface IAudience {
  people: string[];
  teams: string[];
  everyone: boolean;
}

/** A dashboard; `mine`: this person may give it a new version. */
export interface IDashboard {
  slug: string;
  url: string;
  title: string;
  description: string;
  team: string;
  state: string;
  revision: number;
  current: number;
  audience: IAudience & { links: number };
  version: { number: number; notebook: string; size: string } | null;
  mine: boolean;
}

/** Something that people know by `title`. */
export interface INamed {
  name: string;
  title: string;
}

/** What there is; `size`: the one that is meant where none is said; `last`: as which dashboard the notebook that was asked for was published, if that is known. */
export interface IMine {
  state: 'on' | 'away' | 'none';
  publishes: boolean;
  teams: INamed[];
  sizes: INamed[];
  size: string;
  dashboards: IDashboard[];
  last: string;
}

/** Sizes in bytes. */
export interface IPacked {
  path: string;
  size: number;
}

/** What will be packed; `summary`, `stops` and `warnings` are sentences, `seen` names this state. */
export interface IPlan {
  summary: string[];
  stops: string[];
  warnings: string[];
  seen: string;
  title: string;
  notebook: string;
  size: number;
  secrets: number;
  files: IPacked[];
  left: { path: string; why: string }[];
}

export type Stage =
  | 'looking'
  | 'packing'
  | 'sending'
  | 'checking'
  | 'done'
  | 'failed'
  | 'stopped';

/**
 * How far it is; `done` and `total` are bytes, `cell` counts from 1 (0: none), `revision` is the dashboard's after
 * what was done to it (0: nothing was). `known` is false where it is not known whether the version is or will be
 * shown, `let_in` where it is shown, but not yet to all who were named.
 */
export interface ICourse {
  stage: Stage;
  done: number;
  total: number;
  slug: string;
  url: string;
  title: string;
  version: number;
  message: string;
  cell: number;
  traceback: string;
  shown: boolean;
  known: boolean;
  let_in: boolean;
  revision: number;
  stoppable: boolean;
}

/** Whom it is for, as the dialog asks. */
export type Whom = 'me' | 'some' | 'everyone';

/** What stands in the dialog. */
export interface IForm {
  slug: string;
  title: string;
  description: string;
  team: string;
  whom: Whom;
  people: string;
  teams: string[];
  size: string;
  despite: boolean;
}

/** What stood in the dialog, and the revision of the dashboard that it was filled from; `null`: of a new one. */
export interface IKept {
  form: IForm;
  revision: number | null;
}

/** Whether the button is shown. */
export function mayPublish(mine: IMine | null): boolean {
  return mine?.state === 'on' && mine.publishes;
}

/** Those that can get a new version: first the one that the notebook became last, then those of the same name. */
export function targets(mine: IMine, notebook: string): IDashboard[] {
  const rank = (one: IDashboard): number =>
    one.slug === mine.last ? 0 : one.version?.notebook === notebook ? 1 : 2;
  const own = mine.dashboards.filter(one => one.mine && !['deleted', 'stopped', 'gone'].includes(one.state));
  return own.sort((one, other) => rank(one) - rank(other) || one.title.localeCompare(other.title));
}

/** What the dialog begins with, for a new dashboard (`null`) or a new version of one. */
export function begin(target: IDashboard | null, plan: IPlan, mine: IMine): IForm {
  const sizes = mine.sizes.map(one => one.name);
  const size = target?.version?.size ?? mine.size;
  const audience = target?.audience ?? { people: [], teams: [], everyone: false };
  const some = audience.people.length + audience.teams.length > 0;
  return {
    slug: target?.slug ?? '',
    title: target?.title ?? plan.title,
    description: target?.description ?? '',
    team: target?.team ?? '',
    whom: audience.everyone ? 'everyone' : some ? 'some' : 'me',
    people: audience.people.join(', '),
    teams: audience.teams,
    size: sizes.includes(size) ? size : (sizes[0] ?? ''),
    despite: false
  };
}

/**
 * What the dialog shows when it comes: what stood there before, unless the dashboard was changed elsewhere
 * meanwhile, which is to be seen.
 */
export function opened(kept: IKept | null, own: IDashboard[], plan: IPlan, mine: IMine): IForm {
  if (kept?.form.slug === '') {
    return { ...kept.form, despite: false };
  }
  const last = own.find(one => one.slug === (kept ? kept.form.slug : mine.last)) ?? null;
  return kept && last?.revision === kept.revision
    ? { ...kept.form, despite: false }
    : begin(last, plan, mine);
}

/** What is kept after a course: what it began goes on as the same dashboard, changed by nobody but itself. */
export function afterwards(kept: IKept, course: ICourse): IKept {
  return {
    form: { ...kept.form, slug: course.slug || kept.form.slug },
    revision: course.revision || kept.revision
  };
}

/** The names in what a person wrote: between commas, spaces or lines, each once. */
export function names(written: string): string[] {
  return [...new Set(written.split(/[\s,;，、]+/u).filter(one => one !== ''))];
}

/** Whom what stands in the dialog lets in. */
export function audienceOf(form: IForm): IAudience {
  if (form.whom === 'some') {
    return { people: names(form.people), teams: form.teams, everyone: false };
  }
  return { people: [], teams: [], everyone: form.whom === 'everyone' };
}

/** Why the dialog cannot be sent yet; `''`: it can. */
export function missing(form: IForm, plan: IPlan): '' | 'title' | 'whom' | 'secrets' {
  if (form.title.trim() === '') {
    return 'title';
  }
  const { people, teams } = audienceOf(form);
  if (form.whom === 'some' && people.length + teams.length === 0) {
    return 'whom';
  }
  return plan.secrets > 0 && !form.despite ? 'secrets' : '';
}

/** What the server part is told. */
export function wish(form: IForm, plan: IPlan, target: IDashboard | null, path: string): object {
  return {
    path,
    slug: form.slug,
    expect: target?.revision ?? null,
    title: form.title.trim(),
    description: form.description.trim(),
    team: target === null ? form.team : '',
    audience: audienceOf(form),
    size: form.size,
    seen: plan.seen,
    despite: form.despite
  };
}

/** How much of the bar is full, from 0 to 1; `null`: nobody can say. */
export function share(course: ICourse): number | null {
  return course.stage === 'sending' && course.total > 0
    ? Math.min(1, course.done / course.total)
    : null;
}

export function ended(course: ICourse): boolean {
  return ['done', 'failed', 'stopped'].includes(course.stage);
}

/** How it ended, in a word for the title. */
export function ending(
  course: ICourse
): 'published' | 'not for all' | 'not shown' | 'stopped' | 'unknown' | 'not published' {
  switch (course.stage) {
    case 'done':
      return course.shown ? (course.let_in ? 'published' : 'not for all') : 'not shown';
    case 'stopped':
      return 'stopped';
    default:
      return course.known ? 'not published' : 'unknown';
  }
}

/** Bytes as people read them (powers of 1024), as the server part writes them. */
export function sizeWords(size: number): string {
  if (size < 1024) {
    return `${size} B`;
  }
  const mib = size / 2 ** 20;
  if (mib < 0.1) {
    return `${Math.round(size / 1024)} KB`;
  }
  if (mib >= 1000) {
    return `${(mib / 1024).toFixed(1)} GB`;
  }
  return mib >= 10 ? `${Math.round(mib)} MB` : `${mib.toFixed(1)} MB`;
}

/** The dashboard's address for this browser; `null` for what is no address of a page. */
export function address(url: string, origin: string): string | null {
  try {
    const found = new URL(url, origin);
    return url !== '' && ['http:', 'https:'].includes(found.protocol) ? found.href : null;
  } catch {
    return null;
  }
}
