// When to draw: ten times a second, less on a machine that cannot keep up, never in a hidden tab.

const RATES = [10, 5, 2];
const FLUSH_LIMIT_MS = 12;
const LATE_LIMIT_MS = 40;
/** What is judged at once: a cause that has gone is forgotten after twice as long at most. */
const WINDOW_MS = 4000;
const WARM_UP_MS = 4000;

/** The last `capacity` numbers, and their quantiles. */
export class Ring {
  constructor(capacity) {
    this.values = new Float64Array(capacity);
    this.count = 0;
  }

  push(value) {
    this.values[this.count % this.values.length] = value;
    this.count += 1;
  }

  clear() {
    this.count = 0;
  }

  /** The q-quantile (0..1) of what is held; undefined when empty. */
  quantile(q) {
    const held = Math.min(this.count, this.values.length);
    if (!held) return undefined;
    return this.values.slice(0, held).sort()[Math.min(held - 1, Math.ceil(q * held) - 1)];
  }
}

/** Chooses the draw rate from how long drawing took and how late it began. Pure: times are given. */
export class Governor {
  constructor() {
    this.step = 0;
    this.why = "";
    this.flush = new Ring(128);
    this.late = new Ring(128);
    this.since = undefined;
  }

  get rate() {
    return RATES[this.step];
  }

  /** One flush happened at `now`, took `flushMs` and began `lateMs` after its time. */
  note(now, flushMs, lateMs) {
    this.flush.push(flushMs);
    this.late.push(lateMs);
    this.since ??= now;
    if (now - this.since < WINDOW_MS) return;
    this.judge(now, this.flush.quantile(0.95), this.late.quantile(0.95));
    this.since = now;
    this.flush.clear();
    this.late.clear();
  }

  judge(now, flush, late) {
    if (flush > FLUSH_LIMIT_MS || late > LATE_LIMIT_MS) {
      this.lower(flush > FLUSH_LIMIT_MS ? `drawing takes ${flush.toFixed(0)} ms` : `frames are ${late.toFixed(0)} ms late`);
    } else if (flush <= FLUSH_LIMIT_MS / 2 && late <= LATE_LIMIT_MS / 2) {
      this.step = 0;
      this.why = "";
    }
  }

  lower(why) {
    this.step = Math.min(RATES.length - 1, this.step + 1);
    this.why = why;
  }
}

export class Scheduler {
  constructor() {
    this.governor = new Governor();
    this.draws = new Set();
    this.flushes = new Ring(512);
    this.lates = new Ring(512);
    this.paused = false;
    this.pausedAt = 0;
    this.scriptMs = 0;
  }

  start() {
    this.due = this.begun = performance.now();
    document.addEventListener("visibilitychange", () => !document.hidden && this.once());
    this.next();
  }

  /** `draw(now)` is called at every flush, `now` of performance.now(). With `always` also while paused. */
  add(draw, always = false) {
    draw.always = always;
    this.draws.add(draw);
  }

  remove(draw) {
    this.draws.delete(draw);
  }

  /** Hold the picture, or go on. Data is still taken in. */
  pause(on = !this.paused) {
    this.paused = on;
    this.pausedAt = performance.now();
    this.once();
  }

  /** Draw as soon as possible, beside the rhythm: after a click, not after a message. */
  once() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.flush();
    });
  }

  next() {
    this.due = Math.max(performance.now(), this.due + 1000 / this.governor.rate);
    setTimeout(() => {
      if (document.hidden) return this.next();
      return requestAnimationFrame(() => this.tick());
    }, this.due - performance.now());
  }

  tick() {
    const began = performance.now();
    const late = Math.max(0, began - this.due);
    this.flush();
    const took = performance.now() - began;
    this.flushes.push(took);
    this.lates.push(late);
    if (began - this.begun > WARM_UP_MS) this.governor.note(began, took, late);
    this.next();
  }

  flush() {
    const now = performance.now();
    for (const draw of this.draws) if (!this.paused || draw.always) this.guard(draw, now);
    this.scriptMs += performance.now() - now;
  }

  // A fault in one panel is reported and does not stop the clock of the others.
  guard(draw, now) {
    try {
      draw(now);
    } catch (error) {
      reportError(error);
    }
  }

  get figures() {
    const { flushes, lates, governor: { rate, why } } = this;
    return { flushP95: flushes.quantile(0.95), flushP99: flushes.quantile(0.99), lateP95: lates.quantile(0.95), rate, why };
  }
}
