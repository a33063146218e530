/**
 * The inside of the dialog *Publish*: what it is to become, its words, whom it is for, and what will be packed.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';

import {
  begin,
  type IDashboard,
  type IForm,
  type IKept,
  type IMine,
  type IPlan,
  missing,
  opened,
  sizeWords,
  targets,
  type Whom
} from './publish';
import type { PublishWords } from './publishwords';

/** So many warnings are read at once; with more, the first of them. */
const LISTED = 200;

export class PublishForm extends Widget {
  /**
   * @param kept - what stood there when it was shown before, and is still good
   */
  constructor(
    private readonly mine: IMine,
    private readonly plan: IPlan,
    private readonly words: PublishWords,
    kept: IKept | null
  ) {
    super();
    this.addClass('madang-Publish');
    const own = targets(mine, plan.notebook);
    this._targets = [null, ...own];
    this._form = opened(kept, own, plan, mine);
    this._draw();
    this.node.addEventListener('input', () => this._read());
    this.node.addEventListener('change', () => this._read());
  }

  /** What stands there now. */
  get form(): IForm {
    return this._form;
  }

  /** The same, to be shown again. */
  get kept(): IKept {
    return { form: this._form, revision: this.target?.revision ?? null };
  }

  /** The dashboard that gets a new version; `null`: a new one. */
  get target(): IDashboard | null {
    return this._targets.find(one => (one?.slug ?? '') === this._form.slug) ?? null;
  }

  /** Let the dialog's button follow what is missing. */
  validate(): void {
    const what = missing(this._form, this.plan);
    const said = this.words.missing(what);
    if (this._missing.textContent !== said) {
      this._missing.textContent = said;
    }
    this._title.setAttribute('aria-invalid', String(what === 'title'));
    // JupyterLab's dialog looks for this mark, at every input before we do
    const marked = this._missing.classList.contains('jp-mod-error');
    this._missing.classList.toggle('jp-mod-error', what !== '');
    if (marked !== (what !== '')) {
      this._missing.dispatchEvent(new Event('input', { bubbles: true }));
    }
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    // JupyterLab's dialog makes a text field of every input
    for (const box of this.node.querySelectorAll('.madang-Publish-check input')) {
      box.classList.remove('jp-mod-styled');
    }
  }

  private get trans(): TranslationBundle {
    return this.words.trans;
  }

  private _begin(target: IDashboard | null): IForm {
    return begin(target, this.plan, this.mine);
  }

  private _draw(): void {
    const { trans } = this;
    if (this._targets.length > 1) {
      const target = select(
        this._targets.map(one => [one?.slug ?? '', this.words.target(one)]),
        this._form.slug
      );
      target.addEventListener('change', () => {
        this._form = this._begin(this._targets.find(one => (one?.slug ?? '') === target.value) ?? null);
        this._fill();
        this.validate();
      });
      this.node.append(labelled(trans.__('As'), styled(target)));
    }
    this._title.maxLength = 120;
    this._title.className = 'jp-mod-styled madang-Publish-title';
    this._description.maxLength = 2000;
    this._description.rows = 2;
    this._description.className = 'jp-mod-styled';
    this.node.append(
      labelled(trans.__('Title'), this._title),
      labelled(trans.__('Description'), this._description),
      this._teamRow,
      this._whom()
    );
    if (this.mine.sizes.length > 1) {
      this._size.append(...options(this.mine.sizes.map(one => [one.name, one.title])));
      this.node.append(labelled(trans.__('Size'), styled(this._size)));
    }
    this._missing.className = 'madang-Publish-missing';
    this._missing.setAttribute('role', 'status');
    this.node.append(this._packed(), ...this._warnings(), this._missing);
    this._fill();
  }

  /** Put what is known into the fields. */
  private _fill(): void {
    const form = this._form;
    const target = this.target;
    this._title.value = form.title;
    this._description.value = form.description;
    const teams: [string, string][] = [['', this.trans.__('none')]];
    teams.push(...this.mine.teams.map((one): [string, string] => [one.name, one.title]));
    const team = select(teams, form.team);
    team.name = 'team';
    // a dashboard stays with its team
    this._teamRow.hidden = target !== null || this.mine.teams.length === 0;
    const note = this.trans.__('Its mentors can take the dashboard off, and take it over when you are gone.');
    this._teamRow.replaceChildren(
      labelled(this.trans.__('Team'), styled(team)),
      element('p', 'madang-Publish-note madang-Publish-below', note)
    );
    for (const one of this._choices) {
      one.checked = one.value === form.whom;
    }
    this._people.value = form.people;
    // those that were named by somebody who was in them stay
    const titles = new Map(form.teams.map(one => [one, one]));
    this.mine.teams.forEach(one => titles.set(one.name, one.title));
    this._teams.replaceChildren(
      ...[...titles].map(([one, title]) => check('teams', one, title, form.teams.includes(one)))
    );
    this._size.value = form.size;
    const links = target?.audience.links ?? 0;
    this._links.hidden = links === 0;
    this._links.textContent = this.trans.__('Whoever has one of its links can see it as well.');
    this._some.hidden = form.whom !== 'some';
    this._despite.checked = form.despite;
  }

  private _read(): void {
    const one = this.node.querySelector<HTMLSelectElement>('select[name=team]');
    const teams = this._teams.querySelectorAll<HTMLInputElement>('input:checked');
    this._form = {
      ...this._form,
      title: this._title.value,
      description: this._description.value,
      team: one?.value ?? '',
      whom: (this._choices.find(choice => choice.checked)?.value ?? 'me') as Whom,
      people: this._people.value,
      teams: [...teams].map(team => team.value),
      size: this._size.value,
      despite: this._despite.checked
    };
    this._some.hidden = this._form.whom !== 'some';
    this.validate();
  }

  private _whom(): HTMLElement {
    const { trans } = this;
    const group = document.createElement('fieldset');
    group.append(element('legend', '', trans.__('Who may see it')));
    const all: [Whom, string][] = [
      ['me', trans.__('Only me')],
      ['some', trans.__('People and teams')],
      ['everyone', trans.__('Everybody who is signed in')]
    ];
    for (const [value, said] of all) {
      const label = check('whom', value, said, false, 'radio');
      const input = label.querySelector('input');
      if (input) {
        this._choices.push(input);
      }
      group.append(label);
      if (value === 'some') {
        group.append(this._some);
      }
    }
    this._people.className = 'jp-mod-styled';
    this._people.autocomplete = 'off';
    this._people.placeholder = trans.__('user names, with commas between them');
    this._some.className = 'madang-Publish-some';
    this._teams.className = 'madang-Publish-teams';
    this._some.append(labelled(trans.__('People'), this._people), this._teams);
    this._links.className = 'madang-Publish-note';
    group.append(this._links);
    return group;
  }

  private _packed(): HTMLElement {
    const { plan, trans } = this;
    const details = document.createElement('details');
    details.append(element('summary', '', plan.summary[0] ?? ''));
    const files = element('ul', 'madang-Publish-files', '');
    // a list that scrolls is reached by the keyboard
    files.tabIndex = 0;
    files.setAttribute('aria-label', trans.__('What is published'));
    for (const file of plan.files) {
      const row = document.createElement('li');
      row.append(element('span', '', file.path), element('span', '', sizeWords(file.size)));
      files.append(row);
    }
    for (const one of plan.left) {
      const row = element('li', 'madang-Publish-left', '');
      const why = trans.__('not published: %1', this.words.left(one.why));
      row.append(element('span', '', one.path), element('span', '', why));
      files.append(row);
    }
    details.append(files);
    for (const line of plan.summary.slice(1)) {
      details.append(element('p', 'madang-Publish-note', line));
    }
    return details;
  }

  private _warnings(): HTMLElement[] {
    const { plan, trans } = this;
    if (plan.warnings.length === 0) {
      return [];
    }
    const box = element('div', 'madang-Publish-warnings', '');
    box.tabIndex = 0;
    box.setAttribute('role', 'group');
    box.setAttribute('aria-label', trans.__('To know before'));
    const list = document.createElement('ul');
    list.append(...plan.warnings.slice(0, LISTED).map(one => element('li', '', one)));
    box.append(element('strong', '', trans.__('To know before')), list);
    if (plan.secrets === 0) {
      return [box];
    }
    const label = check('despite', 'yes', trans.__('I have looked at them: they are no secrets.'), false);
    const input = label.querySelector('input');
    if (input) {
      this._despite = input;
    }
    return [box, label];
  }

  private _form: IForm;
  private readonly _targets: (IDashboard | null)[];
  private readonly _title = document.createElement('input');
  private readonly _description = document.createElement('textarea');
  private readonly _teamRow = document.createElement('div');
  private readonly _choices: HTMLInputElement[] = [];
  private readonly _some = document.createElement('div');
  private readonly _people = document.createElement('input');
  private readonly _teams = document.createElement('div');
  private readonly _links = document.createElement('p');
  private readonly _size = document.createElement('select');
  private readonly _missing = document.createElement('p');
  private _despite = document.createElement('input');
}

export function element(name: string, className: string, text: string): HTMLElement {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function labelled(text: string, field: HTMLElement): HTMLElement {
  const label = element('label', 'madang-Publish-row', '');
  label.append(element('span', '', text), field);
  return label;
}

/** A box to tick, or one of several to choose from, with its words. */
function check(name: string, value: string, said: string, checked: boolean, type = 'checkbox'): HTMLElement {
  const label = element('label', 'madang-Publish-check', '');
  const input = document.createElement('input');
  Object.assign(input, { type, name: `madang-publish-${name}`, value, checked });
  label.append(input, element('span', '', said));
  return label;
}

function options(rows: [string, string][]): HTMLOptionElement[] {
  return rows.map(([value, said]) => {
    const option = document.createElement('option');
    option.value = value;
    option.textContent = said;
    return option;
  });
}

function select(rows: [string, string][], chosen: string): HTMLSelectElement {
  const made = document.createElement('select');
  made.append(...options(rows));
  made.value = chosen;
  return made;
}

/** JupyterLab's own look of a choice. */
function styled(field: HTMLSelectElement): HTMLElement {
  field.classList.add('jp-mod-styled');
  const around = element('span', 'jp-select-wrapper', '');
  around.append(field);
  return around;
}
