/**
 * The status bar's item: memory against its limit and the time left. Pressed, it says more.
 */
import { Dialog, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import type { IKnown, Watch } from './api';
import { type IMemory, type Level, clock, gib, level, split, until } from './model';

export class StatusItem extends Widget {
  constructor(watch: Watch, words: Words, extend: () => Promise<void>) {
    super();
    this.addClass('madang-Status');
    this._button.type = 'button';
    this._button.className = 'madang-Status-button';
    this._button.addEventListener('click', () => {
      if (watch.known) {
        void details(watch.known, words, extend);
      }
    });
    // only what changes seldom is read out by itself
    this._alarm.className = 'madang-Status-alarm';
    this._alarm.setAttribute('role', 'status');
    this.node.append(this._alarm, this._button);
    watch.changed.connect(() => this._show(watch.known, words));
    this.hide();
  }

  private _show(known: IKnown | null, words: Words): void {
    if (!known) {
      return;
    }
    this.show();
    const alarm = words.alarm(known);
    if (this._alarm.textContent !== alarm) {
      this._alarm.textContent = alarm;
    }
    this._button.textContent = words.line(known);
    this._button.title = words.details(known).join('\n');
    this.toggleClass('madang-mod-alarm', alarm !== '');
  }

  private readonly _button = document.createElement('button');
  private readonly _alarm = document.createElement('span');
}

/** What the item and its dialog say. */
export class Words {
  constructor(
    private readonly trans: TranslationBundle,
    private readonly locale: string
  ) {}

  /** One line: memory and time left. */
  line(known: IKnown): string {
    return [this._memory(known.status.memory), this._time(known)].filter(Boolean).join(' · ');
  }

  /** A word that must not be overlooked; empty as a rule. */
  alarm(known: IKnown): string {
    const words: Record<Level, string> = {
      unknown: '',
      fine: '',
      high: this.trans.__('Memory getting short'),
      full: this.trans.__('Memory almost full')
    };
    const ending = known.status.me?.server?.warning ? this.trans.__('Ending soon') : '';
    return [ending, words[level(known.status.memory)]].filter(Boolean).join(' · ');
  }

  /** Everything that is known, a sentence each. */
  details(known: IKnown): string[] {
    const { memory, me, madang, owner } = known.status;
    const found: string[] = [];
    if (memory.used !== null && memory.limit !== null) {
      const amounts = [gib(memory.used), gib(memory.limit)];
      found.push(
        memory.enforced
          ? this.trans.__(
              'Memory: %1 of %2 GiB. If it is full, a kernel may be stopped.',
              ...amounts
            )
          : this.trans.__(
              'Memory: %1 of %2 GiB, counted over your processes. The limit is not enforced here.',
              ...amounts
            )
      );
    }
    if (madang && me === null) {
      found.push(this.trans.__('How much time is left cannot be said now. Your work goes on.'));
    }
    if (me && owner) {
      found.push(...this._end(me.server?.ends ?? null, me.server?.why ?? null));
    }
    return found;
  }

  /** Why and when the server ends. */
  warning(ends: string, why: string | null): string {
    return this._end(ends, why).join(' ');
  }

  extended(ends: string | null): string {
    return ends
      ? this.trans.__('Extended. This server now ends at %1.', this.at(ends))
      : this.trans.__('Extended.');
  }

  at(when: string): string {
    return clock(when, this.locale, new Date());
  }

  /** So many milliseconds are left. */
  left(left: number): string {
    const { hours, minutes } = split(left);
    return hours > 0
      ? this.trans.__('%1 h %2 min left', hours, minutes)
      : this.trans.__('%1 min left', minutes);
  }

  get title(): string {
    return this.trans.__('My server');
  }

  get extend(): string {
    return this.trans.__('Extend');
  }

  get close(): string {
    return this.trans.__('Close');
  }

  private _memory(memory: IMemory): string {
    if (memory.used === null) {
      return '';
    }
    if (memory.limit === null) {
      return this.trans.__('Memory %1 GiB', gib(memory.used));
    }
    const amounts = [gib(memory.used), gib(memory.limit)];
    return memory.enforced
      ? this.trans.__('Memory %1 / %2 GiB', ...amounts)
      : this.trans.__('Memory %1 / %2 GiB (not enforced)', ...amounts);
  }

  private _time(known: IKnown): string {
    const { me, madang, owner } = known.status;
    if (!madang || !owner) {
      return '';
    }
    if (me === null) {
      return this.trans.__('time left unknown');
    }
    const left = until(me.server?.ends ?? null, me, known.age);
    if (left === null) {
      return '';
    }
    return this.left(left);
  }

  private _end(ends: string | null, why: string | null): string[] {
    if (!ends) {
      return [this.trans.__('No end is planned for this server.')];
    }
    const when = this.at(ends);
    switch (why) {
      case 'idle':
        return [
          this.trans.__('This server ends at %1, because nothing has run for a while.', when)
        ];
      case 'class':
        return [this.trans.__('This server ends at %1, because the class ends.', when)];
      case 'account':
      case 'provider':
        return [
          this.trans.__('This server ends at %1, because your access to Madang ends.', when)
        ];
      case 'limit':
        return [this.trans.__('This server ends at %1, the longest that it may run.', when)];
      default:
        return [this.trans.__('This server ends at %1.', when)];
    }
  }
}

async function details(known: IKnown, words: Words, extend: () => Promise<void>): Promise<void> {
  const body = new Widget();
  for (const sentence of words.details(known)) {
    const paragraph = document.createElement('p');
    paragraph.textContent = sentence;
    body.node.append(paragraph);
  }
  const buttons = [Dialog.cancelButton({ label: words.close })];
  if (known.status.owner && known.status.me?.server?.can_extend) {
    buttons.push(Dialog.okButton({ label: words.extend }));
  }
  const { button } = await showDialog({ title: words.title, body, buttons });
  if (button.accept) {
    await extend();
  }
}
