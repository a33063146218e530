/**
 * What is said about the person's accelerator: in the status bar, in its dialog and in notices.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import type { IKnown } from './api';
import {
  type IChoice,
  type IDevice,
  type IDue,
  type ILease,
  type ILendingOn,
  type Lending,
  SOON,
  current,
  memory,
  replacement,
  short,
  utilisation
} from './lending';
import { gib, until } from './model';
import type { Words } from './status';

export class LeaseWords {
  constructor(
    private readonly trans: TranslationBundle,
    private readonly words: Words
  ) {}

  // ---- the status bar -----------------------------------------------------------------------

  /** One line; empty where there is nothing to say. */
  line(known: IKnown): string {
    const { lending } = known.status;
    if (lending?.state === 'away') {
      return lending.expected ? this._away(lending.devices) : '';
    }
    const lease = current(lending);
    if (lending === null || lease === null) {
      return '';
    }
    switch (lease.state) {
      case 'active':
        return this._active(lease, lending, known.age);
      case 'granted':
        return lease.restarting
          ? this.trans.__('Accelerator: your server is being started again')
          : this.trans.__('Accelerator kept for you until %1', this.at(lease.take_until));
      case 'queued':
        return this._waiting(lease);
      default:
        return this.trans.__('Accelerator is being given back');
    }
  }

  /** A word that must not be overlooked; empty as a rule. */
  alarm(known: IKnown): string {
    const { lending } = known.status;
    const lease = current(lending);
    if (lending?.state !== 'on' || lease === null) {
      return '';
    }
    if (lease.state === 'granted') {
      return lease.restarting ? '' : this.trans.__('Your turn for an accelerator');
    }
    if (lease.state !== 'active') {
      return '';
    }
    const left = until(lease.ends, lending, known.age);
    if (left !== null && left <= SOON) {
      return this.trans.__('Accelerator ends soon');
    }
    return lease.idle_since === null ? '' : this.trans.__('Accelerator not used');
  }

  private _active(lease: ILease, lending: ILendingOn, age: number): string {
    const left = until(lease.ends, lending, age);
    return [
      this.trans.__('Accelerator %1', several(lease.count, short(lease))),
      this._use(lease.devices),
      left === null ? '' : this.words.left(left)
    ]
      .filter(Boolean)
      .join(' · ');
  }

  private _away(devices: readonly IDevice[]): string {
    const unknown = this.trans.__('Accelerator: time left unknown');
    return devices.length ? [unknown, this._use(devices)].join(' · ') : unknown;
  }

  private _use(devices: readonly IDevice[]): string {
    const [room, use] = [this._memory(devices), utilisation(devices)];
    const said = [room, use === null ? '' : this.trans.__('use %1', `${use}%`)].filter(Boolean);
    return said.length ? said.join(' · ') : this.trans.__('use unknown');
  }

  private _memory(devices: readonly IDevice[]): string {
    const { used, total } = memory(devices);
    if (used === null) {
      return '';
    }
    return total === null ? `${gib(used)} GiB` : `${gib(used)} / ${gib(total)} GiB`;
  }

  private _waiting(lease: ILease): string {
    const place =
      lease.place === null
        ? this.trans.__('Accelerator: in line')
        : this.trans.__('Accelerator: place %1 in line', lease.place);
    const when = this._expected(lease);
    return when ? [place, this.trans.__('expected %1', when)].join(' · ') : place;
  }

  private _expected(lease: ILease): string {
    if (lease.soonest === null || lease.latest === null) {
      return '';
    }
    const [from, to] = [this.at(lease.soonest), this.at(lease.latest)];
    return from === to ? from : this.trans.__('%1 to %2', from, to);
  }

  // ---- the dialog ---------------------------------------------------------------------------

  /** What is known of a lease, as terms and what is said of them. */
  facts(lease: ILease, lending: ILendingOn, age: number): [string, string][] {
    const found: [string, string][] = [];
    const model = lease.model || short(lease);
    found.push([this.trans.__('Device'), several(lease.count, model)]);
    if (lease.shared > 1) {
      found.push([
        this.trans.__('Shared'),
        this.trans.__('by at most %1 people of your team', lease.shared)
      ]);
    }
    if (lease.state === 'active') {
      found.push(...this._uses(lease.devices));
    }
    found.push([this.trans.__('Team'), lease.team]);
    if (lease.state === 'active') {
      const left = until(lease.ends, lending, age);
      const rest = left === null ? '' : ` (${this.words.left(left)})`;
      found.push([this.trans.__('Lent since'), this.at(lease.began)]);
      found.push([this.trans.__('Until'), this.at(lease.ends) + rest]);
    } else if (lease.state === 'queued') {
      found.push([this.trans.__('In line since'), this.at(lease.asked)]);
      const when = this._expected(lease);
      found.push([this.trans.__('Expected'), when || this.trans.__('unknown')]);
    }
    return found;
  }

  private _uses(devices: readonly IDevice[]): [string, string][] {
    return devices.flatMap((one, place): [string, string][] => {
      const number = devices.length > 1 ? ` ${place + 1}` : '';
      const unknown = this.trans.__('unknown');
      const use = one.utilisation === null ? unknown : `${one.utilisation}%`;
      return [
        [this.trans.__('Its memory') + number, this._memory([one]) || unknown],
        [this.trans.__('Use now') + number, use]
      ];
    });
  }

  /** What else is to be known, a sentence each. */
  notes(lending: Lending, lease: ILease | null): string[] {
    if (lending.state === 'away') {
      return [
        this.trans.__('The state of your accelerator is not known right now. Your work goes on.')
      ];
    }
    if (lease === null) {
      return [this.trans.__('You have no accelerator, and ask for none.')];
    }
    switch (lease.state) {
      case 'active':
        return this._activeNotes(lease);
      case 'granted':
        return lease.restarting
          ? [this.trans.__('Your server is being stopped, and starts again with the accelerator.')]
          : [this.turn(lease), this.restart];
      case 'queued':
        return this._queuedNotes(lease, lending);
      default:
        return [this.trans.__('The accelerator is being given back; your server stops for that.')];
    }
  }

  private _activeNotes(lease: ILease): string[] {
    const found: string[] = [];
    if (lease.here === false) {
      found.push(
        this.trans.__('This server runs without it: it comes with the next start of your server.')
      );
    }
    if (lease.devices.some(one => one.health === 'ill')) {
      found.push(
        this.trans.__(
          'The device does not work right now. If it stays so, the lease ends, and the rest of the time is asked for again for you.'
        )
      );
    }
    if (lease.idle_since !== null) {
      found.push(this._idle(lease));
    }
    return found;
  }

  private _queuedNotes(lease: ILease, lending: ILendingOn): string[] {
    const found: string[] = [];
    if (lease.place !== null) {
      found.push(this.trans.__('You are number %1 in line.', lease.place));
    }
    found.push(
      lending.lending
        ? this.trans.__('You are told here when it is your turn. Times may change.')
        : this.trans.__('Nothing is lent at the moment. Your place in line stays.')
    );
    return found;
  }

  private _idle(lease: ILease): string {
    const since = this.at(lease.idle_since);
    return lease.idle_until === null
      ? this.trans.__('Nothing has run on it since %1.', since)
      : this.trans.__(
          'Nothing has run on your accelerator since %1, and others wait: it goes back at %2.',
          since,
          this.at(lease.idle_until)
        );
  }

  /** A longer time as it can be chosen. */
  choice(choice: IChoice): string {
    const { more } = choice;
    const [hours, minutes] = [Math.floor(more / 60), more % 60];
    const by =
      hours === 0
        ? this.trans.__('%1 min more', minutes)
        : minutes === 0
          ? this.trans.__('%1 h more', hours)
          : this.trans.__('%1 h %2 min more', hours, minutes);
    return this.trans.__('until %1 (%2)', this.at(choice.ends), by);
  }

  // ---- what happens -------------------------------------------------------------------------

  /** What becomes of the server when its lease is over. */
  after(lending: ILendingOn): string {
    switch (lending.after) {
      case 'stop':
        return this.trans.__('Your server stops then.');
      case 'cpu':
        return this.trans.__('Your server is started again then, without it.');
      default:
        return this.trans.__('Your server stops then, or is started again without it.');
    }
  }

  get restart(): string {
    return this.trans.__(
      'To take it, your server is started again. Open documents are saved before; variables and programs that run are lost.'
    );
  }

  get lost(): string {
    return this.trans.__(
      'Open documents are saved before, and your files stay. Variables and programs that run are lost.'
    );
  }

  turn(lease: ILease): string {
    return this.trans.__(
      'It is your turn for an accelerator (%1). Take it until %2.',
      several(lease.count, short(lease)),
      this.at(lease.take_until)
    );
  }

  /** A notice's text. */
  notice(due: IDue, lending: ILendingOn): string {
    const { lease } = due;
    switch (due.kind) {
      case 'turn':
        return this.turn(lease);
      case 'idle':
        return this._idle(lease);
      case 'soon':
        return [
          this.trans.__('Your accelerator goes back at %1.', this.at(lease.ends)),
          this.after(lending)
        ].join(' ');
      case 'last':
        return [
          this.trans.__('Save your work now: your accelerator goes back at %1.', this.at(lease.ends)),
          this.after(lending)
        ].join(' ');
      default:
        return this._why(lease, lending);
    }
  }

  private _why(lease: ILease, lending: ILendingOn): string {
    const when = this.at(lease.ended);
    switch (lease.why) {
      case 'ill':
        return replacement(lease, lending)
          ? this.trans.__(
              'Your accelerator failed at %1. For the time that was left you are in line again, first of your team.',
              when
            )
          : this.trans.__('Your accelerator failed at %1, and the lease ended.', when);
      case 'idle':
        return this.trans.__('Your accelerator went back at %1, because nothing ran on it.', when);
      case 'unclaimed':
        return this.trans.__(
          'Your turn for an accelerator passed at %1, because it was not taken. Ask for it again.',
          when
        );
      case 'never-started':
        return this.trans.__(
          'Your accelerator went back at %1, because no server was started with it.',
          when
        );
      case 'vanished':
        return this.trans.__(
          'Your server ended unexpectedly at %1, and its accelerator went back.',
          when
        );
      case 'admin':
        return this.trans.__('An administrator took your accelerator back at %1.', when);
      default:
        return this.trans.__('The time of your accelerator was over at %1.', when);
    }
  }

  at(when: string | null): string {
    return when === null ? '' : this.words.at(when);
  }
}

function several(count: number, name: string): string {
  return count > 1 ? `${count} × ${name}` : name;
}
