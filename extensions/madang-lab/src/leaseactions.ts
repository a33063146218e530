/**
 * What the person does with an accelerator: extend, give back, take, leave the line. What would be lost is saved
 * before, and asked for.
 */
import type { JupyterFrontEnd } from '@jupyterlab/application';
import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { LostError, RefusedError, type Step, type Watch } from './api';
import { type ILease, current } from './lending';
import type { LeaseWords } from './leasewords';
import type { Restart } from './restart';

const SAVE_ALL = 'docmanager:save-all';

export class LeaseActions {
  constructor(
    private readonly watch: Watch,
    private readonly trans: TranslationBundle,
    private readonly words: LeaseWords,
    private readonly commands: JupyterFrontEnd['commands'],
    private readonly restart: Restart
  ) {}

  async extend(lease: ILease, minutes: number): Promise<void> {
    if (await this._step(lease, 'extend', { minutes })) {
      const ends = current(this.watch.known?.status.lending ?? null)?.ends ?? null;
      Notification.success(
        this.trans.__('Extended. The accelerator is yours until %1.', this.words.at(ends)),
        { autoClose: 10_000 }
      );
    }
  }

  async giveBack(lease: ILease): Promise<void> {
    const lending = this.watch.known?.status.lending;
    if (lending?.state !== 'on') {
      return;
    }
    const sure = await this._ask(
      this.trans.__('Give the accelerator back?'),
      [this.words.after(lending), this.words.lost],
      Dialog.warnButton({ label: this.trans.__('Give it back') })
    );
    const run = this.watch.known?.status.run ?? '';
    if (!sure || !(await this.saveAll())) {
      return;
    }
    const done = await this._end(lease, 'give-back');
    if (done === 'refused') {
      return;
    }
    const coming = { stop: 'stopped', cpu: 'without', '': 'unknown' } as const;
    if (!(await this.restart.wait(coming[lending.after], run))) {
      if (done === 'lost') {
        this._failed('');
      } else {
        const text = this.trans.__('The accelerator is given back.');
        Notification.success(text, { autoClose: 10_000 });
      }
    }
  }

  async take(lease: ILease): Promise<void> {
    const sure = await this._ask(
      this.trans.__('Take the accelerator?'),
      [this.words.turn(lease), this.words.restart],
      Dialog.okButton({ label: this.trans.__('Take it') })
    );
    const run = this.watch.known?.status.run ?? '';
    if (!sure || !(await this.saveAll()) || (await this._end(lease, 'take')) === 'refused') {
      return;
    }
    if (!(await this.restart.wait('taken', run))) {
      Notification.warning(
        this.trans.__(
          'Your server runs on without the accelerator. Stop it on the home page and start it again.'
        ),
        { autoClose: false }
      );
    }
  }

  async leave(lease: ILease): Promise<void> {
    const kept = lease.state === 'granted';
    const sure = await this._ask(
      kept ? this.trans.__('Leave the accelerator to others?') : this.trans.__('Leave the line?'),
      [
        kept
          ? this.trans.__('It goes to the next in line. You can ask again, at the end of the line.')
          : this.trans.__('Your place is lost. You can ask again, at the end of the line.')
      ],
      Dialog.warnButton({
        label: kept ? this.trans.__('Leave it to others') : this.trans.__('Leave the line')
      })
    );
    if (sure && (await this._step(lease, 'leave'))) {
      Notification.success(this.trans.__('You are out of the line.'), { autoClose: 5000 });
    }
  }

  /** Save all open documents; false, with a notice, if one could not be saved. */
  async saveAll(): Promise<boolean> {
    if (!this.commands.hasCommand(SAVE_ALL) || !this.commands.isEnabled(SAVE_ALL)) {
      return true; // no document is open
    }
    try {
      await this.commands.execute(SAVE_ALL);
      return true;
    } catch {
      Notification.error(
        this.trans.__(
          'Not all open documents could be saved, so nothing was done. Save or close them, and try again.'
        ),
        { autoClose: false }
      );
      return false;
    }
  }

  private async _step(lease: ILease, what: Step, body: object = {}): Promise<boolean> {
    try {
      await this.watch.lease(lease.id, what, body);
      return true;
    } catch (error) {
      this._failed(error instanceof RefusedError ? error.message : '');
      return false;
    }
  }

  /** A step that ends this run of the server, perhaps before its answer is here. */
  private async _end(lease: ILease, what: Step): Promise<'done' | 'lost' | 'refused'> {
    try {
      await this.watch.lease(lease.id, what);
      return 'done';
    } catch (error) {
      if (error instanceof LostError) {
        return 'lost';
      }
      this._failed(error instanceof RefusedError ? error.message : '');
      return 'refused';
    }
  }

  private _failed(said: string): void {
    void this.watch.look();
    Notification.error(said || this.trans.__('That could not be done. Try again in a moment.'), {
      autoClose: false,
      // another environment or another time can be chosen there
      actions: said ? this._elsewhere() : []
    });
  }

  private _elsewhere(): Notification.IAction[] {
    const lending = this.watch.known?.status.lending;
    if (lending?.state !== 'on') {
      return [];
    }
    const { page } = lending;
    const label = this.trans.__('All about accelerators');
    return [{ label, callback: () => void window.open(page, '_blank', 'noopener') }];
  }

  private async _ask(title: string, sentences: string[], yes: Dialog.IButton): Promise<boolean> {
    const body = new Widget();
    body.addClass('madang-Lease');
    for (const sentence of sentences) {
      const paragraph = document.createElement('p');
      paragraph.textContent = sentence;
      body.node.append(paragraph);
    }
    const { button } = await showDialog({
      title,
      body,
      buttons: [Dialog.cancelButton({ label: this.trans.__('Cancel') }), yes],
      // Enter does what harms nobody
      defaultButton: yes.displayType === 'warn' ? 0 : 1
    });
    return button.accept;
  }
}
