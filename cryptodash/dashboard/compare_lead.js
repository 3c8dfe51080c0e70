// Who moves first, over the last minutes, by the times of the venues' own quotes.

import { Rows, cells, el, fillSelect, select, setText, show, table } from "./dom.js";
import { DASH, price, signed } from "./format.js";
import { leadLag, resample } from "./lead_lag.js";
import { mid } from "./rules.js";

const MAX_RATE = 20;
const STEP_MS = 100;
const WINDOW_MS = 300000;
const LONGEST = 20;
const POINTS = 7000;
const FIND_MS = 2000;
const GOOD = ["live", "quiet"];
const COLUMNS = ["Exchange", ["Lag ms", "number"], ["Correlation", "number"], ["Changes", "number"], "In words"];

export class Leads {
  constructor(app) {
    this.app = app;
    const { element, body } = table("Who moves first", COLUMNS, { class: "grid natural lead" });
    this.rows = new Rows(body, () => cells(["", "number", "number", "number", "wrap"]));
    this.reference = select("Reference exchange", [], "", () => this.begin());
    const note = `Changes of the middle in steps of ${STEP_MS} ms over the last ${WINDOW_MS / 60000} minutes of this view, at the times that the `
      + "exchanges give their quotes: where an exchange's clock is wrong, so is its lag.";
    this.element = el("section", { class: "panel", "aria-label": "Who moves first" },
      el("div", { class: "panel-head" }, el("h2", {}, "Who moves first, against"), this.reference),
      el("div", { class: "scroll" }, element), el("p", { class: "muted" }, note));
    this.venues = [];
  }

  open({ market, symbol, venues }) {
    show(this.element, venues.length > 1);
    if (venues.length < 2) return;
    this.venues = venues.map(({ exchange }) => {
      const topic = this.app.feed.open({ channel_type: "bbo", exchange, market_type: market, symbol, max_rate: MAX_RATE });
      const venue = { exchange, topic, points: [] };
      venue.end = topic.listen((type, payload) => this.take(venue, type, payload));
      return venue;
    });
    const names = venues.map(({ exchange }) => exchange);
    fillSelect(this.reference, names, names.includes(this.reference.value) ? this.reference.value : names[0]);
    this.begin();
  }

  close() {
    for (const { topic, end } of this.venues) {
      end();
      this.app.feed.close(topic, MAX_RATE);
    }
    this.venues = [];
  }

  begin() {
    this.foundAt = -Infinity;
  }

  // A quote counts from its own time on; from a doubt on nobody knows.
  take({ points, topic }, type, payload) {
    if (type === "bbo") {
      const at = Date.parse(payload.timestamp);
      const value = mid(payload) ?? null;
      if (!(at < points.at(-1)?.[0])) points.push([at, GOOD.includes(topic.status.state) ? value : null]);
    } else if (type === "lost" || type === "error" || (type === "status" && !GOOD.includes(payload.state))) {
      points.push([Math.max(this.app.feed.serverNow(), points.at(-1)?.[0] ?? 0), null]);
    }
    if (points.length > POINTS) points.splice(0, POINTS / 10);
  }

  draw(now) {
    if (now - this.foundAt < FIND_MS || !this.venues.length) return;
    this.foundAt = now;
    const count = WINDOW_MS / STEP_MS;
    const from = this.app.feed.serverNow() - WINDOW_MS;
    const sampled = new Map(this.venues.map(({ exchange, points }) => [exchange, resample(points, from, STEP_MS, count)]));
    const { value: reference } = this.reference;
    const others = this.venues.filter(({ exchange }) => exchange !== reference);
    this.rows.fill(others, ({ cells: [name, lag, correlation, changes, words] }, { exchange }) => {
      const found = leadLag(sampled.get(reference), sampled.get(exchange), LONGEST);
      setText(name, exchange);
      setText(lag, found.steps === undefined ? DASH : signed(found.steps * STEP_MS, 0));
      setText(correlation, price(found.correlation, 2));
      setText(changes, String(found.changes));
      setText(words, this.wordsOf(found, reference));
    });
  }

  wordsOf({ steps }, reference) {
    if (steps === undefined) return "no clear lead, or too few changes";
    if (steps === 0) return `together with ${reference}`;
    return `${steps > 0 ? "follows" : "leads"} ${reference} by ${Math.abs(steps) * STEP_MS} ms`;
  }
}
