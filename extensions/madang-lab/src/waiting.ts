/**
 * What the page does while its server is stopped or started again. Pure: no page, no network, times passed in.
 */

/** What is waited for: this server with an accelerator, without one, its end, or one of the last two. */
export type Coming = 'taken' | 'without' | 'stopped' | 'unknown';
/** Who answers where the server was: the same run of it, another one, or nobody. */
export type Answer = 'old' | 'new' | 'gone';
export type Then = 'wait' | 'reload' | 'home' | 'stay';

/** Milliseconds for which a server that is to stop may go on as it was. */
export const UNCHANGED = 60_000;
/** Milliseconds without a server after which it is taken for stopped ... */
export const STOPPED = 4_000;
/** ... if it may also come back ... */
export const PERHAPS = 20_000;
/** ... and if it is to come back: as long as a start may take. */
export const STARTED = 300_000;

/**
 * What comes next.
 *
 * @param coming - what is waited for
 * @param waited - milliseconds since the beginning
 * @param gone - milliseconds since nobody answers any more
 */
export function next(coming: Coming, answer: Answer, waited: number, gone: number): Then {
  if (answer === 'new') {
    return 'reload';
  }
  if (answer === 'old') {
    return waited < UNCHANGED ? 'wait' : 'stay';
  }
  const patience = { stopped: STOPPED, unknown: PERHAPS, taken: STARTED, without: STARTED }[coming];
  return gone < patience ? 'wait' : 'home';
}
