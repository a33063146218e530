/**
 * *Publish*, one step after the other: look, ask, follow, say how it ended.
 */
import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import { ask, LostError, RefusedError } from './api';
import {
  address,
  afterwards,
  ended,
  ending,
  type ICourse,
  type IKept,
  type IMine,
  type IPlan,
  share,
  wish
} from './publish';
import { element, PublishForm } from './publishdialog';
import type { PublishWords } from './publishwords';

const EVERY = 500;
/** So long nothing is said of a folder that is looked through. */
const PATIENCE = 700;
/** So many looks in a row may stay without an answer. */
const SILENT = 40;

export class PublishSteps {
  constructor(
    private readonly documents: IDocumentManager | null,
    private readonly words: PublishWords,
    private readonly language: string
  ) {}

  /** Ask what there is; `fresh`: not what was answered a moment ago. */
  async look(path = '', fresh = false): Promise<IMine> {
    const query = new URLSearchParams({ path, ...(fresh ? { new: '1' } : {}) });
    return await ask<IMine>('GET', `publish/mine?${query}`, this.language);
  }

  /** Publish the notebook at `path`; nothing while that is asked for already. */
  async publish(path: string): Promise<void> {
    if (this._asking) {
      return;
    }
    this._asking = true;
    try {
      let kept: IKept | null = null;
      do {
        kept = await this._once(path, kept);
      } while (kept !== null);
    } finally {
      this._asking = false;
    }
  }

  private get trans(): TranslationBundle {
    return this.words.trans;
  }

  /** One try; what stood in the dialog if it is to be shown again. */
  private async _once(path: string, kept: IKept | null): Promise<IKept | null> {
    if (!(await this._saved(path))) {
      return null;
    }
    let mine: IMine;
    let plan: IPlan;
    // many files take their time
    let notice = '';
    const timer = window.setTimeout(() => {
      notice = Notification.emit(this.trans.__('Looking through the folder …'), 'in-progress', {
        autoClose: false
      });
    }, PATIENCE);
    try {
      const query = new URLSearchParams({ path });
      [mine, plan] = await Promise.all([
        this.look(path, true),
        ask<IPlan>('GET', `publish/plan?${query}`, this.language)
      ]);
    } catch (error) {
      this._failed(error);
      return null;
    } finally {
      window.clearTimeout(timer);
      if (notice) {
        Notification.dismiss(notice);
      }
    }
    if (mine.state !== 'on') {
      this._failed(new LostError(mine.state));
      return null;
    }
    if (plan.stops.length) {
      await this._cannot(plan);
      return null;
    }
    const body = new PublishForm(mine, plan, this.words, kept);
    const dialog = new Dialog<unknown>({
      title: this.trans.__('Publish %1', plan.notebook),
      body,
      buttons: [
        Dialog.cancelButton({ label: this.trans.__('Cancel') }),
        Dialog.okButton({ label: this.trans.__('Publish') })
      ],
      focusNodeSelector: '.madang-Publish-title'
    });
    dialog.addClass('madang-PublishDialog');
    void dialog.ready.then(() => body.validate());
    const { button } = await dialog.launch();
    const { form, target } = body;
    if (!button.accept) {
      return null;
    }
    return await this._send(path, wish(form, plan, target, path), body.kept);
  }

  /** Save what is open; false, with a notice, if that cannot be. */
  private async _saved(path: string): Promise<boolean> {
    const widget = this.documents?.findWidget(path, null);
    const context = widget && this.documents?.contextForWidget(widget);
    if (!context?.model.dirty) {
      return true;
    }
    try {
      await context.save();
      return true;
    } catch {
      Notification.error(
        this.trans.__('The notebook could not be saved, so nothing was published. Save it and try again.'),
        { autoClose: false }
      );
      return false;
    }
  }

  /** Send it and follow it; what the dialog is to be shown again with, if it is. */
  private async _send(path: string, body: object, kept: IKept): Promise<IKept | null> {
    let id: string;
    try {
      id = (await ask<{ id: string }>('POST', 'publish/send', this.language, body)).id;
    } catch (error) {
      this._failed(error);
      return kept;
    }
    const following = new Following(this.words, this.language, id);
    const course = await following.end();
    if (course === null) {
      Notification.error(
        this.trans.__(
          'Your server does not answer, so it is not known whether the notebook was published. Look at your dashboards in a few minutes.'
        ),
        { autoClose: false }
      );
      return null;
    }
    if (following.left) {
      this._notice(course);
      return null;
    }
    if (course.stage === 'done') {
      await this._done(course);
      return null;
    }
    return (await this._wrong(path, course)) ? afterwards(kept, course) : null;
  }

  private async _done(course: ICourse): Promise<void> {
    const body = new Widget();
    body.addClass('madang-Publish');
    body.node.append(element('p', '', course.message));
    const url = linkOf(course);
    if (url) {
      const link = element('a', 'madang-Publish-link', url) as HTMLAnchorElement;
      link.href = url;
      link.target = '_blank';
      link.rel = 'noopener';
      body.node.append(link);
    }
    const buttons = [Dialog.cancelButton({ label: this.trans.__('Close') })];
    if (url) {
      buttons.push(Dialog.okButton({ label: this.trans.__('Open it') }));
    }
    const { button } = await showDialog({ title: this.words.ending(course), body, buttons });
    if (button.accept && url) {
      window.open(url, '_blank', 'noopener');
    }
  }

  /** Whether it is to be tried again. */
  private async _wrong(path: string, course: ICourse): Promise<boolean> {
    const body = new Widget();
    body.addClass('madang-Publish');
    body.node.append(element('p', '', course.message));
    if (course.traceback) {
      const traceback = element('pre', 'madang-Publish-traceback', course.traceback);
      traceback.tabIndex = 0;
      traceback.setAttribute('aria-label', this.trans.__('What the check said'));
      body.node.append(traceback);
    }
    const buttons = [Dialog.cancelButton({ label: this.trans.__('Close') })];
    const cell = course.cell > 0;
    const label = cell ? this.trans.__('Show the cell') : this.trans.__('Try again');
    buttons.push(Dialog.okButton({ label }));
    const { button } = await showDialog({ title: this.words.ending(course), body, buttons });
    if (button.accept && cell) {
      this._show(path, course.cell);
    }
    return button.accept && !cell;
  }

  private _show(path: string, cell: number): void {
    const widget = this.documents?.openOrReveal(path);
    void widget?.context.ready.then(() => widget.revealed).then(() => {
      const content: unknown = widget.content;
      // a notebook, whatever shows it
      if (content instanceof Widget && 'activeCellIndex' in content) {
        content.activeCellIndex = cell - 1;
        content.activate();
      }
    });
  }

  private async _cannot(plan: IPlan): Promise<void> {
    const body = new Widget();
    body.addClass('madang-Publish');
    const list = document.createElement('ul');
    list.append(...plan.stops.map(one => element('li', '', one)));
    body.node.append(list);
    await showDialog({
      title: this.trans.__('This cannot be published yet'),
      body,
      buttons: [Dialog.okButton({ label: this.trans.__('Close') })]
    });
  }

  /** How it ended, for somebody who went on with other things. */
  private _notice(course: ICourse): void {
    const url = linkOf(course);
    const label = this.trans.__('Open it');
    if (course.stage === 'done') {
      Notification.emit(course.message, ending(course) === 'published' ? 'success' : 'warning', {
        autoClose: false,
        actions: url ? [{ label, callback: () => void window.open(url, '_blank', 'noopener') }] : []
      });
    } else {
      Notification.error(course.message, { autoClose: false });
    }
  }

  private _asking = false;

  private _failed(error: unknown): void {
    const said = error instanceof RefusedError ? error.message : '';
    Notification.error(
      said || this.trans.__('Dashboards cannot be reached now. Try again in a moment.'),
      { autoClose: false }
    );
  }
}

/** Looks how far it is until it has ended, and shows it. */
class Following {
  constructor(
    private readonly words: PublishWords,
    private readonly language: string,
    private readonly id: string
  ) {}

  /** Whether the person went on with other things. */
  left = false;

  /** How it ended; `null`: nobody answers any more. */
  async end(): Promise<ICourse | null> {
    const { trans } = this.words;
    this._text.setAttribute('role', 'status');
    this._text.textContent = trans.__('Looking through the folder …');
    this._bar.setAttribute('aria-label', trans.__('Publishing'));
    const body = new Widget();
    body.addClass('madang-Publish');
    body.node.append(this._text, this._bar);
    const stop = Dialog.warnButton({ label: trans.__('Stop'), actions: ['stop'] });
    const aside = Dialog.okButton({ label: trans.__('Go on working') });
    const dialog = new Dialog<unknown>({
      title: trans.__('Publishing'),
      body,
      buttons: [stop, aside],
      defaultButton: 1
    });
    let over = false;
    void dialog
      .launch()
      .then(({ button }) => {
        if (button.actions.includes('stop')) {
          void this._stop();
        } else {
          this.left = !over;
        }
      })
      .catch(() => undefined); // it was closed because all is over
    const course = await this._follow(dialog);
    over = true;
    dialog.dispose();
    return course;
  }

  private async _follow(dialog: Dialog<unknown>): Promise<ICourse | null> {
    let silent = 0;
    for (;;) {
      try {
        const course = await ask<ICourse>('GET', `publish/courses/${this.id}`, this.language);
        silent = 0;
        if (ended(course)) {
          return course;
        }
        this._show(course, dialog);
      } catch (error) {
        silent += 1;
        // a server that was started anew does not know it
        if (error instanceof RefusedError || silent > SILENT) {
          return null;
        }
      }
      await new Promise(resolve => window.setTimeout(resolve, EVERY));
    }
  }

  private _show(course: ICourse, dialog: Dialog<unknown>): void {
    const said = this.words.stage(course);
    if (this._text.textContent !== said) {
      this._text.textContent = said;
    }
    const part = share(course);
    if (part === null) {
      this._bar.removeAttribute('value');
    } else {
      this._bar.value = part;
    }
    const stop = dialog.node.querySelector<HTMLButtonElement>('.jp-Dialog-button.jp-mod-warn');
    if (stop) {
      stop.disabled = !course.stoppable;
    }
  }

  private async _stop(): Promise<void> {
    try {
      await ask<ICourse>('POST', `publish/courses/${this.id}/stop`, this.language);
    } catch (error) {
      // it goes on, and how it ends is said
      this.left = true;
      if (error instanceof RefusedError) {
        Notification.warning(error.message, { autoClose: false });
      }
    }
  }

  private readonly _text = document.createElement('p');
  private readonly _bar = document.createElement('progress');
}

/** The dashboard's address, where the Hub may be on another host. */
function linkOf(course: ICourse): string | null {
  return address(course.url, PageConfig.getOption('hubHost') || window.location.origin);
}
