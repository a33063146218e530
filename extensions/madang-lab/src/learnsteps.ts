/**
 * What the page *Learn* and the launcher do: ask the server part, and keep notebooks that are open in this page in
 * line with the files that it changed.
 */
import { Dialog, InputDialog, showDialog } from '@jupyterlab/apputils';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import type { DocumentRegistry } from '@jupyterlab/docregistry';
import type { TranslationBundle } from '@jupyterlab/translation';
import type { CommandRegistry } from '@lumino/commands';
import { type ISignal, Signal } from '@lumino/signaling';

import { ask, RefusedError } from './api';
import type { LearnWords } from './learnwords';
import type { How, IChange, IChoice, IDone, ILesson, ILessons, Lang } from './lessons';

/** What is said below a lesson after a step. */
export interface ISaid {
  text: string;
  changes: IChange[];
}

/** What somebody can have edited in a document: a notebook's cells, without what the kernel says of itself. */
export function cellsOf(context: DocumentRegistry.IContext<DocumentRegistry.IModel>): string {
  const content = context.model.toJSON() as { cells?: unknown } | null;
  return JSON.stringify(content?.cells ?? content);
}

export class LearnSteps {
  constructor(
    private readonly commands: CommandRegistry,
    private readonly documents: IDocumentManager | null,
    private readonly trans: TranslationBundle,
    private readonly lang: Lang,
    private readonly locale: string
  ) {}

  /** All lessons; `null` until the first answer. */
  list: ILessons | null = null;
  /** Whether the last question had no answer. */
  lost = false;
  /** Whether a step is under way. */
  busy = false;
  /** By lesson. */
  readonly said = new Map<string, ISaid>();

  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** Ask for the lessons. */
  async look(): Promise<void> {
    try {
      this.list = await ask<ILessons>('GET', 'learn', this.locale);
      this.lost = false;
    } catch {
      this.lost = true;
    }
    this._changed.emit();
  }

  /** Open the copy, made if there is none. */
  async open(lesson: ILesson): Promise<void> {
    await this._do(lesson, 'open', {}, async done => {
      await this.commands.execute('docmanager:open', { path: done.path });
      return '';
    });
  }

  async update(lesson: ILesson): Promise<void> {
    await this._replace(lesson, 'update', {}, done =>
      done.changes.length || done.choices.length
        ? this.trans.__('Updated. The earlier state is kept as a backup.')
        : this.trans.__('There was nothing to change.')
    );
  }

  async reset(lesson: ILesson): Promise<void> {
    const answer = await showDialog({
      title: this.trans.__('Start this lesson over?'),
      body: this.trans.__(
        'The notebook becomes as it was at the beginning. What is in it now is kept as a backup, under “Earlier states”.'
      ),
      buttons: [
        Dialog.cancelButton({ label: this.trans.__('Cancel') }),
        Dialog.warnButton({ label: this.trans.__('Start over') })
      ]
    });
    if (answer.button.accept) {
      await this._replace(lesson, 'reset', {}, () =>
        this.trans.__('Started over. The earlier state is kept as a backup.')
      );
    }
  }

  async choose(lesson: ILesson, choice: IChoice, how: How): Promise<void> {
    await this._replace(lesson, 'choose', { cell: choice.cell, how }, done =>
      done.choices.length ? '' : this.trans.__('Everything is decided.')
    );
  }

  async restore(lesson: ILesson, words: LearnWords): Promise<void> {
    const backups = lesson.copies[this.lang]?.backups ?? [];
    const labels = words.backups(backups);
    const answer = await InputDialog.getItem({
      title: this.trans.__('Which earlier state do you want back?'),
      label: this.trans.__('What is in the notebook now is kept as a backup, too.'),
      items: labels,
      okLabel: this.trans.__('Bring it back'),
      cancelLabel: this.trans.__('Cancel')
    });
    const backup = answer.value === null ? undefined : backups[labels.indexOf(answer.value)];
    if (answer.button.accept && backup !== undefined) {
      await this._replace(lesson, 'restore', { backup }, () =>
        this.trans.__('The earlier state is back.')
      );
    }
  }

  /** A step that replaces the copy: not over edits that are not saved, and what is open shows it afterwards. */
  private async _replace(
    lesson: ILesson,
    what: string,
    body: Record<string, string>,
    said: (done: IDone) => string
  ): Promise<void> {
    // as it is now: it may have been saved while a question was open
    const now = this.list?.lessons.find(one => one.id === lesson.id) ?? lesson;
    const copy = now.copies[this.lang];
    const open = copy === undefined ? undefined : this._open(copy.path);
    if (open?.model.dirty) {
      this._say(lesson, this.trans.__('The notebook has edits that are not saved. Save it first.'));
      return;
    }
    const before = open && cellsOf(open);
    await this._do(lesson, what, { ...body, etag: copy?.etag ?? '' }, async done => {
      // somebody may have typed meanwhile; that the kernel has started and told its version is no edit
      if (open?.model.dirty && cellsOf(open) !== before) {
        return this.trans.__(
          'The notebook was edited meanwhile, so what is open was left as it is. When you save it, JupyterLab asks whether to keep it or to load what was done here.'
        );
      }
      await open?.revert();
      return said(done);
    });
  }

  private async _do(
    lesson: ILesson,
    what: string,
    body: Record<string, string>,
    then: (done: IDone) => Promise<string>
  ): Promise<void> {
    if (this.busy) {
      return;
    }
    this.busy = true;
    this._changed.emit();
    let text = '';
    let changes: IChange[] = [];
    try {
      const sent = { language: this.lang, ...body };
      const done = await ask<IDone>('POST', `learn/${lesson.id}/${what}`, this.locale, sent);
      changes = done.changes;
      text = await then(done);
    } catch (error) {
      text =
        (error instanceof RefusedError ? error.message : '') ||
        this.trans.__('That did not work. Try again in a moment.');
    }
    this.busy = false;
    this.said.clear();
    this.said.set(lesson.id, { text, changes });
    await this.look();
  }

  private _say(lesson: ILesson, text: string): void {
    this.said.clear();
    this.said.set(lesson.id, { text, changes: [] });
    this._changed.emit();
  }

  private _open(path: string): DocumentRegistry.Context | undefined {
    // whatever it was opened with
    const widget = this.documents?.findWidget(path, null);
    return (widget && this.documents?.contextForWidget(widget)) as
      | DocumentRegistry.Context
      | undefined;
  }

  private readonly _changed = new Signal<this, void>(this);
}
