/**
 * The server part below `madang/`; its state is asked every half minute while the page is looked at, and when the
 * server calls.
 */
import { URLExt } from '@jupyterlab/coreutils';
import { type Event, ServerConnection } from '@jupyterlab/services';
import { Poll } from '@lumino/polling';
import { type ISignal, Signal } from '@lumino/signaling';

import { current } from './lending';
import type { IStatus } from './model';

const EVERY = 30_000;
const LONGEST_WAIT = 300_000;
/** What the server part calls its event (`madang_lab/herald.py`). */
const NEWS = 'https://madang.invalid/events/lending';

/** The service that was asked said no, or nothing; `message` is for the person and may be empty. */
export class RefusedError extends Error {}

/** Nobody answers, or not this server: whether it was done is not known. */
export class LostError extends Error {}

/**
 * The answer of `madang/<path>`.
 *
 * @param language - the page's language, in which refusals are worded
 * @param body - what is told besides, of a POST
 * @throws RefusedError, LostError
 */
export async function ask<T>(
  method: 'GET' | 'POST',
  path: string,
  language: string,
  body: object = {}
): Promise<T> {
  const settings = ServerConnection.makeSettings();
  const url = URLExt.join(settings.baseUrl, 'madang', path);
  const init: RequestInit = { method, headers: { 'Accept-Language': language } };
  if (method === 'POST') {
    init.body = JSON.stringify(body);
  }
  let reply: Response;
  try {
    reply = await ServerConnection.makeRequest(url, init, settings);
  } catch (error) {
    throw new LostError(String(error));
  }
  const said: unknown = await reply.json().catch(() => null);
  if (reply.ok && said !== null) {
    return said as T;
  }
  const message = (said as { message?: unknown } | null)?.message;
  // 424 is the Hub's word that no server is there, a proxy's own errors are no JSON
  if (reply.ok || reply.status === 424 || typeof message !== 'string') {
    throw new LostError(`${path}: status ${reply.status}`);
  }
  throw new RefusedError(message);
}

/** What its person does with an accelerator; the last two end this run of the server. */
export type Step = 'extend' | 'leave' | 'take' | 'give-back';

/** What is known now; `age` is in milliseconds. */
export interface IKnown {
  status: IStatus;
  age: number;
}

export class Watch {
  /**
   * @param language - the page's language, in which refusals are worded
   * @param events - what the server calls pages for, also those that nobody looks at
   */
  constructor(language: string, events: Event.IManager) {
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
    events.stream.connect((_, event) => {
      if (event.schema_id === NEWS) {
        // not the poll: it stands by while the page is hidden
        void this._ask('GET', 'status').catch(() => undefined);
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

  /**
   * Do `what` with an accelerator.
   *
   * @throws RefusedError, LostError
   */
  async lease(id: string, what: Step, body: object = {}): Promise<void> {
    const path = `leases/${encodeURIComponent(id)}/${what}`;
    if (what === 'take' || what === 'give-back') {
      // no status comes: the server would be gone before it has it
      await ask<object>('POST', path, this._language, body);
    } else {
      await this._ask('POST', path, body);
    }
  }

  /** Ask now. */
  async look(): Promise<void> {
    await this._poll.refresh();
  }

  /** Ask no more by itself, while the server is started again. */
  async rest(): Promise<void> {
    await this._poll.stop();
  }

  /** The server is there as before. */
  async resume(): Promise<void> {
    await this._poll.start();
  }

  private async _ask(method: 'GET' | 'POST', path: string, body: object = {}): Promise<void> {
    this._status = await ask<IStatus>(method, path, this._language, body);
    this._came = performance.now();
    this._changed.emit();
  }

  /** The server does not answer: what was known of the end may be wrong by now. */
  private _lose(): void {
    const { me, lending } = this._status ?? {};
    if (this._status && (me || lending?.state === 'on')) {
      this._status = {
        ...this._status,
        me: null,
        lending: lending
          ? { state: 'away', expected: current(lending) !== null, devices: [] }
          : null
      };
      this._changed.emit();
    }
  }

  private readonly _language: string;
  private readonly _poll: Poll;
  private readonly _changed = new Signal<this, void>(this);
  private _status: IStatus | null = null;
  private _came = 0;
}
