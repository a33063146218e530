/**
 * Announcements, each until it is dismissed, and the warning before the server ends.
 */
import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import type { Watch } from './api';
import { type IAnnouncement, type IMe, type IStatus, unread, warningKey } from './model';
import type { Words } from './status';

/** JupyterLab cuts a notice's text after so many letters. */
const SHORT = 120;

/** What the person has read, by its key; kept with JupyterLab's settings. */
export interface ISeen {
  ids(): string[];
  add(id: string): Promise<void>;
}

export class Notices {
  constructor(
    private readonly watch: Watch,
    private readonly trans: TranslationBundle,
    private readonly words: Words,
    private readonly seen: ISeen,
    private readonly extend: () => Promise<void>
  ) {
    watch.changed.connect(() => this._update());
    Notification.manager.changed.connect((_, change) => {
      if (change.type === 'removed') {
        this._dismissed(change.notification.id);
      }
    });
    this._update();
  }

  private _update(): void {
    const status = this.watch.known?.status;
    if (!status?.me) {
      return; // away: what is shown stays
    }
    this._announce(status.me);
    this._warn(status);
  }

  private _announce(me: IMe): void {
    const current = new Set(me.announcements.map(one => one.id));
    for (const [notice, id] of [...this._shown]) {
      if (!current.has(id)) {
        // taken back: gone, but not read
        this._shown.delete(notice);
        Notification.dismiss(notice);
      }
    }
    for (const one of unread(me, [...this.seen.ids(), ...this._shown.values()])) {
      this._shown.set(this._show(one), one.id);
    }
  }

  private _show(one: IAnnouncement): string {
    const text = this.trans.__('Announcement: %1', one.text);
    const actions: Notification.IAction[] = [];
    if (text.length > SHORT) {
      actions.push({
        label: this.trans.__('Read it all'),
        callback: () => void this._readAll(one.text)
      });
    }
    // any action closes the notice
    actions.push({ label: this.trans.__('Got it'), callback: () => undefined });
    const shown = text.length > SHORT ? `${text.slice(0, SHORT)}…` : text;
    return Notification.info(shown, { autoClose: false, actions });
  }

  private async _readAll(text: string): Promise<void> {
    const body = new Widget();
    body.addClass('madang-Announcement');
    body.node.textContent = text;
    await showDialog({
      title: this.trans.__('Announcement'),
      body,
      buttons: [Dialog.okButton({ label: this.words.close })]
    });
  }

  private _warn(status: IStatus): void {
    const key = warningKey(status);
    if (key === this._warned) {
      return;
    }
    this._warned = key;
    if (this._warning) {
      Notification.dismiss(this._warning);
      this._warning = null;
    }
    const server = status.me?.server;
    if (key === null || !server) {
      return;
    }
    const actions: Notification.IAction[] = server.can_extend
      ? [
          {
            label: this.words.extend,
            displayType: 'accent',
            callback: () => void this.extend()
          }
        ]
      : [];
    this._warning = Notification.warning(this.words.warning(key, server.why), {
      autoClose: false,
      actions
    });
  }

  private _dismissed(notice: string): void {
    const id = this._shown.get(notice);
    if (id !== undefined) {
      this._shown.delete(notice);
      void this.seen.add(id);
    }
    if (notice === this._warning) {
      this._warning = null;
    }
  }

  /** JupyterLab's id of the notice, and the announcement in it. */
  private readonly _shown = new Map<string, string>();
  private _warned: string | null = null;
  private _warning: string | null = null;
}
