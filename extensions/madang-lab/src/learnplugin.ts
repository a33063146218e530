/**
 * Lessons in JupyterLab: the page *Learn*, cards in the launcher, and the page by itself for a newcomer.
 */
import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin
} from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { ILauncher } from '@jupyterlab/launcher';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { LabIcon } from '@jupyterlab/ui-components';
import { DisposableSet } from '@lumino/disposable';

import { LearnPage } from './learn';
import { LearnSteps } from './learnsteps';
import { LearnWords } from './learnwords';
import { isNewcomer, langOf, upNext } from './lessons';
import { tag } from './model';

const SETTINGS = 'madang-lab:plugin';
const SHOW = 'madang:learn';
const OPEN = 'madang:open-lesson';
/** Lessons in the launcher, beside the card of the page. */
const CARDS = 3;

/** An open book, in the colour of the theme's other icons. */
const icon = new LabIcon({
  name: 'madang:learn',
  svgstr:
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">' +
    '<path class="jp-icon3" fill="#616161" d="M12 6.2C10.2 4.8 7.6 4 5 4H2v14h3c2.7 0 5.2.8 7 2.2 1.8-1.4 4.3-2.2 7-2.2h3V4' +
    'h-3c-2.6 0-5.2.8-7 2.2zM4 6h1c2.3 0 4.5.7 6 1.9v9.5C9.3 16.5 7.2 16 5 16H4zm16 10h-1c-2.2 0-4.3.5-6 1.4V7.9' +
    'C14.5 6.7 16.7 6 19 6h1z"/></svg>'
});

export const learn: JupyterFrontEndPlugin<void> = {
  id: 'madang-lab:learn',
  description: 'Lessons: the page Learn, launcher cards, updates that keep what the person wrote.',
  autoStart: true,
  optional: [
    ITranslator,
    ICommandPalette,
    ILauncher,
    ILayoutRestorer,
    ISettingRegistry,
    IDocumentManager
  ],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    launcher: ILauncher | null,
    restorer: ILayoutRestorer | null,
    settings: ISettingRegistry | null,
    documents: IDocumentManager | null
  ): void => {
    const languages = translator ?? nullTranslator;
    const trans = languages.load('madang_lab');
    const locale = tag(languages.languageCode);
    const lang = langOf(locale);
    const words = new LearnWords(trans, locale);
    const steps = new LearnSteps(app.commands, documents, trans, lang, locale);
    const tracker = new WidgetTracker<MainAreaWidget<LearnPage>>({ namespace: 'madang-learn' });
    let page: MainAreaWidget<LearnPage> | null = null;

    app.commands.addCommand(SHOW, {
      label: trans.__('Learn'),
      caption: trans.__('All lessons, with your progress'),
      icon: args => (args['isPalette'] ? undefined : icon),
      describedBy: { args: { type: 'object', properties: {} } },
      execute: async () => {
        if (page === null || page.isDisposed) {
          page = new MainAreaWidget({ content: new LearnPage(steps, trans, lang, locale) });
          page.id = 'madang-learn';
          page.title.label = trans.__('Learn');
          page.title.icon = icon;
          page.title.closable = true;
        }
        if (!tracker.has(page)) {
          await tracker.add(page);
        }
        if (!page.isAttached) {
          app.shell.add(page, 'main');
        }
        app.shell.activateById(page.id);
        void steps.look();
      }
    });
    palette?.addItem({ command: SHOW, category: trans.__('Madang'), args: { isPalette: true } });
    if (restorer) {
      void restorer.restore(tracker, { command: SHOW, name: () => 'madang-learn' });
    }

    app.commands.addCommand(OPEN, {
      label: args => String(args['title'] ?? trans.__('Open a lesson')),
      caption: args => String(args['facts'] ?? ''),
      icon,
      describedBy: {
        args: {
          type: 'object',
          properties: {
            id: { type: 'string' },
            title: { type: 'string' },
            facts: { type: 'string' }
          },
          required: ['id']
        }
      },
      execute: async args => {
        if (steps.list === null) {
          await steps.look();
        }
        const lesson = steps.list?.lessons.find(one => one.id === args['id']);
        if (lesson) {
          await steps.open(lesson);
          // a refusal is said there
          if (steps.said.get(lesson.id)?.text) {
            await app.commands.execute(SHOW);
          }
        }
      }
    });

    let cards = new DisposableSet();
    let shown = '';
    const deal = (): void => {
      const { list } = steps;
      const next = list?.owner ? upNext(list, lang, CARDS) : [];
      const rows = next.map(one => ({
        id: one.id,
        title: one.title[lang],
        facts: [...words.facts(one), ...(one.checks ? [words.progress(one)] : [])].join(' · ')
      }));
      const key = JSON.stringify([rows, list?.lessons.length]);
      if (launcher === null || key === shown) {
        return;
      }
      shown = key;
      cards.dispose();
      cards = new DisposableSet();
      const category = trans.__('Learn');
      if (list?.lessons.length) {
        cards.add(launcher.add({ command: SHOW, category, rank: 0 }));
      }
      rows.forEach((args, place) => {
        cards.add(launcher.add({ command: OPEN, category, rank: place + 1, args }));
      });
    };
    steps.changed.connect(deal);

    void app.restored.then(async () => {
      await steps.look();
      if (steps.list === null || !isNewcomer(steps.list) || PageConfig.getOption('treePath')) {
        return;
      }
      const stored = (await settings?.load(SETTINGS).catch(() => null)) ?? null;
      if (stored !== null && stored.get('welcomed').composite !== true) {
        await stored.set('welcomed', true);
        await app.commands.execute(SHOW);
      }
    });
  }
};
