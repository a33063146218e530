/**
 * The status bar's item about the person's accelerator, and the dialog behind it.
 */
import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import type { IKnown, Watch } from './api';
import type { LeaseActions } from './leaseactions';
import type { LeaseWords } from './leasewords';
import { type IChoice, type ILease, choices, current } from './lending';

export class LeaseItem extends Widget {
  constructor(watch: Watch, words: LeaseWords, show: () => Promise<void>) {
    super();
    this.addClass('madang-Lease-status');
    this._button.type = 'button';
    this._button.className = 'madang-Lease-button';
    this._button.addEventListener('click', () => void show());
    // only what changes seldom is read out by itself
    this._alarm.className = 'madang-Lease-alarm';
    this._alarm.setAttribute('role', 'status');
    this.node.append(this._alarm, this._button);
    watch.changed.connect(() => this._show(watch.known, words));
    this.hide();
  }

  private _show(known: IKnown | null, words: LeaseWords): void {
    const line = known ? words.line(known) : '';
    const alarm = known ? words.alarm(known) : '';
    this.setHidden(line === '');
    if (this._alarm.textContent !== alarm) {
      this._alarm.textContent = alarm;
    }
    this._button.textContent = line;
    this.toggleClass('madang-mod-alarm', alarm !== '');
  }

  private readonly _button = document.createElement('button');
  private readonly _alarm = document.createElement('span');
}

/** What the dialog's buttons do. */
type Pressed = 'extend' | 'give-back' | 'take' | 'leave' | null;

export class LeaseDialog {
  constructor(
    private readonly watch: Watch,
    private readonly trans: TranslationBundle,
    private readonly words: LeaseWords,
    private readonly actions: LeaseActions
  ) {}

  /** Show what is known, and do what is pressed. */
  async show(): Promise<void> {
    const { known } = this.watch;
    const lending = known?.status.lending ?? null;
    if (known === null || lending === null) {
      return;
    }
    const lease = current(lending);
    const body = new Body(this.watch, this.trans, this.words, lease);
    const buttons: Dialog.IButton[] = [Dialog.cancelButton({ label: this.trans.__('Close') })];
    const pressed: Pressed[] = [null];
    const add = (what: Pressed, button: Dialog.IButton): void => {
      buttons.push(button);
      pressed.push(what);
    };
    if (lease?.state === 'active') {
      add('give-back', Dialog.warnButton({ label: this.trans.__('Give back') }));
      if (body.choices.length) {
        add('extend', Dialog.okButton({ label: this.trans.__('Extend') }));
      }
    } else if (lease?.state === 'granted' && !lease.restarting) {
      add('leave', Dialog.warnButton({ label: this.trans.__('Leave it to others') }));
      add('take', Dialog.okButton({ label: this.trans.__('Take it') }));
    } else if (lease?.state === 'queued') {
      add('leave', Dialog.warnButton({ label: this.trans.__('Leave the line') }));
    }
    const { button } = await showDialog({
      title: this.trans.__('My accelerator'),
      body,
      buttons,
      // closing is what harms nobody
      defaultButton: 0
    });
    const chosen = body.chosen;
    body.dispose();
    if (lease) {
      await this._do(pressed[buttons.indexOf(button)] ?? null, lease, chosen);
    }
  }

  private async _do(what: Pressed, lease: ILease, chosen: IChoice | null): Promise<void> {
    switch (what) {
      case 'extend':
        return chosen ? await this.actions.extend(lease, chosen.minutes) : undefined;
      case 'give-back':
        return await this.actions.giveBack(lease);
      case 'take':
        return await this.actions.take(lease);
      case 'leave':
        return await this.actions.leave(lease);
      default:
    }
  }
}

/** The dialog's inside; what is known of the lease is brought up to date while it is open. */
class Body extends Widget {
  readonly choices: IChoice[];

  constructor(
    private readonly watch: Watch,
    private readonly trans: TranslationBundle,
    private readonly words: LeaseWords,
    private readonly lease: ILease | null
  ) {
    super();
    this.addClass('madang-Lease');
    const { known } = watch;
    const lending = known?.status.lending;
    this.choices =
      known && lease && lending?.state === 'on' ? choices(lease, lending, known.age) : [];
    this.node.append(this._known);
    if (this.choices.length) {
      this.node.append(this._extension());
    }
    if (lending?.state === 'on') {
      this.node.append(this._link(lending.page));
    }
    this._show();
    watch.changed.connect(this._show, this);
  }

  override dispose(): void {
    this.watch.changed.disconnect(this._show, this);
    super.dispose();
  }

  /** By how much it is to be extended. */
  get chosen(): IChoice | null {
    return this.choices[this._select.selectedIndex] ?? null;
  }

  private _show(): void {
    const { known } = this.watch;
    const lending = known?.status.lending ?? null;
    if (known === null || lending === null) {
      return;
    }
    const lease =
      lending.state === 'on'
        ? (lending.leases.find(one => one.id === this.lease?.id) ?? null)
        : null;
    const facts = document.createElement('dl');
    if (lease && lending.state === 'on') {
      for (const [term, said] of this.words.facts(lease, lending, known.age)) {
        facts.append(element('dt', term), element('dd', said));
      }
    }
    const notes = this.words.notes(lending, lease).map(note => element('p', note));
    this._known.replaceChildren(...(lease ? [facts] : []), ...notes);
  }

  private _extension(): HTMLElement {
    const label = element('label', this.trans.__('Extend'));
    for (const choice of this.choices) {
      const option = element('option', this.words.choice(choice)) as HTMLOptionElement;
      this._select.append(option);
    }
    // JupyterLab's own look of a choice
    const around = document.createElement('span');
    around.className = 'jp-select-wrapper';
    this._select.className = 'jp-mod-styled';
    around.append(this._select);
    label.append(around);
    return label;
  }

  private _link(page: string): HTMLElement {
    const link = element('a', this.trans.__('All about accelerators')) as HTMLAnchorElement;
    link.href = page;
    link.target = '_blank';
    link.rel = 'noopener';
    return link;
  }

  private readonly _known = document.createElement('div');
  private readonly _select = document.createElement('select');
}

function element(name: string, text: string): HTMLElement {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}
