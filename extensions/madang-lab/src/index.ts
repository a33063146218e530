/**
 * Madang's part of JupyterLab: one plugin that brings the parts together, and one for what cells print.
 */
import {
  ILayoutRestorer,
  type JupyterFrontEnd,
  type JupyterFrontEndPlugin,
  JupyterLab
} from '@jupyterlab/application';
import { ICommandPalette, Notification } from '@jupyterlab/apputils';
import { PageConfig } from '@jupyterlab/coreutils';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { RefusedError, Watch } from './api';
import { learn } from './learnplugin';
import { LeaseActions } from './leaseactions';
import { LeaseNotices } from './leasenotices';
import { LeaseDialog, LeaseItem } from './leasestatus';
import { LeaseWords } from './leasewords';
import { LookInBar } from './lookin';
import { remember, tag } from './model';
import { type ISeen, Notices } from './notices';
import { openLinks } from './outputs';
import { type IReplaced, PackageNotice } from './packages';
import { RunsPanel } from './panel';
import { publish } from './publishplugin';
import { Restart } from './restart';
import { StatusItem, Words } from './status';

const ID = 'madang-lab:plugin';
const EXTEND = 'madang:extend';
const SHOW_RUNS = 'madang:show-runs';
const SHOW_ACCELERATOR = 'madang:show-accelerator';

const plugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'Memory and time left, announcements, extend, accelerators, look-ins, own packages, my runs.',
  autoStart: true,
  optional: [
    ITranslator,
    IStatusBar,
    ICommandPalette,
    ISettingRegistry,
    ILayoutRestorer,
    JupyterLab.IInfo
  ],
  activate: (
    app: JupyterFrontEnd,
    translator: ITranslator | null,
    statusBar: IStatusBar | null,
    palette: ICommandPalette | null,
    settings: ISettingRegistry | null,
    restorer: ILayoutRestorer | null,
    info: JupyterLab.IInfo | null
  ): void => {
    const languages = translator ?? nullTranslator;
    const trans = languages.load('madang_lab');
    const locale = tag(languages.languageCode);
    const words = new Words(trans, locale);
    const watch = new Watch(locale, app.serviceManager.events);
    const extend = async (): Promise<void> => {
      await app.commands.execute(EXTEND);
    };

    app.commands.addCommand(EXTEND, {
      label: trans.__('Extend the time of my server'),
      isEnabled: () => watch.known?.status.me?.server?.can_extend === true,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: async () => {
        try {
          await watch.extend();
          const ends = watch.known?.status.me?.server?.ends ?? null;
          Notification.success(words.extended(ends), { autoClose: 10_000 });
        } catch (error) {
          const said = error instanceof RefusedError ? error.message : '';
          Notification.error(said || trans.__('No more time could be had. Try again in a moment.'));
        }
      }
    });
    watch.changed.connect(() => {
      app.commands.notifyCommandChanged(EXTEND);
      app.commands.notifyCommandChanged(SHOW_ACCELERATOR);
    });
    // the palette searches from the first Latin letter on: the Korean category has some for this
    palette?.addItem({ command: EXTEND, category: trans.__('Madang') });

    const runs = new RunsPanel(trans, locale);
    // below the parts that JupyterLab itself has there
    app.shell.add(runs, 'left', { rank: 800 });
    restorer?.add(runs, runs.id);
    app.commands.addCommand(SHOW_RUNS, {
      label: trans.__('Show my runs'),
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => app.shell.activateById(runs.id)
    });
    palette?.addItem({ command: SHOW_RUNS, category: trans.__('Madang') });

    const leaseWords = new LeaseWords(trans, words);
    const restart = new Restart(watch, trans, info);
    const leaseActions = new LeaseActions(watch, trans, leaseWords, app.commands, restart);
    const leaseDialog = new LeaseDialog(watch, trans, leaseWords, leaseActions);
    app.commands.addCommand(SHOW_ACCELERATOR, {
      label: trans.__('Show my accelerator'),
      // nowhere to be seen where accelerators are not lent
      isVisible: () => (watch.known?.status.lending ?? null) !== null,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => leaseDialog.show()
    });
    palette?.addItem({ command: SHOW_ACCELERATOR, category: trans.__('Madang') });
    statusBar?.registerStatusItem(`${ID}:accelerator`, {
      item: new LeaseItem(watch, leaseWords, () => leaseDialog.show()),
      align: 'right',
      rank: 1,
      priority: 1
    });

    statusBar?.registerStatusItem(`${ID}:status`, {
      item: new StatusItem(watch, words, extend),
      align: 'right',
      rank: 0,
      priority: 1
    });
    void app.restored.then(async () => {
      app.shell.add(new LookInBar(watch, trans, words), 'header');
      const stored = (await settings?.load(ID).catch(() => null)) ?? null;
      new Notices(watch, trans, words, listIn(stored, 'seen'), extend);
      const told = listIn(stored, 'told');
      new LeaseNotices(watch, trans, leaseWords, leaseActions, told, () => leaseDialog.show());
      new PackageNotice(watch, trans, replacedIn(stored));
    });
  }
};

/** What was read or closed, in the settings; without them for as long as the page is open. */
function listIn(stored: ISettingRegistry.ISettings | null, name: 'seen' | 'told'): ISeen {
  let ids: string[] = [];
  const read = (): void => {
    const found = stored?.get(name).composite;
    if (Array.isArray(found)) {
      ids = found.filter(one => typeof one === 'string');
    }
  };
  read();
  stored?.changed.connect(read);
  return {
    ids: () => ids,
    add: async id => {
      ids = remember(ids, id);
      await stored?.set(name, ids);
    }
  };
}

/** The state of own packages that was pointed out, in the settings as well. */
function replacedIn(stored: ISettingRegistry.ISettings | null): IReplaced {
  let key = '';
  const read = (): void => {
    const found = stored?.get('replaced').composite;
    if (typeof found === 'string') {
      key = found;
    }
  };
  read();
  stored?.changed.connect(read);
  return {
    key: () => key,
    set: async value => {
      key = value;
      await stored?.set('replaced', value);
    }
  };
}

const outputs: JupyterFrontEndPlugin<void> = {
  id: 'madang-lab:outputs',
  description: 'Links to the tracking server in what cells print open in this browser.',
  autoStart: true,
  requires: [IRenderMimeRegistry],
  activate: (_: JupyterFrontEnd, registry: IRenderMimeRegistry): void =>
    openLinks(registry, PageConfig.getOption('madangTracking'))
};

export default [plugin, outputs, learn, publish];
