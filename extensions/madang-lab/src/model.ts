/**
 * What the server part tells, and what follows from it. Pure: no page, no network, times passed in.
 */
import type { Lending } from './lending.ts';

/** Memory in bytes; `null` where nobody can say. `enforced`: the container's limit. */
export interface IMemory {
  used: number | null;
  limit: number | null;
  enforced: boolean;
}

/** The end of this server, if one is foreseen (times are ISO 8601). */
export interface IServer {
  ends: string | null;
  why: 'idle' | 'class' | 'limit' | 'account' | 'provider' | null;
  warning: boolean;
  can_extend: boolean;
  extended_until: string | null;
}

export interface IAnnouncement {
  id: string;
  text: string;
  team: string;
  from: string;
  until: string;
}

export interface ILookIn {
  id: string;
  mentor: string;
  mentor_name: string;
  reason: string;
  began: string;
  until: string;
}

/** An answer that says what the clock showed where it was made (ISO 8601). */
export interface IClock {
  now: string;
}

/** What the people service says about this server. */
export interface IMe extends IClock {
  server: IServer | null;
  announcements: IAnnouncement[];
  look_ins: ILookIn[];
}

/** A package of the person's own in front of the environment's; `kernel`: a kernel needs it to start. */
export interface IShadow {
  name: string;
  own: string;
  instead_of: string;
  kernel: boolean;
}

/** The person's own packages: why they cannot be used, and what they replace; `key` names that state. */
export interface IPackages {
  trouble: '' | 'full' | 'broken';
  shadows: IShadow[];
  key: string;
}

/** The answer of `madang/status`. `me` is null while the people service does not answer. */
export interface IStatus {
  memory: IMemory;
  owner: boolean;
  name: string;
  madang: boolean;
  /** another one after the server was started again */
  run: string;
  /** null where accelerators are not lent, and for a visitor */
  lending: Lending | null;
  /** null for a visitor */
  packages: IPackages | null;
  me: IMe | null;
}

/** How much of the memory is used, in words that the page says: below 80 %, below 95 %, above. */
export type Level = 'unknown' | 'fine' | 'high' | 'full';

export function level(memory: IMemory): Level {
  if (memory.used === null || memory.limit === null || memory.limit <= 0) {
    return 'unknown';
  }
  const share = memory.used / memory.limit;
  return share < 0.8 ? 'fine' : share < 0.95 ? 'high' : 'full';
}

/** Bytes in GiB with one digit after the point. */
export function gib(bytes: number): string {
  return (bytes / 2 ** 30).toFixed(1);
}

/**
 * Milliseconds until `when`, by the service's clock: a browser's clock may be wrong.
 *
 * @param when - ISO 8601
 * @param said - the answer, which says what the clock showed
 * @param age - milliseconds since the answer came
 * @returns null if one of the times is none
 */
export function until(when: string | null, said: IClock, age: number): number | null {
  const left = Date.parse(when ?? '') - Date.parse(said.now) - age;
  return Number.isNaN(left) ? null : left;
}

/** Whole hours and minutes of `left` milliseconds, never below zero. */
export function split(left: number): { hours: number; minutes: number } {
  const minutes = Math.max(0, Math.floor(left / 60_000));
  return { hours: Math.floor(minutes / 60), minutes: minutes % 60 };
}

/** The time of day of `when` in the page's language, with the date if it is another day than `now`. */
export function clock(when: string, locale: string, now: Date): string {
  const time = new Date(when);
  if (Number.isNaN(time.getTime())) {
    return '';
  }
  const sameDay = time.toDateString() === now.toDateString();
  const day: Intl.DateTimeFormatOptions = sameDay ? {} : { month: 'short', day: 'numeric' };
  const options: Intl.DateTimeFormatOptions = { ...day, hour: 'numeric', minute: '2-digit' };
  return new Intl.DateTimeFormat(locale, options).format(time);
}

/** JupyterLab's name of a language (`ko_KR`) as the browser wants it (`ko-KR`). */
export function tag(languageCode: string): string {
  const wanted = languageCode.replace('_', '-');
  try {
    return Intl.getCanonicalLocales(wanted)[0] ?? 'en';
  } catch {
    return 'en'; // "default", for example
  }
}

/** How many read announcements are remembered. */
export const REMEMBERED = 200;

/** The announcements that are to be shown: not read, and each once. */
export function unread(me: IMe, seen: readonly string[]): IAnnouncement[] {
  const known = new Set(seen);
  return me.announcements.filter(one => !known.has(one.id) && known.add(one.id));
}

/** `seen` with `id` at its end, the oldest left out. */
export function remember(seen: readonly string[], id: string): string[] {
  return [...seen.filter(one => one !== id), id].slice(-REMEMBERED);
}

/** What distinguishes one warning from the next: another end is another warning. */
export function warningKey(status: IStatus): string | null {
  const server = status.me?.server;
  return status.owner && server?.warning && server.ends ? server.ends : null;
}

/**
 * What distinguishes one notice about own packages from the next; null if none is due.
 *
 * @param replaced - the key for which the notice was closed
 */
export function packagesKey(packages: IPackages | null, replaced: string): string | null {
  if (packages === null) {
    return null;
  }
  if (packages.trouble) {
    return packages.trouble;
  }
  return packages.key === '' || packages.key === replaced ? null : packages.key;
}
