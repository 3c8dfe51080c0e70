// Which of two venues moves first: the lag at which the changes of one fit those of the other best. Pure.

/** The values of `points` ([ms, value or null], by time) at `count` instants, `step` ms apart: the newest that was there. NaN: nobody knows. */
export function resample(points, from, step, count) {
  const sampled = new Float64Array(count).fill(NaN);
  let at = 0;
  let value = NaN;
  for (let index = 0; index < count; index += 1) {
    for (; at < points.length && points[at][0] <= from + index * step; at += 1) value = points[at][1] ?? NaN;
    sampled[index] = value;
  }
  return sampled;
}

/** The change to each instant from the one before, 0 where either is not known. */
function changesOf(sampled) {
  return sampled.map((value, index) => (index && value - sampled[index - 1]) || 0);
}

const FEWEST = 20;
const WEAKEST = 0.1;
/** So many standard deviations of what independent series show by chance. */
const CLEAR = 5;

/**
 * How far `other` follows `reference` (both of `resample`), of lags up to `longest` steps: {steps, correlation, changes}. `steps` is negative where
 * it leads; `changes` counts those of the one that changed less. Without `steps` where there were too few, or none of the lags stands out.
 */
export function leadLag(reference, other, longest) {
  const [a, b] = [changesOf(reference), changesOf(other)];
  const count = (series) => series.reduce((sum, each) => sum + (each ? 1 : 0), 0);
  const squares = (series) => series.reduce((sum, each) => sum + each * each, 0);
  const changes = Math.min(count(a), count(b));
  const scale = Math.sqrt(squares(a) * squares(b));
  if (changes < FEWEST || !scale) return { changes };
  let best = { steps: 0, correlation: -Infinity };
  for (let steps = -longest; steps <= longest; steps += 1) {
    let sum = 0;
    for (let index = Math.max(0, -steps); index < Math.min(a.length, b.length - steps); index += 1) sum += a[index] * b[index + steps];
    const correlation = sum / scale;
    if (correlation > best.correlation || (correlation === best.correlation && Math.abs(steps) < Math.abs(best.steps))) best = { steps, correlation };
  }
  return best.correlation < Math.max(WEAKEST, CLEAR / Math.sqrt(a.length)) ? { changes } : { ...best, changes };
}
