// Where the marks of an axis stand and what they say. No drawing here.

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;
const MONTH = 30 * DAY;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const CLOCK_STEPS = [
  SECOND, 5 * SECOND, 10 * SECOND, 30 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 10 * MINUTE, 15 * MINUTE, 30 * MINUTE,
  HOUR, 2 * HOUR, 3 * HOUR, 6 * HOUR, 12 * HOUR, DAY, 2 * DAY, 7 * DAY, 14 * DAY,
];
const MONTH_STEPS = [1, 3, 6, 12, 24, 60, 120];
const zones = new Map();

/** How far the clock of a zone (`utc`, `local` or an IANA name) is ahead of UTC at a time, in ms. */
export function zoneOffset(ms, zone) {
  if (!zone || zone === "utc") return 0;
  if (zone === "local") return -new Date(ms).getTimezoneOffset() * MINUTE;
  if (!zones.has(zone)) zones.set(zone, zoneClock(zone));
  const part = {};
  for (const { type, value } of zones.get(zone).formatToParts(ms)) part[type] = Number(value);
  return Date.UTC(part.year, part.month - 1, part.day, part.hour, part.minute, part.second) - Math.floor(ms / SECOND) * SECOND;
}

function zoneClock(zone) {
  const digits = { year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" };
  return new Intl.DateTimeFormat("en-u-ca-gregory-nu-latn", { timeZone: zone, hourCycle: "h23", ...digits });
}

// The time at which the zone's clock shows `wall` (ms as if it were UTC). Asked twice: the first offset may be from the other side of a change.
function atWall(wall, zone) {
  const guess = wall - zoneOffset(wall, zone);
  return wall - zoneOffset(guess, zone);
}

const two = (number) => String(number).padStart(2, "0");

function label(wall, step) {
  const date = new Date(wall);
  const day = date.getUTCDate();
  const month = date.getUTCMonth();
  if (step >= MONTH || wall % DAY === 0) {
    if (day === 1 && month === 0) return { text: String(date.getUTCFullYear()), strong: true };
    return step >= MONTH ? { text: MONTHS[month], strong: false } : { text: `${day} ${MONTHS[month]}`, strong: true };
  }
  const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
  return { text: step < MINUTE ? `${clock}:${two(date.getUTCSeconds())}` : clock, strong: false };
}

// Days of a month in steps from its first day, none so late that it would crowd the next month.
function monthDays(year, month, days) {
  const length = new Date(Date.UTC(year, month + 1, 0)).getUTCDate();
  const made = [];
  for (let day = 1; day === 1 || day + days / 2 <= length; day += days) made.push(Date.UTC(year, month, day));
  return made;
}

function* walls(begin, end, gap) {
  const step = CLOCK_STEPS.find((each) => each >= gap);
  if (step < 2 * DAY) {
    for (let wall = Math.floor(begin / step) * step; wall <= end; wall += step) yield [wall, step];
    return;
  }
  const months = step ? 1 : (MONTH_STEPS.find((each) => each * MONTH >= gap) ?? MONTH_STEPS[MONTH_STEPS.length - 1]);
  const first = new Date(begin);
  let at = Math.floor((first.getUTCFullYear() * 12 + first.getUTCMonth()) / months) * months;
  for (let wall = 0; wall <= end; at += months) {
    wall = Date.UTC(Math.floor(at / 12), at % 12);
    if (step) for (const day of monthDays(Math.floor(at / 12), at % 12, step / DAY)) yield [day, step];
    else yield [wall, MONTH];
  }
}

/** Marks {time, text, strong} between two times, about `gap` ms apart or more, on round times of the zone's clock. */
export function timeMarks(from, to, gap, zone = "utc") {
  const marks = [];
  for (const [wall, step] of walls(from + zoneOffset(from, zone), to + zoneOffset(to, zone), gap)) {
    const time = atWall(wall, zone);
    // An hour that the clock leaps over has no mark.
    const real = time + zoneOffset(time, zone) === wall;
    if (real && time >= from && time <= to) marks.push({ time, ...label(wall, step) });
  }
  return marks;
}

// 1, 2 or 5 times a power of ten, at least `least`: [factor, exponent].
function niceStep(least) {
  const exponent = Math.floor(Math.log10(least) + 1e-9);
  const factor = [1, 2, 5].find((each) => each * 10 ** exponent >= least * (1 - 1e-9));
  return factor ? [factor, exponent] : [1, exponent + 1];
}

// Whole numbers times a power of ten, without the dust of repeated addition.
const scaled = (count, exponent) => (exponent < 0 ? count / 10 ** -exponent : count * 10 ** exponent);

/** Round values between two, at most about `count` of them and never closer than `least` (a tick). */
export function valueMarks(low, high, count, least = 0) {
  const span = high - low;
  if (!(span > 0) || !Number.isFinite(span)) return Number.isFinite(low) ? [low] : [];
  const [factor, exponent] = niceStep(Math.max(span / count, least));
  const step = scaled(factor, exponent);
  const marks = [];
  for (let at = Math.ceil(low / step - 1e-9); scaled(at * factor, exponent) <= high; at += 1) marks.push(scaled(at * factor, exponent));
  return marks;
}

/** Values for a logarithmic axis: 1, 2 and 5 of each power of ten where it spans more than one, else like `valueMarks`. */
export function logMarks(low, high, count, least = 0) {
  if (high / low < 10) return valueMarks(low, high, count, least);
  const marks = [];
  for (let exponent = Math.floor(Math.log10(low)); scaled(1, exponent) <= high; exponent += 1) {
    for (const factor of [1, 2, 5]) marks.push(scaled(factor, exponent));
  }
  return marks.filter((mark) => mark >= low && mark <= high);
}

/** Bounds that hold still: they widen when the values leave them and narrow only when the values fill little of them. */
export class Bounds {
  /** @param {number} room share of the span left free at each end */
  constructor(room = 0.06) {
    this.room = room;
    this.reset();
  }

  reset() {
    this.low = this.high = NaN;
  }

  /** Fits to values from `low` to `high`. */
  fit(low, high) {
    const span = high - low || Math.abs(high) * 0.001 || 1;
    const inside = low >= this.low && high <= this.high;
    if (inside && span > (this.high - this.low) * 0.6) return;
    this.low = low - span * this.room;
    this.high = high + span * this.room;
  }
}
