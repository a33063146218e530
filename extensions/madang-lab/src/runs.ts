/**
 * Rules of the panel *My runs*: what the server part tells about runs, numbers as people read them, and the
 * line of a sparkline. Pure: no page, no network.
 */

export type RunStatus = 'running' | 'scheduled' | 'finished' | 'failed' | 'killed' | '';

/** A run's main metric; `value` is null where it is no number (NaN), `points` are steps and values. */
export interface IMetric {
  name: string;
  value: number | null;
  points: [number, number][];
}

/** The baseline's value, and the run's minus that. `verdict` is empty where nobody can say. */
export interface ICompared {
  value: number;
  difference: number;
  verdict: 'better' | 'worse' | 'same' | '';
}

/** `started` is in milliseconds since 1970. */
export interface IRun {
  id: string;
  name: string;
  experiment: string;
  status: RunStatus;
  started: number | null;
  url: string;
  is_baseline: boolean;
  metric: IMetric | null;
  baseline: ICompared | null;
}

/** The answer of `madang/runs`; `pages` is the address of MLflow's pages, `experiment` the usual one. */
export interface IRuns {
  state: 'on' | 'away' | 'none';
  pages: string;
  experiment: string;
  runs: IRun[];
}

/** A number with four digits that count, as the page's language writes it. */
export function digits(value: number, locale: string): string {
  const size = Math.abs(value);
  const far = size >= 1e6 || (size > 0 && size < 1e-4);
  const options: Intl.NumberFormatOptions = { maximumSignificantDigits: 4 };
  return new Intl.NumberFormat(
    locale,
    far ? { ...options, notation: 'scientific' } : options
  ).format(value);
}

/** How far a line keeps from the edges, in pixels: half of its width and of the last point's. */
const EDGE = 2.5;

/**
 * The points of an SVG polyline, `x,y` with spaces between; the smallest value lies at the bottom.
 *
 * @param points - steps and values, in order
 * @param width - of the picture, in pixels
 * @param height - of the picture, in pixels
 * @returns empty for fewer than two points: one value is no curve
 */
export function line(points: readonly [number, number][], width: number, height: number): string {
  const values = points.map(point => point[1]);
  if (values.length < 2) {
    return '';
  }
  const steps = points.map(point => point[0]);
  const [first, last] = [Math.min(...steps), Math.max(...steps)];
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return points
    .map(([step, value], place) => {
      // without steps (all are 0) one value follows the other
      const across = last > first ? (step - first) / (last - first) : place / (points.length - 1);
      const up = high > low ? value / (high - low) - low / (high - low) : 0.5;
      const x = EDGE + across * (width - 2 * EDGE);
      const y = height - EDGE - up * (height - 2 * EDGE);
      return `${x.toFixed(1)},${y.toFixed(1)}`;
    })
    .join(' ');
}
