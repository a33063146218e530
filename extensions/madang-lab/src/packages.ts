/**
 * The notice about packages of the person's own: what they replace in the environment, once per change, and
 * that they cannot be used, for as long as that is so.
 */
import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import type { Watch } from './api';
import { type IPackages, type IShadow, packagesKey } from './model';

/** For which state the notice was closed; kept with JupyterLab's settings. */
export interface IReplaced {
  key(): string;
  set(key: string): Promise<void>;
}

export class PackageNotice {
  constructor(
    private readonly watch: Watch,
    private readonly trans: TranslationBundle,
    private readonly replaced: IReplaced
  ) {
    watch.changed.connect(() => this._update());
    Notification.manager.changed.connect((_, change) => {
      if (change.type === 'removed' && change.notification.id === this._notice) {
        this._closed();
      }
    });
    this._update();
  }

  private _update(): void {
    const packages = this.watch.known?.status.packages ?? null;
    if (packages === null) {
      return; // away, or somebody else's: what is shown stays
    }
    if (!packages.trouble && packages.key === '' && this.replaced.key() !== '') {
      // nothing is replaced any more; the same again would be news
      void this.replaced.set('');
    }
    const key = packagesKey(packages, this.replaced.key());
    if (key === this._key) {
      return;
    }
    this._key = key;
    if (this._notice !== null) {
      const old = this._notice;
      this._notice = null;
      Notification.dismiss(old);
    }
    if (key !== null) {
      this._notice = this._show(packages);
    }
  }

  private _show(packages: IPackages): string {
    if (packages.trouble) {
      const text =
        packages.trouble === 'full'
          ? this.trans.__('Your own packages cannot be used now: your home folder is full.')
          : this.trans.__('Your own packages cannot be used now: their folder is damaged.');
      return Notification.warning(text, {
        autoClose: false,
        actions: [{ label: this.trans.__('What can I do?'), callback: () => void this._explain([]) }]
      });
    }
    const { shadows } = packages;
    const actions: Notification.IAction[] = [
      { label: this.trans.__('What can I do?'), callback: () => void this._explain(shadows) },
      { label: this.trans.__('Keep it so'), callback: () => undefined }
    ];
    const options = { autoClose: false as const, actions };
    return shadows.some(one => one.kernel)
      ? Notification.warning(this._sentence(shadows), options)
      : Notification.info(this._sentence(shadows), options);
  }

  private _sentence(shadows: IShadow[]): string {
    const [first] = shadows;
    if (first === undefined) {
      return '';
    }
    return shadows.length === 1
      ? this.trans.__('Your own %1 %2 is used instead of %3.', first.name, first.own, first.instead_of)
      : this.trans.__(
          '%1 packages of your own are used instead of the environment’s: %2 and others.',
          shadows.length,
          first.name
        );
  }

  private async _explain(shadows: IShadow[]): Promise<void> {
    const body = new Widget();
    body.addClass('madang-Packages');
    if (shadows.length) {
      const list = document.createElement('ul');
      for (const one of shadows) {
        const row = document.createElement('li');
        row.textContent = this.trans.__('%1 %2 instead of %3', one.name, one.own, one.instead_of);
        list.append(row);
      }
      body.node.append(list);
    }
    for (const sentence of this._advice(shadows)) {
      const paragraph = document.createElement('p');
      paragraph.textContent = sentence;
      body.node.append(paragraph);
    }
    await showDialog({
      title: this.trans.__('Your own packages'),
      body,
      buttons: [Dialog.okButton({ label: this.trans.__('Close') })]
    });
  }

  private _advice(shadows: IShadow[]): string[] {
    const all = this.trans.__(
      'To remove all your own packages, run this in a terminal: madang env reset'
    );
    const [first] = shadows;
    if (first === undefined) {
      return [
        this.trans.__('Make room if your home folder is full, then restart the kernel.'),
        all
      ];
    }
    const found = [
      this.trans.__('If everything works, there is nothing to do.'),
      this.trans.__(
        'To go back to the environment’s version, run this in a terminal and restart the kernel: pip uninstall %1',
        shadows.map(one => one.name).join(' ')
      ),
      all
    ];
    if (shadows.some(one => one.kernel)) {
      found.push(
        this.trans.__(
          'If notebooks no longer start, pick the kernel “Python (without my packages)”.'
        )
      );
    }
    return found;
  }

  /** Closed by the person: said once. */
  private _closed(): void {
    this._notice = null;
    const packages = this.watch.known?.status.packages;
    if (packages && !packages.trouble && packages.key === this._key) {
      void this.replaced.set(packages.key);
    }
  }

  private _key: string | null = null;
  private _notice: string | null = null;
}
