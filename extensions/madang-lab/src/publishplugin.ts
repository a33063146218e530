/**
 * *Publish* in the notebook's toolbar, the file browser's menu and the command palette, for whoever may.
 */
import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { IDocumentManager } from '@jupyterlab/docmanager';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { LabIcon } from '@jupyterlab/ui-components';
import { Poll } from '@lumino/polling';

import { tag } from './model';
import { type IMine, mayPublish } from './publish';
import { PublishSteps } from './publishsteps';
import { PublishWords } from './publishwords';

const PUBLISH = 'madang:publish';
const AGAIN = 60_000;
const LONGEST_WAIT = 600_000;

/** A sheet with an arrow that leads out of it, in the colour of the theme's other icons. */
const icon = new LabIcon({
  name: 'madang:publish',
  svgstr:
    '<svg xmlns="http://www.w3.org/2000/svg" width="16" viewBox="0 0 24 24">' +
    '<path class="jp-icon3" fill="#616161" d="M5 20h14v-6h-2v4H7v-4H5v6zM11 16h2V7.8l3.1 3.1 1.4-1.4L12 4 6.5 9.5l1.4 1.4L11 7.8V16z"/></svg>'
});

export const publish: JupyterFrontEndPlugin<void> = {
  id: 'madang-lab:publish',
  description: 'Publish a notebook as a dashboard.',
  autoStart: true,
  requires: [IDocumentManager],
  optional: [ITranslator, ICommandPalette, IFileBrowserFactory],
  activate: (
    app: JupyterFrontEnd,
    documents: IDocumentManager,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    browsers: IFileBrowserFactory | null
  ): void => {
    const languages = translator ?? nullTranslator;
    const words = new PublishWords(languages.load('madang_lab'));
    const steps = new PublishSteps(documents, words, tag(languages.languageCode));
    let mine: IMine | null = null;

    /** The notebook that is meant: the one that was pressed in the file browser, or the one in front. */
    const pathOf = (args: Record<string, unknown>): string | null => {
      let path: string | undefined;
      if (typeof args['path'] === 'string') {
        path = args['path'];
      } else if (args['browser'] === true) {
        const chosen = [...(browsers?.tracker.currentWidget?.selectedItems() ?? [])];
        path = chosen.length === 1 ? chosen[0]?.path : undefined;
      } else {
        const widget = app.shell.currentWidget;
        path = widget ? documents.contextForWidget(widget)?.path : undefined;
      }
      const local = path === undefined ? '' : app.serviceManager.contents.localPath(path);
      return local.endsWith('.ipynb') ? local : null;
    };

    app.commands.addCommand(PUBLISH, {
      label: args => (args['toolbar'] === true ? '' : words.publish),
      caption: words.caption,
      icon: args => (args['isPalette'] === true ? undefined : icon),
      isVisible: () => mayPublish(mine),
      isEnabled: args => mayPublish(mine) && (args['browser'] === true || pathOf(args) !== null),
      describedBy: {
        args: { type: 'object', properties: { path: { type: 'string' } } }
      },
      execute: async args => {
        const path = pathOf(args);
        if (path !== null) {
          await steps.publish(path);
        }
      }
    });
    palette?.addItem({
      command: PUBLISH,
      category: words.category,
      args: { isPalette: true }
    });
    app.shell.currentChanged?.connect(() => app.commands.notifyCommandChanged(PUBLISH));

    void app.restored.then(() => {
      // once, unless there is no answer
      const poll = new Poll({
        name: 'madang-lab:publish',
        factory: async () => {
          const found = await steps.look();
          if (found.state === 'away') {
            throw new Error('the service of dashboards does not answer');
          }
          mine = found;
          app.commands.notifyCommandChanged(PUBLISH);
          void poll.stop();
        },
        frequency: { interval: AGAIN, backoff: true, max: LONGEST_WAIT },
        standby: 'when-hidden'
      });
    });
  }
};
