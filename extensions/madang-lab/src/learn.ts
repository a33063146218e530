/**
 * The page *Learn*: all lessons by path, what the person has of each, and what can be done with it.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import type { LearnSteps } from './learnsteps';
import { LearnWords } from './learnwords';
import { byPath, type IChange, type IChoice, type ICopy, type ILesson, type Lang, stateOf } from './lessons';

export class LearnPage extends Widget {
  constructor(
    private readonly steps: LearnSteps,
    private readonly trans: TranslationBundle,
    private readonly lang: Lang,
    locale: string
  ) {
    super();
    this.words = new LearnWords(trans, locale);
    this.addClass('madang-Learn');
    // reached by the keyboard, so that it can be scrolled
    this.node.tabIndex = -1;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('Learn'));
    this._note.className = 'madang-Learn-note';
    this._note.setAttribute('role', 'status');
    const heading = element('h1', '', trans.__('Learn'));
    const intro = element(
      'p',
      'madang-Learn-intro',
      trans.__(
        'Each lesson opens as a copy of your own. When a newer version comes, what you wrote stays, and a backup is kept.'
      )
    );
    this.node.append(heading, intro, this._note, this._list);
    steps.changed.connect(this._draw, this);
    document.addEventListener('visibilitychange', this._seen);
    this._draw();
  }

  override dispose(): void {
    document.removeEventListener('visibilitychange', this._seen);
    this.steps.changed.disconnect(this._draw, this);
    super.dispose();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this.steps.look();
  }

  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    const within = document.activeElement;
    if (within === this.node || !this.node.contains(within)) {
      (this.node.querySelector('button') ?? this.node).focus({ preventScroll: true });
    }
  }

  private readonly _seen = (): void => {
    if (!document.hidden && this.isVisible) {
      void this.steps.look();
    }
  };

  private _draw(): void {
    const { list, lost } = this.steps;
    const focused = document.activeElement?.getAttribute('data-key') ?? '';
    if (list === null || !list.lessons.length || lost) {
      this._note.textContent = lost
        ? this.trans.__('The lessons cannot be read just now.')
        : list === null
          ? this.trans.__('Looking for lessons…')
          : this.trans.__('This environment has no lessons. Pick another one when you start your server.');
    } else {
      this._note.textContent = '';
    }
    this._note.hidden = !this._note.textContent;
    const paths = list === null ? [] : byPath(list);
    this._list.replaceChildren(
      ...paths.map(path =>
        element(
          'section',
          '',
          element('h2', '', path.title[this.lang]),
          listed('madang-Learn-lessons', ...path.lessons.map(one => this._lesson(one)))
        )
      )
    );
    if (focused) {
      const again = this._list.querySelector<HTMLElement>(`[data-key="${CSS.escape(focused)}"]`);
      // what was pressed may be gone: its lesson's first button then
      const [id] = focused.split(' ');
      const near = this._list.querySelector<HTMLElement>(`[data-key="${CSS.escape(`${id} open`)}"]`);
      (again ?? near)?.focus({ preventScroll: true });
    }
  }

  private _lesson(lesson: ILesson): HTMLElement {
    const { lang, words } = this;
    const copy = lesson.copies[lang];
    const state = words.state(lesson, lang);
    const card = element('li', 'madang-Lesson');
    card.dataset['lesson'] = lesson.id;
    card.dataset['state'] = stateOf(lesson, lang);
    const name = element('h3', '', lesson.title[lang]);
    name.id = `madang-lesson-${lesson.id}`;
    card.setAttribute('aria-labelledby', name.id);
    const head = element('div', 'madang-Lesson-head', name);
    if (state) {
      head.append(element('span', 'madang-Lesson-state', state));
    }
    card.append(head, element('p', '', lesson.summary[lang]));
    const facts = listed(
      'madang-Lesson-facts',
      ...words.facts(lesson).map(fact => element('li', '', fact))
    );
    card.append(facts);
    if (lesson.checks) {
      const bar = document.createElement('progress');
      bar.max = lesson.checks;
      bar.value = lesson.passed;
      bar.setAttribute('aria-hidden', 'true');
      card.append(element('p', 'madang-Lesson-progress', bar, words.progress(lesson)));
    }
    if (this.steps.list?.owner) {
      card.append(this._buttons(lesson, copy));
    }
    if (copy?.trouble) {
      card.append(element('p', 'madang-Lesson-said', copy.trouble));
    }
    const said = this.steps.said.get(lesson.id);
    if (said) {
      const line = element('p', 'madang-Lesson-said', said.text);
      line.setAttribute('role', 'status');
      card.append(line);
      if (said.changes.length) {
        card.append(this._changes(said.changes));
      }
    }
    if (this.steps.list?.owner) {
      for (const choice of copy?.choices ?? []) {
        card.append(this._choice(lesson, choice));
      }
    }
    return card;
  }

  private _buttons(lesson: ILesson, copy: ICopy | undefined): HTMLElement {
    const { steps, trans } = this;
    const row = element('div', 'madang-Lesson-buttons');
    const add = (key: string, label: string, act: () => Promise<void>, accent = false): void => {
      const button = pressed(`${lesson.id} ${key}`, label, act, accent);
      // not disabled: that would take the focus away, and a second press does nothing anyway
      button.setAttribute('aria-disabled', String(steps.busy));
      button.setAttribute('aria-describedby', `madang-lesson-${lesson.id}`);
      row.append(button);
    };
    add('open', copy ? trans.__('Go on') : trans.__('Open'), () => steps.open(lesson), true);
    if (copy?.update && !copy.trouble) {
      add('update', trans.__('Update'), () => steps.update(lesson));
    }
    if (copy) {
      add('reset', trans.__('Start over…'), () => steps.reset(lesson));
    }
    if (copy?.backups.length) {
      add('restore', trans.__('Earlier states…'), () => steps.restore(lesson, this.words));
    }
    return row;
  }

  private _changes(changes: IChange[]): HTMLElement {
    const rows = changes.map(change => element('li', '', this.words.change(change)));
    return listed('madang-Lesson-changes', ...rows);
  }

  private _choice(lesson: ILesson, choice: IChoice): HTMLElement {
    const { trans, words } = this;
    const group = element('div', 'madang-Choice', element('p', '', words.choice(choice)));
    group.setAttribute('role', 'group');
    group.setAttribute('aria-label', words.choice(choice));
    const sides = element('div', 'madang-Choice-sides');
    for (const [label, text, here] of [
      [trans.__('Yours'), choice.mine, choice.kind !== 'deleted'],
      [trans.__('New'), choice.new, choice.kind !== 'removed']
    ] as const) {
      if (here) {
        const code = element('pre', '', text);
        code.tabIndex = 0;
        code.setAttribute('aria-label', label);
        sides.append(element('div', '', element('span', '', label), code));
      }
    }
    const row = element('div', 'madang-Lesson-buttons');
    for (const how of choice.ways) {
      const key = `${lesson.id} ${choice.cell} ${how}`;
      const button = pressed(key, words.way(choice, how), () =>
        this.steps.choose(lesson, choice, how)
      );
      button.setAttribute('aria-disabled', String(this.steps.busy));
      row.append(button);
    }
    group.append(sides, row);
    return group;
  }

  private readonly words: LearnWords;
  private readonly _note = document.createElement('p');
  private readonly _list = document.createElement('div');
}

function element<T extends keyof HTMLElementTagNameMap>(
  tag: T,
  name: string,
  ...inner: (Node | string)[]
): HTMLElementTagNameMap[T] {
  const made = document.createElement(tag);
  if (name) {
    made.className = name;
  }
  made.append(...inner);
  return made;
}

function listed(name: string, ...rows: HTMLElement[]): HTMLElement {
  const list = element('ul', name, ...rows);
  // Safari takes the role away from lists without marks
  list.setAttribute('role', 'list');
  return list;
}

function pressed(
  key: string,
  label: string,
  act: () => Promise<void>,
  accent = false
): HTMLButtonElement {
  const button = element(
    'button',
    `jp-mod-styled ${accent ? 'jp-mod-accept' : 'jp-mod-reject'}`,
    label
  );
  button.type = 'button';
  button.dataset['key'] = key;
  button.addEventListener('click', () => void act());
  return button;
}
