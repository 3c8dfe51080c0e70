// What the page, the server and the venues say about themselves. Every figure says whether it is measured or estimated.

import { Rows, button, cells, el, fetchJson, setClass, setText, show, table } from "./dom.js";
import { DASH, age, causeWords, price, signed, stateWords, time, zoneName } from "./format.js";
import { Strip, lossWords } from "./strip.js";

const ASK_MS = 5000;
const FIGURES_MS = 500;
const STREAMS_SHOWN = 200;
/** The ledger is asked seldom: more so where it has many streams (ms a stream). */
const LEDGER_MS = 20_000;
const LEDGER_MS_A_STREAM = 30;
/** [which of the simulated venues, the fault there, what it does]: every venue's simulator knows these. */
const FAULTS = [
  [1, "silent SYMBOL 30", "one symbol delivers nothing for 30 s"],
  [0, "silent-venue 20", "no data on any connection, pings go on"],
  [0, "skip SYMBOL", "lose a book frame: a sequence gap"],
  [1, "crossed SYMBOL 20", "a bid above the ask"],
  [0, "slow SYMBOL 30 --delay 5", "one symbol's data comes five seconds late"],
  [0, "maintenance 30", "announce a shutdown, then refuse"],
];

const ms = (value, decimals = 0) => (value === undefined ? DASH : `${signed(value, decimals).replace("+", "")} ms`);

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

const streamKey = ({ exchange, endpoint, name }) => `${exchange} ${endpoint} ${name}`;

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
    this.makeFaults();
    this.element = el("section", { class: "health", "aria-label": "Health" }, el("h1", { class: "unseen" }, "Health"),
      el("div", { class: "columns" }, this.socket.element, this.drawing.element, this.latency.element, this.ready),
      this.venuePanel, this.streamPanel, this.faults);
    this.drawnAt = -Infinity;
  }

  makeVenues() {
    const columns = ["Exchange", "Status", "Why", ["Last message", "number"], ["Connections", "number"], ["Streams", "number"], "Source", "Address"];
    const { element, body } = table("Exchanges", columns, { class: "grid natural" });
    this.venues = new Rows(body, () => cells(["", "state", "wrap", "number", "number", "number", "", "muted"]));
    this.venuePanel = el("div", { class: "panel" }, el("h2", {}, "Exchanges"), el("div", { class: "scroll" }, element));
  }

  makeStreams() {
    const numbers = ["Age", "Delay", "Events/s", "Gaps", "Resyncs", "Clients"].map((name) => [name, "number"]);
    const columns = ["Exchange", "Stream", "State", "Last hour", ...numbers, "Connection"];
    const { element, body } = table("Streams from the exchanges", columns, { class: "grid natural" });
    this.streams = new Rows(body, () => {
      const row = cells(["", "", "state", "", "number", "number", "number", "number", "number", "number", "muted"]);
      row.strip = new Strip();
      row.cells[3].append(row.strip.element);
      return row;
    });
    this.histories = new Map();
    this.ledgerDue = 0;
    this.ledgerMs = LEDGER_MS;
    this.streamNote = el("p", { class: "muted" });
    this.streamPanel = el("div", { class: "panel" }, el("h2", {}, "Streams from the exchanges"), this.streamNote,
      el("div", { class: "scroll" }, element));
  }

  makeFaults() {
    this.faultLines = el("ul", { class: "commands" });
    this.faults = el("div", { class: "panel", hidden: true }, el("h2", {}, "Break the demo, and watch"),
      el("p", {}, "From a terminal on the server's machine; ", el("code", {}, "twistd cryptodash fault --help"), " lists everything."),
      this.faultLines);
  }

  // Commands for the venues that are there, each with an instrument that it lists: of them [words, what it does].
  faultWords(venues) {
    const { catalogue } = this.app;
    const words = ([index, fault, what]) => {
      const venue = venues[index % venues.length];
      const listed = catalogue.find(venue, "spot", "BTC-USDT") ?? catalogue.all.find(({ exchange }) => exchange === venue);
      return fault.includes("SYMBOL") && !listed ? undefined : [`${venue} ${fault.replace("SYMBOL", listed?.symbol)}`, what];
    };
    return venues.length ? [...FAULTS.map(words).filter(Boolean), ["stop", "put everything back"]] : [];
  }

  // Several demos may run on a machine: the commands name the port of this one.
  drawFaults() {
    const { catalogue, venues: { list } } = this.app;
    const port = this.controlPort;
    const venues = list.filter(({ source }) => source === "simulated").map(({ id }) => id);
    show(this.faults, port !== undefined && venues.length > 0);
    const key = [port, catalogue.version, ...venues].join();
    if (port === undefined || key === this.faultKey) return;
    this.faultKey = key;
    const line = ([words, what]) => {
      const command = `twistd cryptodash fault --control-port ${port} ${words}`;
      const copy = button("copy", () => this.copy(command), { class: "small", "aria-label": `Copy: ${command}` });
      return el("li", {}, el("code", {}, command), copy, el("span", { class: "muted" }, what));
    };
    this.faultLines.replaceChildren(...this.faultWords(venues).map(line));
  }

  copy(text) {
    const done = navigator.clipboard?.writeText(text) ?? Promise.reject(new Error("no clipboard"));
    done.then(() => this.app.announce("copied"), () => this.app.notice(`This browser does not let the page copy. The command: ${text}`));
  }

  show() {
    if (this.timer === undefined) this.ask();
  }

  hide() {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  title() {
    return undefined;
  }

  key() {
    return false;
  }

  // /ready answers 503 with a body when it is not: that is an answer, not a fault.
  async ask() {
    this.timer = setTimeout(() => this.ask(), ASK_MS);
    const [ready, streams] = await Promise.all([
      fetchJson("ready").catch((error) => error.body ?? { status: "unreachable", reasons: [error.message] }),
      fetchJson("api/streams").catch((error) => ({ error: error.message })),
    ]);
    if (this.timer === undefined) return;
    this.drawReady(ready);
    this.drawStreams(streams);
    if (await this.askLedger()) this.drawStreams(streams);
  }

  // Whether there is a new one. Without an answer the strips stay as they are, and say until when they are.
  // A slow answer is waited for, not asked for again.
  async askLedger() {
    if (performance.now() < this.ledgerDue) return false;
    this.ledgerDue = Infinity;
    const ledger = await fetchJson("api/quality").catch(() => undefined);
    const now = performance.now();
    if (ledger) {
      this.ledgerMs = Math.max(LEDGER_MS, LEDGER_MS_A_STREAM * ledger.streams.length);
      this.ledgerAt = now;
      this.ledgerEnd = Date.parse(ledger.as_of);
      this.histories = new Map(ledger.streams.map((each) => [streamKey(each), each.history]));
    }
    this.ledgerDue = now + this.ledgerMs;
    return ledger !== undefined && this.timer !== undefined;
  }

  draw(now) {
    if (now - this.drawnAt < FIGURES_MS) return;
    this.drawnAt = now;
    this.drawFigures();
    this.drawVenues();
    this.drawFaults();
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

  drawReady({ status, reasons = [], dependencies = {}, control_port: port }) {
    this.controlPort = port ?? this.controlPort;
    setText(this.readyText, status === "ready" ? "ready" : status.replace("_", " "));
    setClass(this.readyText, `state ${status === "ready" ? "good" : "bad"}`);
    const { exchanges = {}, ...others } = dependencies;
    const parts = Object.entries(others).map(([name, each]) => [name.replace("_", " "), each.status, each.reason].filter(Boolean).join(": "));
    const unknown = Object.entries(exchanges).filter(([, each]) => each.unknown_symbols)
      .map(([name, each]) => `${name} does not know what is configured: ${each.unknown_symbols.join(", ")}`);
    this.readyWhy.replaceChildren(...[...reasons, ...unknown, ...parts].map((text) => el("li", {}, text)));
  }

  drawVenues() {
    const { venues, feed } = this.app;
    this.venues.fill(venues.list, ({ element, cells: row }, venue) => {
      const last = venue.last_message_at === undefined ? undefined : feed.serverNow() - Date.parse(venue.last_message_at);
      const why = [venue.cause && causeWords(venue.cause), venue.reason].filter(Boolean).join(": ");
      const status = venue.idle ? `${venue.status}, idle` : venue.status;
      const texts = [venue.name, status, why || DASH, age(last), venue.connections, venue.streams, venue.source, venue.ws_url];
      texts.forEach((text, index) => setText(row[index], String(text)));
      setClass(row[1], `state ${venue.status === "online" ? "good" : "bad"}`);
      setClass(element, venues.error ? "untrusted" : "");
    });
  }

  drawStreams({ streams, error }) {
    setClass(this.streamPanel, error ? "panel untrusted" : "panel");
    if (error) return setText(this.streamNote, `As of the last answer; the server does not answer: ${error}`);
    const order = (each) => (each.state === "live" || each.state === "quiet" ? 1 : 0);
    const rank = (each) => 2 * order(each) - (each.degraded ? 1 : 0);
    const all = [...streams].sort((a, b) => rank(a) - rank(b));
    const more = all.length > STREAMS_SHOWN ? `; ${STREAMS_SHOWN} are shown, the troubled ones first` : "";
    const lost = all.filter(({ degraded }) => degraded).length;
    const lacking = lost ? `, ${lost} degraded by a loss that was not mended` : "";
    setText(this.streamNote, `${all.length} streams, ${all.filter(order).length} fresh${lacking}; asked every 5 s${more}`);
    const until = this.ledgerEnd === undefined ? "" : time(this.ledgerEnd, this.app.settings.zone);
    const oldMs = performance.now() - this.ledgerAt;
    const old = oldMs > 2 * this.ledgerMs ? age(oldMs) : "";
    return this.streams.fill(all.slice(0, STREAMS_SHOWN), ({ cells: row, strip }, stream) => {
      strip.draw(this.histories.get(streamKey(stream)) ?? [], this.ledgerEnd ?? 0, until, old);
      const state = [stateWords(stream), stream.degraded && lossWords(stream.degraded)].filter(Boolean).join("; ");
      const texts = [
        stream.exchange, stream.name, state, undefined, age(stream.age_ms), delay(stream),
        stream.rate.toFixed(1), stream.gaps, stream.resyncs, stream.clients,
        stream.connection || (stream.name.startsWith("/") ? "REST" : DASH),
      ];
      texts.forEach((text, index) => text !== undefined && setText(row[index], String(text)));
      setClass(row[2], `state ${order(stream) && !stream.degraded ? "good" : "bad"}`);
    });
  }
}
