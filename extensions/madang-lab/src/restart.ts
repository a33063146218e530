/**
 * The time in which this server is stopped or started again for an accelerator: the page says so, waits, and
 * leads on by itself.
 */
import type { JupyterLab } from '@jupyterlab/application';
import { Dialog } from '@jupyterlab/apputils';
import { PageConfig, URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import type { Watch } from './api';
import { type Answer, type Coming, next } from './waiting';

const EVERY = 1500;

export class Restart {
  constructor(
    private readonly watch: Watch,
    private readonly trans: TranslationBundle,
    private readonly info: JupyterLab.IInfo | null
  ) {}

  /**
   * Wait until it has happened, and go there.
   *
   * @param run - the run of the server that is to end
   * @returns false if it went on as it was; otherwise the page is left
   */
  async wait(coming: Coming, run: string): Promise<boolean> {
    await this.watch.rest();
    if (this.info) {
      // JupyterLab's own questions rest, and so does its dialog about a server that is not there
      this.info.isConnected = false;
    }
    const dialog = this._dialog(coming);
    void dialog.launch();
    const began = performance.now();
    let gone: number | null = null;
    for (;;) {
      await new Promise(resolve => window.setTimeout(resolve, EVERY));
      const answer = await answered(run);
      const now = performance.now();
      gone = answer === 'gone' ? (gone ?? now) : null;
      const then = next(coming, answer, now - began, gone === null ? 0 : now - gone);
      if (then === 'reload') {
        window.location.reload();
        return true;
      }
      if (then === 'home') {
        window.location.assign(home());
        return true;
      }
      if (then === 'stay') {
        dialog.dispose();
        if (this.info) {
          this.info.isConnected = true;
        }
        await this.watch.resume();
        return false;
      }
    }
  }

  private _dialog(coming: Coming): Dialog<unknown> {
    const body = new Widget();
    const text = document.createElement('p');
    text.setAttribute('role', 'status');
    text.textContent = this._sentence(coming);
    const link = document.createElement('a');
    link.href = home();
    link.textContent = this.trans.__('To the home page');
    body.node.append(text, link);
    const title = this.trans.__('One moment');
    return new Dialog({ title, body, buttons: [], hasClose: false });
  }

  private _sentence(coming: Coming): string {
    switch (coming) {
      case 'taken':
        return this.trans.__(
          'Your server is being started again, with the accelerator. This page opens again when it is ready.'
        );
      case 'without':
        return this.trans.__(
          'The accelerator is given back. Your server is being started again without it. This page opens again when it is ready.'
        );
      default:
        return this.trans.__(
          'The accelerator is given back, and your server is being stopped. Then the home page opens.'
        );
    }
  }
}

/** Who answers where this server was. */
async function answered(run: string): Promise<Answer> {
  const settings = ServerConnection.makeSettings();
  const url = URLExt.join(settings.baseUrl, 'madang', 'status');
  try {
    const init = { headers: { Accept: 'application/json' } };
    const reply = await ServerConnection.makeRequest(url, init, settings);
    if (reply.status === 401 || reply.status === 403) {
      return 'new'; // a server that does not know this page's session yet
    }
    const said: unknown = reply.ok ? await reply.json() : null;
    const found = (said as { run?: unknown } | null)?.run;
    return typeof found !== 'string' ? 'gone' : found === run ? 'old' : 'new';
  } catch {
    return 'gone'; // no connection, or the Hub's sign-in page
  }
}

/** Madang's home page. */
function home(): string {
  const hub = PageConfig.getOption('hubPrefix') || PageConfig.getBaseUrl();
  return PageConfig.getOption('hubHost') + URLExt.join(hub, 'home');
}
