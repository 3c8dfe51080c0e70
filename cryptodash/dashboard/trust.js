// The last hour of what a market is made of: one row for each channel, its states from the server's ledger and, since that was read, from the
// statuses that came. What nobody observed stays empty.

import { el, fetchJson, setAttr, setClass, setText, show } from "./dom.js";
import { age, causeWords, time, zoneName } from "./format.js";
import { Refusal } from "./refusal.js";
import { Question } from "./requests.js";

const HOUR_MS = 3600000;
const ASK_MS = 30000;
const DRAW_MS = 1000;
/** The first look at the ledger waits for the streams to be open, but no longer than this. */
const OPEN_MS = 5000;
const LOCAL_KEPT = 200;
const PIECES_KEPT = 300;
const CHANNELS = [["ticker", "ticker"], ["trade", "trades"], ["order_book", "book"], ["candle", "candles"]];
/** From the best to the worst. */
const ORDER = ["live", "quiet", "resyncing", "stale", "connecting", "closed"];

/** How a state is drawn. */
export function kindOf({ state, cause }) {
  if (state === "connecting" || state === "closed") return "down";
  return state === "stale" && cause === "late" ? "late" : state;
}

const same = (a, b) => a.state === b.state && a.cause === b.cause;

/** `history` of the ledger as runs in ms; the one that lasts ends with `end`. */
export const runsUntil = (history, end) => history.map(({ from, to, state, cause }) => ({ from: Date.parse(from), to: to === undefined ? end : Date.parse(to), state, cause }));

/** Several streams' runs as one: at each time the worst that is known of it, with the `name` of the stream. Neighbours that say the same are one. */
export function worstOf(streams) {
  const edges = [...new Set(streams.flatMap(({ runs }) => runs.flatMap(({ from, to }) => [from, to])))].sort((a, b) => a - b);
  const places = streams.map(() => 0);
  const made = [];
  edges.slice(1).forEach((to, index) => {
    const from = edges[index];
    let worst;
    streams.forEach(({ name, runs }, which) => {
      while (runs[places[which]]?.to <= from) places[which] += 1;
      const run = runs[places[which]];
      if (run?.from <= from && ORDER.indexOf(run.state) > ORDER.indexOf(worst?.state)) worst = { state: run.state, cause: run.cause, name };
    });
    const last = made[made.length - 1];
    if (!worst) return;
    if (last && last.to === from && same(last, worst)) last.to = to;
    else made.push({ from, to, ...worst });
  });
  return made;
}

/** The ledger's pieces up to `asOf`, then the page's own; what the page saw before counts only where there is no ledger. */
export function joined(pieces, asOf, own) {
  const later = own.filter(({ to }) => to > asOf).map((run) => ({ ...run, from: Math.max(run.from, asOf) }));
  const made = pieces.map((each) => ({ ...each }));
  for (const run of later) {
    const last = made[made.length - 1];
    if (last && last.to >= run.from && same(last, run)) last.to = run.to;
    else made.push(run);
  }
  return made;
}

/** The states of one channel as this page hears of them. */
export class Watch {
  constructor() {
    this.runs = [];
  }

  /** The state at `now` (ms), `undefined` while nobody can say; `since`: when it began, if that is known. */
  take(state, cause, now, since = now) {
    const last = this.runs[this.runs.length - 1];
    if (last?.lasts && last.state === state && last.cause === cause) {
      last.to = now;
      return;
    }
    const from = Math.min(now, Math.max(since, last ? last.to : -Infinity));
    if (last?.lasts) Object.assign(last, { to: Math.max(last.from, from), lasts: false });
    if (state === undefined) return;
    this.runs.push({ from, to: now, state, cause, lasts: true });
    if (this.runs.length > LOCAL_KEPT) this.runs.shift();
  }
}

class Row {
  constructor(channel, name, choose) {
    Object.assign(this, { channel, name, choose, buttons: [], pieces: [], watch: new Watch(), ledger: [] });
    this.track = el("span", { class: "trust-track" });
    this.element = el("div", { class: "trust-row", role: "group", "aria-label": `${name}, last hour` }, el("span", { class: "trust-name" }, name), this.track);
  }

  words({ from, to, state, cause, name, lasts }, zone) {
    const why = cause ? `${state} (${causeWords(cause)})` : state;
    const until = lasts ? "until now" : `to ${time(to, zone)} ${zoneName(zone)}, ${age(to - from)}`;
    return `${this.name}: ${why}, from ${time(from, zone)} ${until}${name && kindOf({ state, cause }) !== "live" ? `, ${name}` : ""}`;
  }

  draw(now, zone) {
    while (this.buttons.length < this.pieces.length) {
      const made = el("button", { type: "button", tabindex: "-1", onclick: () => this.choose(this, made.at), onfocus: () => this.choose(this, made.at) });
      this.buttons.push(made);
      this.track.append(made);
    }
    this.buttons.forEach((each, index) => {
      const piece = this.pieces[index];
      show(each, piece !== undefined);
      if (!piece) return;
      each.at = piece.from;
      const left = Math.max(0, 1 - (now - piece.from) / HOUR_MS);
      const right = Math.max(0, Math.min(1, (now - piece.to) / HOUR_MS));
      const box = `${(100 * left).toFixed(2)}% ${(100 * Math.max(0, 1 - left - right)).toFixed(2)}%`;
      if (each.box !== box) {
        const [from, width] = box.split(" ");
        each.style.setProperty("left", from);
        each.style.setProperty("width", width);
        each.box = box;
      }
      setClass(each, `trust-piece ${kindOf(piece)}`);
      setAttr(each, "aria-label", this.words(piece, zone));
    });
  }
}

/** The rows, and one line for the piece that was chosen. */
export class Trust {
  constructor() {
    this.rows = CHANNELS.map(([channel, name]) => new Row(channel, name, (row, at) => this.choose(row, at)));
    this.said = el("p", { class: "trust-words" });
    this.refusal = new Refusal("last hour", () => this.question.ask());
    const onkeydown = (event) => this.key(event);
    this.element = el("div", { class: "trust", role: "group", "aria-label": "Trust in the last hour; arrows go from piece to piece", onkeydown },
      ...this.rows.map(({ element }) => element), this.said, this.refusal.element);
    this.drawnAt = -Infinity;
  }

  /** The market that is shown: { exchange, type, symbol }. What was known of another is forgotten. */
  setMarket({ exchange, type, symbol }) {
    this.place = `${exchange}:${type}:${symbol}`;
    this.exchange = exchange;
    this.names = new Map(); // channel -> names of its streams at the venue
    this.chosen = this.interval = undefined;
    this.begin();
    this.due = undefined;
    this.asOf = -Infinity;
    for (const row of this.rows) Object.assign(row, { watch: new Watch(), ledger: [] });
  }

  /** Draws the states of `topics` {ticker, trade, order_book, candle}; one that is not held is left out. `now` of performance.now(). */
  draw(now, topics, feed, zone) {
    if (topics.candle.channel.interval !== this.interval) this.turn(topics.candle.channel.interval);
    this.due ??= now + OPEN_MS;
    const isOpen = Object.values(topics).every((topic) => !topic || topic.status.state !== "connecting");
    if (now >= this.due || (isOpen && this.asOf === -Infinity && !this.asked)) this.ask(now);
    const server = feed.serverNow();
    for (const row of this.rows) this.watch(row, topics[row.channel], feed, server);
    if (now - this.drawnAt < DRAW_MS) return;
    this.drawnAt = now;
    this.write(server, zone);
  }

  // The bars of another interval are another stream.
  turn(interval) {
    this.interval = interval;
    this.names.delete("candle");
    const row = this.rows.find(({ channel }) => channel === "candle");
    Object.assign(row, { watch: new Watch(), ledger: [] });
    this.asked = false;
  }

  watch(row, topic, feed, server) {
    const { state, cause, since } = topic?.status ?? {};
    const known = topic && feed.state.phase === "open" ? state : undefined;
    row.watch.take(known, cause, server, since === undefined ? undefined : Date.parse(since));
  }

  // Of each market anew: an answer that is still on its way is of another.
  begin() {
    this.question?.stop();
    const question = new Question(() => this.read(), { took: (ledger) => question === this.question && this.takeLedger(ledger) });
    this.question = question;
    this.asked = false;
  }

  /** Nothing is asked until another market is set. */
  end() {
    this.question?.stop();
  }

  // Once, and each half minute.
  ask(now) {
    this.due = now + ASK_MS;
    this.asked = true;
    this.question.want();
  }

  async read() {
    const { place, exchange } = this;
    if (this.rows.some(({ channel }) => !this.names.has(channel))) this.learn(await fetchJson("api/streams"), place);
    return fetchJson(`api/quality?exchange=${encodeURIComponent(exchange)}`);
  }

  learn({ streams }, place) {
    if (place !== this.place) return;
    for (const { channel } of this.rows) {
      const topic = `${place}:${channel}${channel === "candle" ? `:${this.interval}` : ""}`;
      const mine = streams.filter(({ topics }) => topics.some((each) => each === topic || each.startsWith(`${topic}:`)));
      if (mine.length) this.names.set(channel, new Set(mine.map(({ endpoint, name }) => `${endpoint} ${name}`)));
    }
  }

  takeLedger({ as_of: asOf, streams }) {
    this.asOf = Date.parse(asOf);
    for (const row of this.rows) {
      const names = this.names.get(row.channel);
      const mine = streams.filter(({ endpoint, name }) => names?.has(`${endpoint} ${name}`));
      row.ledger = worstOf(mine.map(({ name, history }) => ({ name, runs: runsUntil(history, this.asOf) })));
    }
  }

  write(server, zone) {
    for (const row of this.rows) {
      const all = joined(row.ledger, row.ledger.length ? this.asOf : -Infinity, row.watch.runs);
      row.pieces = all.filter(({ to }) => to > server - HOUR_MS).slice(-PIECES_KEPT);
      row.draw(server, zone);
    }
    this.follow();
    const [row, piece] = this.found();
    if (piece && !row.pieces.includes(piece)) this.chosen = undefined;
    const words = piece ? row.words(piece, zone) : "the last hour: choose a piece to read its cause";
    setText(this.said, words);
    this.refusal.say(this.question.isRefused ? `the server does not tell its ledger: ${this.question.error.message}` : "");
  }

  // The row and the piece that was chosen, or else the newest of the first row.
  found() {
    const { row, at } = this.chosen ?? {};
    return [row, row?.pieces.findLast(({ from }) => from <= at)];
  }

  choose(row, at) {
    this.chosen = { row, at };
    this.drawnAt = -Infinity;
  }

  // One of the pieces is a stop of the Tab key; the focus stays with its piece when others come and go.
  follow() {
    const [row = this.rows.find(({ pieces }) => pieces.length), piece] = this.found();
    const index = row ? (piece ? row.pieces.indexOf(piece) : row.pieces.length - 1) : -1;
    for (const each of this.rows) each.buttons.forEach((button, at) => setAttr(button, "tabindex", each === row && at === index ? "0" : "-1"));
    const { activeElement } = document;
    if (row && this.element.contains(activeElement) && activeElement !== row.buttons[index]) row.buttons[index]?.focus();
  }

  key(event) {
    const [row, piece] = this.found();
    if (!piece) return;
    const { key } = event;
    const across = { ArrowLeft: -1, ArrowRight: 1, Home: -Infinity, End: Infinity }[key];
    const down = { ArrowUp: -1, ArrowDown: 1 }[key];
    if (across === undefined && down === undefined) return;
    event.preventDefault();
    event.stopPropagation();
    const filled = this.rows.filter(({ pieces }) => pieces.length);
    const to = down ? filled[(filled.indexOf(row) + down + filled.length) % filled.length] : row;
    const index = down ? to.pieces.findLastIndex(({ from }) => from <= piece.from) : row.pieces.indexOf(piece) + across;
    to.buttons[Math.min(Math.max(0, index), to.pieces.length - 1)].focus();
  }
}
