/**
 * The server part below `madang/`; its state is asked every half minute while the page is looked at.
 */
import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import { Poll } from '@lumino/polling';
import { type ISignal, Signal } from '@lumino/signaling';

import type { IStatus } from './model';

const EVERY = 30_000;
const LONGEST_WAIT = 300_000;

/** The people service said no, or nothing; `message` is for the person and may be empty. */
export class RefusedError extends Error {}

/**
 * The answer of `madang/<path>`.
 *
 * @param language - the page's language, in which refusals are worded
 * @throws RefusedError
 */
export async function ask<T>(method: 'GET' | 'POST', path: string, language: string): Promise<T> {
  const settings = ServerConnection.makeSettings();
  const url = URLExt.join(settings.baseUrl, 'madang', path);
  const init: RequestInit = { method, headers: { 'Accept-Language': language } };
  if (method === 'POST') {
    init.body = '{}';
  }
  const reply = await ServerConnection.makeRequest(url, init, settings);
  if (!reply.ok) {
    const said: unknown = await reply.json().catch(() => null);
    const message = (said as { message?: unknown } | null)?.message;
    throw new RefusedError(typeof message === 'string' ? message : '');
  }
  return (await reply.json()) as T;
}

/** What is known now; `age` is in milliseconds. */
export interface IKnown {
  status: IStatus;
  age: number;
}

export class Watch {
  /** @param language - the page's language, in which refusals are worded */
  constructor(language: string) {
    this._language = language;
    this._poll = new Poll({
      name: 'madang-lab:status',
      factory: () => this._ask('GET', 'status'),
      frequency: { interval: EVERY, backoff: true, max: LONGEST_WAIT },
      // a page that nobody looks at must not make its server look used
      standby: 'when-hidden'
    });
    this._poll.ticked.connect((_, state) => {
      if (state.phase === 'rejected') {
        this._lose();
      }
    });
    document.addEventListener('visibilitychange', () => {
      if (!document.hidden) {
        void this._poll.refresh();
      }
    });
  }

  /** Something may have changed. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  get known(): IKnown | null {
    return this._status && { status: this._status, age: performance.now() - this._came };
  }

  /**
   * Ask for more time.
   *
   * @throws RefusedError
   */
  async extend(): Promise<void> {
    await this._ask('POST', 'extend');
  }

  /**
   * End a look-in.
   *
   * @throws RefusedError
   */
  async endLookIn(id: string): Promise<void> {
    await this._ask('POST', `look-ins/${encodeURIComponent(id)}/end`);
  }

  private async _ask(method: 'GET' | 'POST', path: string): Promise<void> {
    this._status = await ask<IStatus>(method, path, this._language);
    this._came = performance.now();
    this._changed.emit();
  }

  /** The server does not answer: what was known of the end may be wrong by now. */
  private _lose(): void {
    if (this._status?.me) {
      this._status = { ...this._status, me: null };
      this._changed.emit();
    }
  }

  private readonly _language: string;
  private readonly _poll: Poll;
  private readonly _changed = new Signal<this, void>(this);
  private _status: IStatus | null = null;
  private _came = 0;
}
