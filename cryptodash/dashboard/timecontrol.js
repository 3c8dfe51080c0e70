// The time control of a market: which moment of the recording is shown, how fast it goes on, and the way back to now.

import { zoneOffset } from "./axis.js";
import { button, el, fetchJson, select, setAttr, setText, show } from "./dom.js";
import { date, time, zoneName } from "./format.js";
import { RecordedFeed } from "./recorded.js";

const SPEEDS = [1, 2, 5, 10, 30, 60];
const HOLE_SAID_MS = 15000;
const HOLES = {
  stopped: "the server was not running", torn: "the server was killed", full: "the disk was too slow", disk: "the disk failed",
  stalled: "the server stood still", damaged: "the tape is damaged", unrecorded: "it was not recorded",
};

// Where it stands is kept for it, so that nothing moves.
const see = (target, on) => target.style.setProperty("visibility", on ? "visible" : "hidden");

const second = (ms) => Math.floor(ms / 1000) * 1000;

/** A moment as it stands in the address. */
export const momentText = (ms) => `${new Date(second(ms)).toISOString().slice(0, 19)}Z`;

/** Overlapping or touching spans [{from, to}] as one, in order. */
export function joined(spans) {
  const made = [];
  for (const { from, to } of [...spans].sort((a, b) => a.from - b.from)) {
    const last = made.at(-1);
    if (last && from <= last.to) last.to = Math.max(last.to, to);
    else made.push({ from, to });
  }
  return made;
}

/** What an answer of /api/history says, in ms: when anything of the market was recorded, the holes, and the depth of its book. */
export function readHoldings({ topics, holes }) {
  const inMs = ({ from, to, reason }) => ({ from: Date.parse(from), to: Date.parse(to), reason });
  const spans = joined(topics.flatMap(({ ranges }) => ranges.map(inMs)));
  const depths = topics.map(({ channel }) => channel.depth).filter(Boolean);
  return { spans, holes: holes.map(inMs), bookDepth: depths.length ? Math.max(...depths) : undefined };
}

export class TimeControl {
  /** `view` is a `MarketView`. */
  constructor(view) {
    this.view = view;
    this.build();
  }

  build() {
    const { view } = this;
    this.badge = el("strong", { class: "badge recorded-badge" }, "RECORDED");
    this.moment = el("input", { type: "datetime-local", step: "1", name: "moment", "aria-label": "Moment", onchange: () => this.typed() });
    this.zone = el("span", { class: "muted" });
    this.slider = el("input", { type: "range", step: "1000", name: "recorded-time", "aria-label": "Recorded time" });
    this.slider.addEventListener("input", () => this.slid());
    this.slider.addEventListener("change", () => this.pick(Number(this.slider.value)));
    this.track = el("span", { class: "time-track", "aria-hidden": "true" });
    this.pause = button("", () => this.togglePause(), { class: "small" });
    this.speed = select("Speed", SPEEDS.map((each) => [String(each), `${each}\u00d7`]), "1", (text) => this.feed?.setSpeed(Number(text)));
    this.live = button("Back to live (l)", () => view.goLive(), { class: "primary small" });
    this.words = el("span", { class: "time-words" });
    this.line = el("span", { class: "time-line" }, this.track, this.slider);
    this.parts = [this.badge, this.moment, this.zone, this.line, this.pause, this.speed];
    this.element = el("section", { class: "time-control", "aria-label": "Recorded time" }, ...this.parts, this.live, this.words);
    this.said = "";
  }

  // ---- what there is

  /** Read what is recorded of an instrument; resolves to whether there is anything. */
  async load({ exchange, market_type: market, symbol }) {
    const query = new URLSearchParams({ exchange, market_type: market, symbol });
    this.said = "looking what is recorded\u2026";
    try {
      this.holdings = readHoldings(await fetchJson(`api/history?${query}`));
      this.said = this.holdings.spans.length ? "choose a moment" : `nothing of ${exchange} ${symbol} is recorded`;
    } catch (error) {
      this.holdings = undefined;
      this.said = error.body?.error?.message ?? `what is recorded is not to be had: ${error.message}`;
    }
    this.drawTrack();
    return Boolean(this.holdings?.spans.length);
  }

  get span() {
    const { spans } = this.holdings ?? { spans: [] };
    return spans.length ? { from: spans[0].from, to: spans.at(-1).to } : undefined;
  }

  // Where something is recorded, and the holes in it.
  drawTrack() {
    const { span } = this;
    for (const each of [...this.parts, this.live]) show(each, span !== undefined);
    if (!span) return;
    setAttr(this.slider, "min", second(span.from));
    setAttr(this.slider, "max", span.to);
    const place = (name, { from, to }, title) => {
      const made = el("span", { class: name, title });
      const wide = Math.max(1, span.to - span.from);
      const share = (ms) => `${((100 * (Math.min(Math.max(ms, span.from), span.to) - span.from)) / wide).toFixed(2)}%`;
      made.style.setProperty("left", share(from));
      made.style.setProperty("right", `calc(100% - ${share(to)})`);
      return made;
    };
    const holes = this.holdings.holes.filter(({ to }) => to > span.from);
    this.track.replaceChildren(...this.holdings.spans.map((each) => place("recorded-span", each)),
      ...holes.map((each) => place("recorded-hole", each, this.holeWords({ ...each, why: each.reason }))));
  }

  // ---- the moment

  /** Show the recording at a moment (epoch ms). */
  seek(at) {
    this.feed ??= new RecordedFeed(this.view.app.feed);
    this.feed.bookDepth = this.holdings.bookDepth;
    this.feed.speed = Number(this.speed.value);
    this.feed.seek(at);
    this.view.watch(this.feed);
  }

  /** Nothing recorded is shown any more. */
  end() {
    this.feed?.end();
    this.feed = undefined;
    this.said = this.span ? "choose a moment" : this.said;
  }

  pick(at) {
    const { span } = this;
    this.sliding = undefined;
    if (span && Number.isFinite(at)) this.view.change({ at: momentText(Math.min(Math.max(at, span.from), span.to)) });
  }

  slid() {
    this.sliding = Number(this.slider.value);
  }

  typed() {
    const wall = Date.parse(`${this.moment.value}Z`);
    if (Number.isFinite(wall)) this.pick(wall - zoneOffset(wall - zoneOffset(wall, this.view.zone), this.view.zone));
  }

  togglePause() {
    this.feed?.pause(!this.feed.isPaused);
  }

  // ---- drawing

  draw() {
    const { feed, view: { zone } } = this;
    const { span } = this;
    for (const each of [this.badge, this.pause, this.speed, this.live]) see(each, feed !== undefined);
    for (const each of [this.moment, this.zone, this.line]) see(each, span !== undefined);
    const at = this.sliding ?? (feed ? feed.serverNow() : span?.to);
    if (span) {
      if (this.sliding === undefined) this.slider.value = at;
      if (document.activeElement !== this.moment) this.moment.value = new Date(second(at) + zoneOffset(at, zone)).toISOString().slice(0, 19);
      setText(this.zone, zoneName(zone));
      setAttr(this.slider, "aria-valuetext", `${date(at, zone)} ${time(at, zone)} ${zoneName(zone)}`);
    }
    setText(this.pause, feed?.isPaused ? "Play" : "Pause");
    setText(this.words, feed ? this.stateWords(at, zone) : this.said);
  }

  stateWords(at, zone) {
    const { feed } = this;
    const moment = `${date(at, zone)} ${time(at, zone)} ${zoneName(zone)}`;
    if (feed.trouble) return `${moment}: ${feed.trouble}`;
    const { hole } = feed;
    const said = hole && at < hole.to + HOLE_SAID_MS * feed.speed ? `; ${this.holeWords(hole, zone)}` : "";
    if (feed.hasEnded) return `${moment}, the recording ends here${said}`;
    return `${moment}, ${feed.isPaused ? "paused" : `${feed.speed}\u00d7`}${said}`;
  }

  holeWords({ from, to, why }, zone = this.view.zone) {
    return `nothing is recorded from ${time(from, zone)} to ${time(to, zone)}: ${HOLES[why] ?? why}`;
  }
}
