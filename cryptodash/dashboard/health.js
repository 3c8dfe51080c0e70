// What the page, the server and the venues say about themselves. Every figure says whether it is measured or estimated.

import { Rows, button, cells, el, setAttr, setClass, setText, show, table } from "./dom.js";
import { Faults } from "./faults.js";
import { DASH, age, price, signed, stateWords, time, zoneName } from "./format.js";
import { CLOCK } from "./panel.js";
import { Question } from "./requests.js";
import { Strip, lossWords } from "./strip.js";
import { linkTrouble } from "./topics.js";
import { sentence } from "./venues.js";

const ASK_MS = 5000;
const STREAMS_MS = 2000;
const FIGURES_MS = 500;
const STREAMS_SHOWN = 200;
/** The ledger is asked seldom: more so where it has many streams (ms a stream). */
const LEDGER_MS = 20_000;
const LEDGER_MS_A_STREAM = 30;
/** What the ledger says of a delay above its last bound (ms). */
const LEDGER_MOST_MS = 60_000;

const ms = (value, decimals = 0) => (value === undefined ? DASH : `${signed(value, decimals).replace("+", "")} ms`);

/** A table that is wider than a small screen: reached and moved by the keyboard as well. */
const scroller = (name, element) => el("div", { class: "scroll", role: "region", tabindex: "0", "aria-label": name }, element);

class Figures {
  constructor(title, names) {
    this.values = names.map(([, hint]) => el("dd", hint ? { title: hint } : {}));
    this.element = el("div", { class: "panel facts" }, el("h2", {}, title),
      el("dl", {}, ...names.flatMap(([name, hint], index) => [el("dt", hint ? { title: hint } : {}, name), this.values[index]])));
  }

  write(texts) {
    texts.forEach((text, index) => setText(this.values[index], String(text)));
  }
}

/** How late a stream's frames come: now, and 99 of 100 of its last samples at most. */
const delay = ({ delay_ms: now, delay_p99_ms: most }) => (now === undefined ? DASH : `${now} ms (p99 ${most})`);

/** Half and 99 of 100 of the frames of a time came at most so late, as the ledger counts them; a long delay has no upper bound there. */
const delays = ({ delay_p50_ms: half, delay_p99_ms: most } = {}) =>
  [half, most].map((value) => (value === undefined ? DASH : value < LEDGER_MOST_MS ? `${value} ms` : "60 s or more"));

/** Where several processes are one server, each knows a stream by itself. */
const streamKey = ({ process = "", exchange, endpoint, name }) => `${process} ${exchange} ${endpoint} ${name}`;

/** What this process is among several that are one server. */
const clusterWords = ({ process, role, holds, processes, lag_ms: lag }) => [
  `process ${process} (${role}), one of ${processes}`, `has open: ${holds.join(", ") || "none"}`,
  lag !== undefined && `what others have open comes ${ms(lag)} late by Redis`,
].filter(Boolean);

export class HealthView {
  constructor(app) {
    this.app = app;
    this.socket = new Figures("Connection of this page", [
      ["state"], ["round trip", "measured by ping every 5 s"],
      ["own clock is off by", "estimated from the ping with the smallest round trip of the last eight"],
      ["session"], ["server"], ["connections made"], ["messages received"], ["of them used"], ["messages now"],
      ["trades dropped for this page", "told by the server: this page read too slowly"], ["books asked again"],
    ]);
    this.drawing = new Figures("Drawing", [
      ["draws per second"], ["slowed because"], ["one draw, p95", "measured: script only"], ["one draw, p99"], ["begins late by, p95", "measured"],
      ["script for drawing so far"],
    ]);
    this.latency = new Figures("From the venue to this page", [
      ["venue's event to this page, median", "estimated: the venue's time stamp against the server's clock as this page knows it"], ["the same, p99"],
      ["where it is held back (max_rate), p99", "of tables that asked for fewer updates: includes that wait"],
      ["server to page", "estimated: half of the round trip"], ["venue to server, median", "estimated: the first figure less the one above"],
      ["waits for the next draw, at most"],
    ]);
    this.ready = el("div", { class: "panel" }, el("h2", {}, "Server"), this.readyText = el("p"), this.readyWhy = el("ul"));
    this.makeVenues();
    this.makeStreams();
    this.faults = new Faults(this.app);
    this.makeQuestions();
    this.unsettled = new Set(["ready", "venues"]);
    this.doubt = el("p", { class: "outage doubtful", hidden: true });
    this.element = el("section", { class: "health pending", "aria-label": "Health" }, el("h1", { class: "unseen" }, "Health"), this.doubt,
      el("div", { class: "columns" }, this.socket.element, this.drawing.element, this.latency.element, this.ready),
      this.venuePanel, this.streamPanel, this.faults.element);
    this.drawnAt = -Infinity;
  }

  makeVenues() {
    const numbers = ["Last message", "Delay p50", "Delay p99", "Connections", "Streams"].map((name) => [name, "number"]);
    const { element, body } = table("Exchanges", ["Exchange", "Status", "Why", ...numbers, "Source", "Address"], { class: "grid natural" });
    this.venues = new Rows(body, () => cells(["", "state", "wrap", "number", "number", "number", "number", "number", "", "muted"]));
    this.delays = new Map();
    this.venueNote = el("p", { class: "muted" }, "Delay: how late their frames came since the server was started; of 100, 50 and 99 at most so late.");
    this.venuePanel = el("div", { class: "panel" }, el("h2", {}, "Exchanges"), this.venueNote, scroller("Exchanges", element));
  }

  makeStreams() {
    const numbers = ["Age", "Delay", "p50, p99 of 1 h", "Events/s", "Gaps", "Resyncs", "Clients"].map((name) => [name, "number"]);
    const columns = ["Exchange", "Stream", "State", "Last hour", ...numbers, "Connection"];
    const { element, body } = table("Streams from the exchanges", columns, { class: "grid natural" });
    this.streams = new Rows(body, () => {
      const row = cells(["", "", "state", "", "number", "number", "number", "number", "number", "number", "number", "muted"]);
      row.strip = new Strip();
      row.cells[3].append(row.strip.element);
      return row;
    });
    this.ledgers = new Map();
    this.ledgerMs = LEDGER_MS;
    this.streamNote = el("p", { class: "muted" });
    this.ledgerNote = el("p", { class: "muted", hidden: true });
    this.streamPanel = el("div", { class: "panel" }, el("h2", {}, "Streams from the exchanges"), this.streamNote, this.ledgerNote,
      scroller("Streams from the exchanges", element));
  }

  show() {
    for (const question of this.questions) question.resume();
  }

  hide() {
    for (const question of this.questions) question.stop();
  }

  title() {
    return undefined;
  }

  key() {
    return false;
  }

  // /ready answers 503 with a body when it is not: that is an answer, not a fault. A slow ledger is waited for, not asked for again; without an
  // answer the strips stay as they are, and say until when they are.
  makeQuestions() {
    const every = () => ASK_MS;
    const ready = new Question("ready", {
      took: (answer) => this.drawReady(answer), every,
      failed: ({ body, message }) => this.drawReady(body?.dependencies ? body : { status: "unreachable", reasons: [message] }),
    });
    const streams = new Question("api/streams", {
      took: (answer) => this.drawStreams(answer), every: () => STREAMS_MS,
      failed: (error, isFinal) => this.failed(this.streamNote, "As of the last answer", streams, error, isFinal),
    });
    const ledger = new Question("api/quality", {
      took: (answer) => this.takeLedger(answer), every: () => this.ledgerMs,
      failed: (error, isFinal) => this.failed(this.ledgerNote, "The ledger of the last hour is not renewed", ledger, error, isFinal),
    });
    this.questions = [ready, streams, ledger];
    this.asksStreams = streams;
  }

  // What the server refuses is asked again when somebody wants it, or the connection is new.
  failed(note, what, question, { message }, isFinal) {
    show(note, true);
    note.shownText = undefined;
    const retry = isFinal ? button("Retry", () => question.ask(), { class: "small", "aria-label": `Retry: ${question.path}` }) : "";
    note.replaceChildren(`${what}; the server ${isFinal ? "refuses it" : "does not answer"}: ${message} `, retry);
    if (note === this.ledgerNote) this.drawStreams(this.latest);
  }

  takeLedger(ledger) {
    this.ledgerMs = Math.max(LEDGER_MS, LEDGER_MS_A_STREAM * ledger.streams.length);
    this.ledgerAt = performance.now();
    this.ledgerEnd = Date.parse(ledger.as_of);
    this.ledgers = new Map(ledger.streams.map((each) => [streamKey(each), each]));
    this.delays = new Map(ledger.exchanges.filter(({ since_start: all }) => all.observed_ms).map((each) => [each.exchange, each.since_start]));
    show(this.ledgerNote, false);
    this.drawStreams(this.latest);
  }

  draw(now) {
    this.drawDoubt(now);
    if (now - this.drawnAt < FIGURES_MS) return;
    this.drawnAt = now;
    if (this.statuses !== this.app.feed.counts.statuses) this.asksStreams.want();
    this.statuses = this.app.feed.counts.statuses;
    this.drawFigures();
    this.drawVenues(now);
    this.faults.draw(this.controlPort);
  }

  // What the server said is of then while there is no answer from it. Before the first one there is nothing to doubt.
  drawDoubt(now) {
    const { feed } = this.app;
    if (feed.state.phase === "open") this.heardAt = feed.heard;
    const trouble = this.heardAt === undefined ? "" : linkTrouble(feed);
    setText(this.doubt, trouble && `${CLOCK} ${trouble} for ${age(now - this.heardAt)}: what stands dimmed below is as of then.`);
    show(this.doubt, trouble !== "");
    for (const each of [this.latency.element, this.ready, this.venuePanel]) each.classList.toggle("untrusted", trouble !== "");
    this.streamPanel.classList.toggle("untrusted", trouble !== "" || this.asksStreams.error !== undefined);
  }

  drawFigures() {
    const { feed, scheduler, settings } = this.app;
    const { state, counts, clock } = feed;
    const figures = scheduler.figures;
    this.socket.write([
      `${state.phase}${state.tries ? `, try ${state.tries}` : ""}`, ms(state.rtt, 1), ms(clock.offset), state.session?.slice(0, 8) ?? DASH,
      `${state.version ?? DASH}, ${state.source ?? DASH}, ${time(feed.serverNow(), settings.zone)} ${zoneName(settings.zone)}`,
      counts.connects, price(counts.received, 0), price(counts.applied, 0), `${Math.round(feed.rate)} per second`,
      counts.gaps ? `${counts.missed} in ${counts.gaps} gaps` : "none", counts.resyncs,
    ]);
    this.drawing.write([
      `${figures.rate}${scheduler.paused ? " (paused)" : ""}`, figures.why || DASH, ms(figures.flushP95, 1), ms(figures.flushP99, 1),
      ms(figures.lateP95, 1), `${(scheduler.scriptMs / 1000).toFixed(1)} s`,
    ]);
    const half = state.rtt === undefined ? undefined : state.rtt / 2;
    const middle = feed.lag.quantile(0.5);
    this.latency.write([
      ms(middle), ms(feed.lag.quantile(0.99)), ms(feed.lagLimited.quantile(0.99)), ms(half, 1),
      middle === undefined || half === undefined ? DASH : ms(middle - half), `${Math.round(1000 / figures.rate)} ms`,
    ]);
  }

  // The lower panels are shown when what stands above them has its height.
  settle(part) {
    this.unsettled.delete(part);
    if (!this.unsettled.size) setClass(this.element, "health");
  }

  drawReady({ status, reasons = [], dependencies = {}, control_port: port }) {
    this.controlPort = port ?? this.controlPort;
    setText(this.readyText, status === "ready" ? "ready" : status.replace("_", " "));
    setClass(this.readyText, `state ${status === "ready" ? "good" : "bad"}`);
    this.settle("ready");
    const { exchanges = {}, ...others } = dependencies;
    const parts = Object.entries(others).map(([name, each]) => [name.replace("_", " "), each.status, each.reason].filter(Boolean).join(": "));
    const unknown = Object.entries(exchanges).filter(([, each]) => each.unknown_symbols)
      .map(([name, each]) => `${name} does not know what is configured: ${each.unknown_symbols.join(", ")}`);
    const cluster = others.cache?.process ? clusterWords(others.cache) : [];
    const out = Object.entries(exchanges).filter(([, each]) => each.status !== "online").map(([id, each]) => sentence({ id, ...each }));
    const rest = reasons.filter((text) => !Object.keys(exchanges).some((id) => text.startsWith(`${id} is `)));
    this.readyWhy.replaceChildren(...[...rest, ...out, ...unknown, ...parts, ...cluster].map((text) => el("li", {}, text)));
  }

  // The status is the one of the header; why, in a sentence, with the server's own words under the pointer.
  drawVenues(now) {
    const { venues, feed } = this.app;
    if (venues.at !== undefined || venues.error) this.settle("venues");
    this.venues.fill(venues.states(feed, now), ({ element, cells: row }, { id, status, kind, text }) => {
      const report = venues.report(id) ?? {};
      const last = report.last_message_at === undefined ? undefined : feed.serverNow() - Date.parse(report.last_message_at);
      const doubt = text.slice(id.length).trim();
      const why = kind === "good" ? DASH : venues.trouble(id) || doubt || DASH;
      const texts = [
        report.name ?? id, report.idle ? `${status}, idle` : status, why, age(last), ...delays(this.delays.get(id)), report.connections ?? DASH,
        report.streams ?? DASH, report.source ?? DASH, report.ws_url ?? DASH,
      ];
      texts.forEach((each, index) => setText(row[index], String(each)));
      setAttr(row[2], "title", report.reason ?? null);
      setClass(row[1], `state ${kind === "good" ? "good" : "bad"}`);
      setClass(element, venues.error ? "untrusted" : "");
    });
  }

  drawStreams(answer) {
    if (!answer) return;
    const { streams } = this.latest = answer;
    const order = (each) => (each.state === "live" || each.state === "quiet" ? 1 : 0);
    const rank = (each) => 2 * order(each) - (each.degraded ? 1 : 0);
    const all = [...streams].sort((a, b) => rank(a) - rank(b));
    const more = all.length > STREAMS_SHOWN ? `; ${STREAMS_SHOWN} are shown, the troubled ones first` : "";
    const lost = all.filter(({ degraded }) => degraded).length;
    const lacking = lost ? `, ${lost} degraded by a loss that was not mended` : "";
    if (!this.asksStreams.error) setText(this.streamNote, `${all.length} streams, ${all.filter(order).length} fresh${lacking}; asked every ${STREAMS_MS / 1000} s${more}`);
    const until = this.ledgerEnd === undefined ? "" : time(this.ledgerEnd, this.app.settings.zone);
    const oldMs = performance.now() - this.ledgerAt;
    const old = oldMs > 2 * this.ledgerMs ? age(oldMs) : "";
    return this.streams.fill(all.slice(0, STREAMS_SHOWN), ({ cells: row, strip }, stream) => {
      const ledger = this.ledgers.get(streamKey(stream));
      strip.draw(ledger?.history ?? [], this.ledgerEnd ?? 0, until, old);
      const state = [stateWords(stream), stream.degraded && lossWords(stream.degraded)].filter(Boolean).join("; ");
      const texts = [
        stream.exchange, stream.name, state, undefined, age(stream.age_ms), delay(stream), ledger?.last_1h.delay_p99_ms === undefined ? DASH : delays(ledger.last_1h).join(", "),
        stream.rate.toFixed(1), stream.gaps, stream.resyncs, stream.clients,
        stream.connection || (stream.name.startsWith("/") ? "REST" : DASH),
      ];
      texts.forEach((text, index) => text !== undefined && setText(row[index], String(text)));
      setClass(row[2], `state ${order(stream) && !stream.degraded ? "good" : "bad"}`);
    });
  }
}
