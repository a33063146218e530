/**
 * What the server part tells of the person's accelerators, and what follows from it. Pure: no page, no network,
 * times passed in.
 */
import { type IClock, until } from './model.ts';

/** One slot of a lease. Bytes and percent; `null`: nobody says. */
export interface IDevice {
  id: string;
  model: string;
  memory: number | null;
  used_memory: number | null;
  utilisation: number | null;
  health: 'good' | 'ill' | '';
}

export type State = 'queued' | 'granted' | 'active' | 'ending' | 'ended';
export type Why =
  | 'left'
  | 'unclaimed'
  | 'released'
  | 'over'
  | 'ill'
  | 'vanished'
  | 'never-started'
  | 'admin'
  | 'idle';

/** A request of the person's, from the moment it is asked to its end (times are ISO 8601). */
export interface ILease {
  id: string;
  state: State;
  team: string;
  kind: string;
  model: string;
  count: number;
  seconds: number;
  shared: number;
  /** it replaces one whose device fell ill */
  returned: boolean;
  /** it is being taken: the server that ran before stops for it */
  restarting: boolean;
  asked: string | null;
  take_until: string | null;
  began: string | null;
  ends: string | null;
  ended: string | null;
  soonest: string | null;
  latest: string | null;
  idle_since: string | null;
  idle_until: string | null;
  place: number | null;
  why: Why | null;
  /** whether this server has it; null: not known */
  here: boolean | null;
  devices: IDevice[];
}

/** The broker's answer; `longest` is in seconds, `after` what becomes of a server whose lease is over. */
export interface ILendingOn extends IClock {
  state: 'on';
  /** the address of the page about accelerators */
  page: string;
  /** whether anything is granted at the moment */
  lending: boolean;
  /** whether there is an accelerator that could be lent */
  offered: boolean;
  longest: number;
  after: 'stop' | 'cpu' | '';
  leases: ILease[];
}

/** The broker does not answer; `expected`: something was lent or asked for. */
export interface ILendingAway {
  state: 'away';
  expected: boolean;
  devices: IDevice[];
}

export type Lending = ILendingOn | ILendingAway;

const SHOWN: readonly State[] = ['active', 'granted', 'ending', 'queued'];

/** The request that matters most now: a person has one, or two while the first is being given back. */
export function current(lending: Lending | null): ILease | null {
  if (lending?.state !== 'on') {
    return null;
  }
  for (const state of SHOWN) {
    const found = lending.leases.find(lease => lease.state === state);
    if (found) {
      return found;
    }
  }
  return null;
}

const NOISE =
  /\b(NVIDIA|AMD|Intel|Corporation|Instinct|GeForce|Tesla|Graphics|Accelerator|Generation|HBM\d\w*|PCIe|SXM\d?|NVL|MIG|\d+ ?GB)\b/gi;
const LONGEST_NAME = 20;

/** A model's name as the status bar has room for: `NVIDIA H100 80GB HBM3` is `H100`. */
export function short(lease: Pick<ILease, 'model' | 'kind'>): string {
  // "1g.10gb" of a slice stays: it is no word of its own size
  const words = lease.model.split(/\s+/).map(word => (word.includes('.') ? word : word.replace(NOISE, '')));
  const name = words.map(word => word.replace(/^-+|-+$/g, '')).filter(Boolean).join(' ') || lease.model;
  const found = name || (lease.kind.split('/').pop() ?? '').toUpperCase();
  return found.length > LONGEST_NAME ? `${found.slice(0, LONGEST_NAME - 1)}…` : found;
}

/** Bytes of all devices together; null where one of them does not say. */
export function memory(devices: readonly IDevice[]): { used: number | null; total: number | null } {
  return {
    used: summed(devices.map(one => one.used_memory)),
    total: summed(devices.map(one => one.memory))
  };
}

/** Percent of use over all devices; null where one of them does not say. */
export function utilisation(devices: readonly IDevice[]): number | null {
  const sum = summed(devices.map(one => one.utilisation));
  return sum === null ? null : Math.round(sum / devices.length);
}

function summed(values: readonly (number | null)[]): number | null {
  let sum = 0;
  for (const value of values) {
    if (value === null) {
      return null;
    }
    sum += value;
  }
  return values.length ? sum : null;
}

/** A longer time that may be asked for: `minutes` from now, until `ends` (ISO 8601), `more` minutes than before. */
export interface IChoice {
  minutes: number;
  more: number;
  ends: string;
}

const MORE = [30, 60, 120, 240];
const MINUTE = 60_000;

/**
 * By how much a lease may be extended: half an hour, one, two, four, and as long as the policy lets.
 *
 * @param age - milliseconds since the answer came
 */
export function choices(lease: ILease, lending: ILendingOn, age: number): IChoice[] {
  const now = Date.parse(lending.now) + age;
  const ends = Date.parse(lease.ends ?? '');
  const last = Date.parse(lease.began ?? '') + lending.longest * 1000;
  const room = Math.floor((last - ends) / MINUTE);
  if (lease.state !== 'active' || Number.isNaN(room + now) || room < 1 || now >= ends) {
    return [];
  }
  return [...MORE.filter(more => more < room), room].map(more => ({
    more,
    // the broker counts from now, and gives no more than may be
    minutes: Math.ceil((ends - now) / MINUTE) + more,
    ends: new Date(ends + more * MINUTE).toISOString()
  }));
}

/** A notice that is due: it is the person's turn, the end is near, nothing runs on it, or why it is over. */
export interface IDue {
  kind: 'turn' | 'soon' | 'last' | 'idle' | 'ended';
  /** the same for the same news, another for the next */
  key: string;
  lease: ILease;
}

/** Milliseconds before the end at which it is said, and said again. */
export const SOON = 10 * MINUTE;
export const LAST = 2 * MINUTE;
/** An end is told for so long. */
const OLD_NEWS = 12 * 60 * MINUTE;
/** Ends that the person did not bring about. */
const UNASKED: readonly (Why | null)[] = [
  'unclaimed',
  'over',
  'ill',
  'vanished',
  'never-started',
  'admin',
  'idle'
];

/**
 * The notices that are due.
 *
 * @param age - milliseconds since the answer came
 */
export function due(lending: Lending | null, age: number): IDue[] {
  if (lending?.state !== 'on') {
    return [];
  }
  const found: IDue[] = [];
  const add = (kind: IDue['kind'], lease: ILease, when: string | null): void => {
    found.push({ kind, lease, key: [lease.id, kind, when ?? ''].join(' ') });
  };
  const lease = current(lending);
  if (lease?.state === 'granted' && !lease.restarting) {
    const left = until(lease.take_until, lending, age);
    if (left === null || left > 0) {
      add('turn', lease, null);
    }
  }
  if (lease?.state === 'active') {
    const left = until(lease.ends, lending, age);
    if (left !== null && left > 0 && left <= SOON) {
      add(left <= LAST ? 'last' : 'soon', lease, lease.ends);
    }
    if (lease.idle_until !== null) {
      add('idle', lease, lease.idle_since);
    }
  }
  const ended = newest(lending.leases.filter(one => one.state === 'ended'));
  const ago = ended && until(ended.ended, lending, age);
  if (ended && UNASKED.includes(ended.why) && ago !== null && ago > -OLD_NEWS) {
    add('ended', ended, null);
  }
  return found;
}

function newest(leases: readonly ILease[]): ILease | null {
  const when = (lease: ILease): number => Date.parse(lease.ended ?? '') || 0;
  return leases.reduce<ILease | null>(
    (found, one) => (found === null || when(one) > when(found) ? one : found),
    null
  );
}

/** The request that stands in line for what is left of `lease`, whose device fell ill. */
export function replacement(lease: ILease, lending: Lending | null): ILease | null {
  if (lease.why !== 'ill' || lending?.state !== 'on') {
    return null;
  }
  return lending.leases.find(one => one.returned && one.state === 'queued') ?? null;
}
