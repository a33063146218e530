/**
 * The panel *My runs*: the latest runs of the person's own workspace on the tracking server.
 */
import type { TranslationBundle } from '@jupyterlab/translation';
import type { Message } from '@lumino/messaging';
import { Poll } from '@lumino/polling';
import { Widget } from '@lumino/widgets';

import { ask } from './api';
import { clock } from './model';
import { type ICompared, type IMetric, type IRun, type IRuns, digits, line } from './runs';

const EVERY = 30_000;
const LONGEST_WAIT = 300_000;
/** Of a sparkline, in pixels. */
const WIDTH = 72;
const HEIGHT = 22;
const SVG = 'http://www.w3.org/2000/svg';

/** What stands before a state's name; the name says the same. */
const SIGNS = { running: '●', scheduled: '○', finished: '✓', failed: '✕', killed: '■', '': '?' };

const FIRST_RUN = `import mlflow

with mlflow.start_run():
    mlflow.log_metric("loss", 0.5)`;

export class RunsPanel extends Widget {
  constructor(
    private readonly trans: TranslationBundle,
    private readonly locale: string
  ) {
    super();
    this.id = 'madang-runs';
    this.addClass('madang-Runs');
    this.title.caption = trans.__('My runs');
    this.title.iconClass = 'jp-SideBar-tabIcon madang-Runs-icon';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', trans.__('My runs'));
    this._note.className = 'madang-Runs-note';
    this._note.setAttribute('role', 'status');
    this._all.target = '_blank';
    this._all.rel = 'noopener';
    this._all.textContent = trans.__('All of them in MLflow');
    this._all.hidden = true;
    const heading = document.createElement('h2');
    heading.textContent = trans.__('My runs');
    this._list.className = 'madang-Runs-list';
    // Safari takes the role away from lists without marks
    this._list.setAttribute('role', 'list');
    const head = element('div', 'madang-Runs-head', heading, this._all);
    this.node.append(head, this._note, this._first(), this._list);
    this._say(trans.__('Looking for runs…'));
    this._poll = new Poll({
      name: 'madang-lab:runs',
      factory: () => this._look(),
      frequency: { interval: EVERY, backoff: true, max: LONGEST_WAIT },
      // a panel or a page that nobody sees asks nothing
      standby: () => !this.isVisible || document.hidden
    });
    this._poll.ticked.connect((_, state) => {
      if (state.phase === 'rejected') {
        this._away();
      }
    });
    document.addEventListener('visibilitychange', this._seen);
  }

  override dispose(): void {
    document.removeEventListener('visibilitychange', this._seen);
    this._poll.dispose();
    super.dispose();
  }

  protected override onAfterAttach(message: Message): void {
    super.onAfterAttach(message);
    this._seen();
  }

  protected override onAfterShow(message: Message): void {
    super.onAfterShow(message);
    this._seen();
  }

  protected override onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.node.tabIndex = -1;
    this.node.focus();
  }

  private readonly _seen = (): void => {
    if (this.isVisible && !document.hidden) {
      void this._poll.refresh();
    }
  };

  private async _look(): Promise<void> {
    const found = await ask<IRuns>('GET', 'runs', this.locale);
    if (found.state === 'away') {
      this._away();
      return;
    }
    const none = found.state === 'none';
    this._all.hidden = none;
    this._all.href = found.pages;
    this._help.hidden = none || found.runs.length > 0;
    if (none) {
      this._say(this.trans.__('This JupyterLab has no tracking server, so there are no runs to show.'));
    } else if (found.runs.length === 0) {
      this._say(this.trans.__('No runs yet. Run this in a notebook to log your first one:'));
    } else {
      this._say('');
    }
    this._show(found.runs);
  }

  /** What was shown stays. */
  private _away(): void {
    this._help.hidden = true;
    this._say(
      this._list.childElementCount
        ? this.trans.__(
            'The tracking server does not answer just now, so this may be out of date. It is asked again by itself.'
          )
        : this.trans.__(
            'The tracking server does not answer just now. Your work goes on; it is asked again by itself.'
          )
    );
  }

  private _say(sentence: string): void {
    if (this._note.textContent !== sentence) {
      this._note.textContent = sentence;
    }
    this._note.hidden = sentence === '';
  }

  private _show(runs: IRun[]): void {
    const now = new Date();
    // the day is part of it: yesterday's times carry a date
    const key = JSON.stringify([runs, now.toDateString()]);
    if (key === this._shown) {
      return;
    }
    this._shown = key;
    const focused = this._list.contains(document.activeElement)
      ? (document.activeElement as HTMLElement).closest('li')?.dataset['run']
      : undefined;
    this._list.replaceChildren(...runs.map(run => this._row(run, now)));
    if (focused !== undefined) {
      this._list.querySelector<HTMLElement>(`li[data-run="${CSS.escape(focused)}"] a`)?.focus();
    }
  }

  private _row(run: IRun, now: Date): HTMLElement {
    const link = document.createElement('a');
    link.href = run.url;
    link.target = '_blank';
    link.rel = 'noopener';
    link.textContent = run.name;
    link.title = this.trans.__('Open %1 in MLflow, in a new tab', run.name);
    const sign = element('span', 'madang-Run-sign', SIGNS[run.status]);
    sign.setAttribute('aria-hidden', 'true');
    const status = element('span', 'madang-Run-status', sign, ` ${this._status(run)}`);
    status.dataset['status'] = run.status;
    const facts = element('div', 'madang-Run-facts', status);
    if (run.started !== null) {
      const time = document.createElement('time');
      time.dateTime = new Date(run.started).toISOString();
      time.textContent = clock(time.dateTime, this.locale, now);
      facts.append(time);
    }
    const experiment = element('span', 'madang-Run-experiment', run.experiment);
    experiment.title = this.trans.__('Experiment: %1', run.experiment);
    facts.append(experiment);
    const row = element('li', 'madang-Run', element('div', 'madang-Run-name', link), facts);
    row.dataset['run'] = run.id;
    if (run.is_baseline) {
      link.parentElement?.append(element('span', 'madang-Run-mark', this.trans.__('baseline')));
    }
    if (run.metric) {
      row.append(this._metric(run.metric));
    }
    if (run.baseline) {
      const words = element('div', 'madang-Run-compared', this._compared(run.baseline));
      words.dataset['verdict'] = run.baseline.verdict;
      row.append(words);
    }
    return row;
  }

  private _metric(metric: IMetric): HTMLElement {
    const value = metric.value === null ? 'NaN' : digits(metric.value, this.locale);
    const name = element('span', 'madang-Run-metric', metric.name);
    name.title = metric.name;
    const row = element('div', 'madang-Run-main', name, element('strong', '', value));
    const drawn = line(metric.points, WIDTH, HEIGHT);
    if (drawn) {
      const [first, last] = [metric.points.at(0), metric.points.at(-1)];
      row.append(
        picture(
          drawn,
          this.trans.__(
            '%1 went from %2 to %3',
            metric.name,
            digits(first?.[1] ?? 0, this.locale),
            digits(last?.[1] ?? 0, this.locale)
          )
        )
      );
    }
    return row;
  }

  private _status(run: IRun): string {
    switch (run.status) {
      case 'running':
        return this.trans.__('running');
      case 'scheduled':
        return this.trans.__('waiting');
      case 'finished':
        return this.trans.__('finished');
      case 'failed':
        return this.trans.__('failed');
      case 'killed':
        return this.trans.__('stopped');
      default:
        return this.trans.__('state unknown');
    }
  }

  private _compared(found: ICompared): string {
    const by = digits(Math.abs(found.difference), this.locale);
    const base = digits(found.value, this.locale);
    const lower = found.difference < 0;
    switch (found.verdict) {
      case 'same':
        return this.trans.__('= same as the baseline (%1)', base);
      case 'better':
        return lower
          ? this.trans.__('▼ %1 lower than the baseline (%2): better', by, base)
          : this.trans.__('▲ %1 higher than the baseline (%2): better', by, base);
      case 'worse':
        return lower
          ? this.trans.__('▼ %1 lower than the baseline (%2): worse', by, base)
          : this.trans.__('▲ %1 higher than the baseline (%2): worse', by, base);
      default:
        return lower
          ? this.trans.__('▼ %1 lower than the baseline (%2)', by, base)
          : this.trans.__('▲ %1 higher than the baseline (%2)', by, base);
    }
  }

  /** How to log a first run. */
  private _first(): HTMLElement {
    this._help.textContent = FIRST_RUN;
    // it may be wider than the panel, and is scrolled by keyboard, too
    this._help.tabIndex = 0;
    this._help.hidden = true;
    return this._help;
  }

  private readonly _note = document.createElement('p');
  private readonly _all = document.createElement('a');
  private readonly _help = document.createElement('pre');
  private readonly _list = document.createElement('ul');
  private readonly _poll: Poll;
  private _shown = '[]';
}

function element(tag: string, className: string, ...inside: (Node | string)[]): HTMLElement {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...inside);
  return made;
}

/** A sparkline with a dot at its end; `words` is what it says to who does not see it. */
function picture(drawn: string, words: string): SVGElement {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'madang-Run-curve');
  svg.setAttribute('viewBox', `0 0 ${WIDTH} ${HEIGHT}`);
  svg.setAttribute('width', String(WIDTH));
  svg.setAttribute('height', String(HEIGHT));
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', words);
  const curve = document.createElementNS(SVG, 'polyline');
  curve.setAttribute('points', drawn);
  const end = document.createElementNS(SVG, 'circle');
  const [x = '0', y = '0'] = drawn.slice(drawn.lastIndexOf(' ') + 1).split(',');
  end.setAttribute('cx', x);
  end.setAttribute('cy', y);
  end.setAttribute('r', '2');
  svg.append(curve, end);
  return svg;
}
