/**
 * Notices about the person's accelerator: it is their turn, the end is near, nothing runs on it, why it is over.
 * Each is said once.
 */
import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';

import type { Watch } from './api';
import type { LeaseActions } from './leaseactions';
import type { LeaseWords } from './leasewords';
import { type IDue, type ILendingOn, due } from './lending';
import type { ISeen } from './notices';

export class LeaseNotices {
  constructor(
    private readonly watch: Watch,
    private readonly trans: TranslationBundle,
    private readonly words: LeaseWords,
    private readonly actions: LeaseActions,
    private readonly told: ISeen,
    private readonly show: () => Promise<void>
  ) {
    watch.changed.connect(() => this._update());
    Notification.manager.changed.connect((_, change) => {
      if (change.type === 'removed') {
        this._closed(change.notification.id);
      }
    });
    this._update();
  }

  private _update(): void {
    const { known } = this.watch;
    const lending = known?.status.lending ?? null;
    if (known === null || lending?.state !== 'on') {
      return; // away: what is shown stays
    }
    const now = due(lending, known.age);
    const keys = new Set(now.map(one => one.key));
    for (const [notice, key] of [...this._shown]) {
      if (!keys.has(key)) {
        // over, but not closed by the person
        this._shown.delete(notice);
        Notification.dismiss(notice);
      }
    }
    const done = new Set([...this.told.ids(), ...this._shown.values()]);
    const fresh = now.filter(notice => !done.has(notice.key));
    for (const one of fresh) {
      this._shown.set(this._notify(one, lending), one.key);
    }
    if (fresh.length && document.hidden) {
      this._call(this.words.alarm(known));
    }
  }

  /** Nobody looks at this page: its tab says it, until somebody does. */
  private _call(words: string): void {
    if (words === '') {
      return;
    }
    if (this._title === null) {
      this._title = document.title;
      const back = (): void => {
        if (!document.hidden && this._title !== null) {
          document.removeEventListener('visibilitychange', back);
          document.title = this._title;
          this._title = null;
        }
      };
      document.addEventListener('visibilitychange', back);
    }
    document.title = words;
  }

  private _notify(one: IDue, lending: ILendingOn): string {
    const text = this.words.notice(one, lending);
    const options = { autoClose: false as const, actions: this._actions(one) };
    return one.kind === 'turn'
      ? Notification.info(text, options)
      : Notification.warning(text, options);
  }

  private _actions(one: IDue): Notification.IAction[] {
    const { lease } = one;
    switch (one.kind) {
      case 'turn':
        return [
          {
            label: this.trans.__('Take it'),
            displayType: 'accent',
            callback: () => void this.actions.take(lease)
          },
          {
            label: this.trans.__('Leave it to others'),
            callback: () => void this.actions.leave(lease)
          }
        ];
      case 'ended':
        return [{ label: this.trans.__('Got it'), callback: () => undefined }];
      case 'last':
        return [
          {
            label: this.trans.__('Save all'),
            displayType: 'accent',
            callback: () => void this.actions.saveAll()
          },
          { label: this.trans.__('Show it'), callback: () => void this.show() }
        ];
      default:
        return [{ label: this.trans.__('Show it'), callback: () => void this.show() }];
    }
  }

  /** Closed by the person: said once. */
  private _closed(notice: string): void {
    const key = this._shown.get(notice);
    if (key !== undefined) {
      this._shown.delete(notice);
      void this.told.add(key);
    }
  }

  /** JupyterLab's id of the notice, and what it is about. */
  private readonly _shown = new Map<string, string>();
  /** What the tab was called before; null while it is called so. */
  private _title: string | null = null;
}
