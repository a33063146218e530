/**
 * What *Publish* says in the page; what is refused, the server part says.
 */
import type { TranslationBundle } from '@jupyterlab/translation';

import { ending, type ICourse, type IDashboard, sizeWords } from './publish';

export class PublishWords {
  constructor(readonly trans: TranslationBundle) {}

  get publish(): string {
    return this.trans.__('Publish…');
  }

  /** The palette searches from the first Latin letter on: the Korean category has some for this. */
  get category(): string {
    return this.trans.__('Madang');
  }

  get caption(): string {
    return this.trans.__('Publish this notebook as a dashboard');
  }

  /** An entry of the choice what it is to become. */
  target(target: IDashboard | null): string {
    return target === null
      ? this.trans.__('A new dashboard')
      : this.trans.__('A new version of “%1”', target.title);
  }

  /** Why something stays behind. */
  left(why: string): string {
    switch (why) {
      case 'hidden':
        return this.trans.__('hidden');
      case 'link':
        return this.trans.__('a link');
      case 'environment':
        return this.trans.__('a Python environment');
      case 'made again':
        return this.trans.__('a cache');
      default:
        return this.trans.__('no plain file');
    }
  }

  missing(what: '' | 'title' | 'whom' | 'secrets'): string {
    switch (what) {
      case 'title':
        return this.trans.__('Give it a title.');
      case 'whom':
        return this.trans.__('Name somebody, or choose a team.');
      case 'secrets':
        return this.trans.__('Look at what may be a secret first, and say that you have.');
      default:
        return '';
    }
  }

  /** The title above what is said at the end. */
  ending(course: ICourse): string {
    switch (ending(course)) {
      case 'published':
        return this.trans.__('Published');
      case 'not for all':
        return this.trans.__('Published, but not for all yet');
      case 'not shown':
        return this.trans.__('Checked, but not shown');
      case 'stopped':
        return this.trans.__('Stopped');
      case 'unknown':
        return this.trans.__('Not known yet');
      default:
        return this.trans.__('Not published');
    }
  }

  stage(course: ICourse): string {
    const { trans } = this;
    switch (course.stage) {
      case 'looking':
        return trans.__('Looking through the folder …');
      case 'packing':
        return trans.__('Packing …');
      case 'sending':
        return trans.__('Sending: %1 of %2', sizeWords(course.done), sizeWords(course.total));
      case 'checking':
        return trans.__(
          'Version %1 is being checked: it is run once as for a visitor. That takes some seconds, longer where packages or data are large.',
          course.version
        );
      default:
        return course.message;
    }
  }
}
