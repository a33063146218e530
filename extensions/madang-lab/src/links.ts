/**
 * Addresses of the tracking server in what a kernel printed. Pure: no page, no network.
 */

/**
 * `text` with the tracking server's addresses as the browser has to ask for them.
 *
 * A kernel reaches the tracking server by a name of its own (`hub.madang` in a container), and MLflow prints
 * links with it. By which address the person came, only the page knows.
 *
 * @param inside - the tracking server's address in the kernel; empty outside Madang
 * @param origin - scheme, host and port of the page
 */
export function reachable(text: string, inside: string, origin: string): string {
  const from = inside.replace(/\/+$/, '');
  if (from === '' || !text.includes(from)) {
    return text;
  }
  const path = new URL(from).pathname;
  // a whole address only: not /services/mlflow-2
  const whole = new RegExp(`${from.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')}(?![\\w.~%-])`, 'g');
  return text.replace(whole, () => origin + path);
}
