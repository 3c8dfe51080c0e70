// How far the venues are apart over time: from their candles before the view was opened, from then on from what is compared.

import { el, setText } from "./dom.js";
import { time as clock } from "./format.js";
import { Lines } from "./lines.js";
import { Refusal } from "./refusal.js";
import { Question } from "./requests.js";
import { median, offBps } from "./rules.js";

const SAMPLE_MS = 1000;
const MINUTE = 60000;
const WINDOW_MINUTES = 30;
const SAMPLES = (WINDOW_MINUTES * MINUTE) / SAMPLE_MS;

/** Of values by venue one per line, in bp: each venue's difference from the median or, of exactly two, the first against the second. */
export function differences(names, values) {
  const known = names.map((name) => values.get(name));
  if (names.length === 2) return [offBps(...known) ?? null];
  const there = known.filter((value) => value !== undefined);
  const reference = there.length > 1 ? median(there) : undefined; // one alone is not compared with itself
  return known.map((value) => offBps(value, reference) ?? null);
}

/**
 * Points [ms, [bp or null of each line]] at the closes of candles before `until`; `closes` is by venue a map of close time, ms, to price. A minute
 * without any candle is a hole.
 */
export function pointsOfCandles(names, closes, until) {
  const times = [...new Set([...closes.values()].flatMap((each) => [...each.keys()]))].filter((at) => at <= until).sort((a, b) => a - b);
  return times.flatMap((at, index) => {
    const values = new Map(names.map((name) => [name, closes.get(name)?.get(at)]));
    const hole = index && at - times[index - 1] > MINUTE ? [[at - MINUTE, differences(names, new Map())]] : [];
    return [...hole, [at, differences(names, values)]];
  });
}

export class DifferenceLines {
  constructor(app) {
    this.app = app;
    this.heading = el("h2");
    this.note = el("p", { class: "muted" });
    this.refusal = new Refusal("candles", () => this.retry());
    this.host = el("div", { class: "linehost" });
    this.lines = new Lines(this.host, { label: "Differences between the venues, bp", unit: "bp", decimals: 2 });
    this.element = el("div", { class: "panel grow" }, this.heading, this.note, this.refusal.element, this.host);
    this.names = [];
    this.questions = new Map();
  }

  open({ market, symbol, venues }) {
    this.names = venues.map(({ exchange }) => exchange);
    const [a, b] = this.names;
    const pair = this.names.length === 2;
    this.titles = pair ? [`${a} \u2212 ${b}`] : this.names;
    setText(this.heading, pair ? `${a} minus ${b}, bp of ${b}` : "Difference from the median, bp");
    this.since = this.app.feed.serverNow();
    this.history = [];
    this.closes = new Map();
    // A venue alone is compared with nobody, so its candles are not asked for.
    this.questions = new Map((this.names.length > 1 ? this.names : []).map((exchange) => [exchange, this.question(exchange, market, symbol, this.closes)]));
    this.restart();
    for (const question of this.questions.values()) question.ask();
  }

  close() {
    for (const question of this.questions.values()) question.stop();
  }

  retry() {
    for (const question of this.questions.values()) if (question.isRefused) question.ask();
  }

  /** Another value is compared: what was sampled is of the one before. */
  restart() {
    this.points = [];
    this.sampledAt = 0;
    this.feed();
  }

  // What is not answered leaves that venue's past empty, and is said.
  question(exchange, market, symbol, closes) {
    const query = new URLSearchParams({ exchange, symbol, market_type: market, interval: "1m", limit: WINDOW_MINUTES });
    const took = ({ candles }) => {
      const closed = candles.filter((each) => each.closed).map(({ timestamp, close }) => [Date.parse(timestamp) + MINUTE, close]);
      closes.set(exchange, new Map(closed));
      if (closes !== this.closes) return;
      this.history = pointsOfCandles(this.names, closes, this.since);
      this.feed();
    };
    return new Question(`api/candles?${query}`, { took, failed: () => closes === this.closes && this.feed() });
  }

  /** `values` by venue are those that may be compared now. A venue that is not among them leaves a hole, and so does an hour without a look. */
  sample(now, values) {
    if (now - this.sampledAt < SAMPLE_MS) return;
    const t = this.app.feed.serverNow();
    if (this.sampledAt && now - this.sampledAt > 3 * SAMPLE_MS) this.points.push([t - SAMPLE_MS, differences(this.names, new Map())]);
    this.points.push([t, differences(this.names, values)]);
    if (this.points.length > SAMPLES) this.points.splice(0, this.points.length - SAMPLES);
    this.sampledAt = now;
    this.feed();
  }

  feed() {
    const from = this.app.feed.serverNow() - WINDOW_MINUTES * MINUTE;
    const past = this.history.filter(([at]) => at >= from);
    const hole = past.length ? [[this.since, differences(this.names, new Map())]] : [];
    const all = [...past, ...hole, ...this.points];
    this.lines.setSeries(this.titles.map((name, index) => ({ name, points: all.map(([at, values]) => [at, values[index]]) })),
      past.length ? { until: this.since, text: "from candles" } : undefined);
    const { zone } = this.app.settings;
    const before = past.length ? `Until ${clock(this.since, zone)} from the closes of one-minute candles (last trades). ` : "";
    const failed = [...this.questions].filter(([, { error }]) => error);
    const words = (each) => each.map(([exchange, { error }]) => `No candles of ${exchange}: ${error.message}.`).join(" ");
    const passing = words(failed.filter(([, { isRefused }]) => !isRefused));
    setText(this.note, `${before}From ${clock(this.since, zone)} on each second what is compared above.${passing && ` ${passing} They are asked for again.`}`);
    this.refusal.say(words(failed.filter(([, { isRefused }]) => isRefused)));
  }

  draw() {
    this.lines.zone = this.app.settings.zone;
    this.lines.mark = this.app.header.mark();
    this.lines.draw();
  }
}
