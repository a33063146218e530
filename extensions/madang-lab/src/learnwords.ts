/**
 * What the page *Learn* says.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import {
  backupTime,
  type How,
  type IChange,
  type IChoice,
  type ILesson,
  isPassed,
  type Lang,
  numbered,
  stateOf
} from './lessons';

export class LearnWords {
  constructor(
    readonly trans: TranslationBundle,
    private readonly locale: string
  ) {}

  /** What a lesson takes, and what it needs beside a browser. */
  facts(lesson: ILesson): string[] {
    const found = [this.trans.__('%1 min', lesson.minutes)];
    if (lesson.accelerator) {
      found.push(this.trans.__('accelerator helps'));
    }
    if (lesson.memory_mb >= 1024) {
      found.push(this.trans.__('%1 GB memory', Math.round(lesson.memory_mb / 102.4) / 10));
    }
    if (lesson.tracking) {
      found.push(this.trans.__('records runs'));
    }
    return found;
  }

  state(lesson: ILesson, lang: Lang): string {
    const words = {
      new: '',
      choose: this.trans.__('Needs your choice'),
      update: this.trans.__('There is a newer version'),
      passed: this.trans.__('Done'),
      started: this.trans.__('Started')
    };
    return words[stateOf(lesson, lang)];
  }

  progress(lesson: ILesson): string {
    const all = this.trans.__('%1 of %2 checks passed', lesson.passed, lesson.checks);
    return isPassed(lesson) ? `✓ ${all}` : all;
  }

  change(change: IChange): string {
    const { trans } = this;
    const name = change.title || trans.__('an empty cell');
    switch (change.kind) {
      case 'changed':
        return trans.__('Changed: %1', name);
      case 'added':
        return trans.__('New: %1', name);
      case 'removed':
        return trans.__('No longer in the lesson: %1', name);
      case 'order':
        return trans.__('Cells have a new order.');
      case 'order-kept':
        return trans.__('Cells have a new order; yours was kept.');
      case 'settings-kept':
        return change.cell
          ? trans.__('Settings of a cell changed; yours were kept: %1', name)
          : trans.__('Settings of the notebook changed; yours were kept.');
    }
  }

  choice(choice: IChoice): string {
    const name = choice.title || this.trans.__('an empty cell');
    const words = {
      changed: this.trans.__('You and the lesson changed this cell: %1', name),
      removed: this.trans.__('You changed a cell that is no longer in the lesson: %1', name),
      deleted: this.trans.__('You deleted a cell that has changed since: %1', name)
    };
    return words[choice.kind];
  }

  way(choice: IChoice, how: How): string {
    const { trans } = this;
    if (how === 'both') {
      return trans.__('Keep both');
    }
    const words = {
      changed: { mine: trans.__('Keep mine'), new: trans.__('Take the new one') },
      removed: { mine: trans.__('Keep mine'), new: trans.__('Remove it') },
      deleted: { mine: trans.__('Leave it out'), new: trans.__('Take the new one') }
    };
    return words[choice.kind][how];
  }

  /** Backups by when they were made; those of one second are numbered. */
  backups(names: string[]): string[] {
    return numbered(names.map(name => this._backup(name)));
  }

  private _backup(name: string): string {
    const time = backupTime(name);
    const style: Intl.DateTimeFormatOptions = { dateStyle: 'medium', timeStyle: 'medium' };
    return time === null ? name : new Intl.DateTimeFormat(this.locale, style).format(time);
  }
}
