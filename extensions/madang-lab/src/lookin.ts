/**
 * The bar that stays while somebody looks in: who, until when, and a button to end it.
 */
import { Notification } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { RefusedError, type Watch } from './api';
import type { ILookIn, IStatus } from './model';
import type { Words } from './status';

/** Height of a row in pixels, as in the style sheet, with the line below it. */
const ROW = 37;

export class LookInBar extends Widget {
  constructor(
    private readonly watch: Watch,
    private readonly trans: TranslationBundle,
    private readonly words: Words
  ) {
    super();
    this.id = 'madang-look-in';
    this.addClass('madang-LookIn');
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Looking in'));
    this.hide();
    watch.changed.connect(() => this._update());
    this._update();
  }

  private _update(): void {
    const status = this.watch.known?.status;
    if (!status?.me) {
      return; // away: what is shown stays
    }
    const rows = status.me.look_ins;
    const key = JSON.stringify(rows);
    if (key === this._shown) {
      return; // untouched, so that the focus stays on the button
    }
    this._shown = key;
    this.node.replaceChildren(...rows.map(row => this._row(row, status)));
    // JupyterLab's layout asks a bar for its height by this
    this.node.style.minHeight = `${rows.length * ROW}px`;
    this.setHidden(rows.length === 0);
    this.parent?.fit();
  }

  private _row(row: ILookIn, status: IStatus): HTMLElement {
    const line = document.createElement('div');
    line.className = 'madang-LookIn-row';
    const text = document.createElement('span');
    text.setAttribute('role', 'status');
    text.textContent = this._sentence(row, status);
    text.title = text.textContent;
    line.append(text);
    if (status.owner) {
      const button = document.createElement('button');
      button.type = 'button';
      button.className = 'jp-Button jp-mod-styled jp-mod-warn madang-LookIn-end';
      button.textContent = this.trans.__('End it');
      button.addEventListener('click', () => void this._end(row.id, button));
      line.append(button);
    }
    return line;
  }

  private _sentence(row: ILookIn, status: IStatus): string {
    const when = this.words.at(row.until);
    if (!status.owner) {
      return this.trans.__('You are looking in at %1, until %2.', status.name, when);
    }
    const who = row.mentor_name || row.mentor;
    return row.reason
      ? this.trans.__('%1 is looking in until %2. Reason: %3', who, when, row.reason)
      : this.trans.__('%1 is looking in until %2.', who, when);
  }

  private async _end(id: string, button: HTMLButtonElement): Promise<void> {
    button.disabled = true;
    try {
      await this.watch.endLookIn(id);
      Notification.success(this.trans.__('The look-in has ended.'), { autoClose: 5000 });
    } catch (error) {
      const said = error instanceof RefusedError ? error.message : '';
      Notification.error(
        said || this.trans.__('The look-in could not be ended. Try again in a moment.')
      );
      button.disabled = false;
    }
  }

  private _shown = '[]';
}
