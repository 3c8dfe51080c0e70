// Header and status line, on every view: where one is, and the three signals apart: the socket, the streams, the venues.

import { Rows, button, el, fillSelect, icon, select, setAttr, setClass, setText, show } from "./dom.js";
import { age, causeWords, date, iso, time, zoneName } from "./format.js";
import { PALETTES, THEMES, chooseZone } from "./keys.js";
import { format } from "./route.js";
import { freshness, trusted } from "./topics.js";

const LINKS = [
  ["markets", "Markets", "g m"], ["market", "Market", "g k"], ["compare", "Compare", "g c"], ["health", "Health", "g h"], ["alerts", "Alerts", "g a"],
];
const SOURCES = { simulated: "DEMO DATA", replay: "REPLAY", custom: "CUSTOM SOURCE" };
const THEME_SIGNS = { system: "\u25d0", dark: "\u25cf", light: "\u25cb" };
const MORE = "more";
const COUNT_MS = 500;
const FOUND = 12;

const tool = (label, text, onclick, more = {}) => button(text, onclick, { class: "tool", "aria-label": label, title: label, ...more });
const nameOf = (choices, value) => choices.find(([name]) => name === value)?.[1];

/** The search for a market: a combobox over the catalogue. */
class Search {
  /** `chosen(instrument)` is called when somebody picks one. */
  constructor(app, chosen) {
    this.app = app;
    this.chosen = chosen;
    this.found = [];
    this.at = 0;
    this.input = el("input", {
      type: "search", name: "search", class: "search-input", role: "combobox", "aria-label": "Search a market",
      "aria-expanded": "false", "aria-controls": "found",
      "aria-autocomplete": "list", autocomplete: "off", spellcheck: "false", placeholder: "Search market  /",
      oninput: () => this.look(), onfocus: () => this.look(), onblur: () => this.close(), onkeydown: (event) => this.pressed(event),
    });
    this.list = el("ul", { id: "found", role: "listbox", "aria-label": "Markets found", hidden: true });
    this.none = el("p", { class: "search-none", hidden: true }, "Nothing is called that.");
    this.rows = new Rows(this.list, () => this.makeOption());
    this.element = el("div", { class: "search" }, this.input, el("div", { class: "search-found" }, this.list, this.none));
  }

  makeOption() {
    const index = this.rows.rows.length;
    const name = el("b");
    const where = el("span", { class: "muted" });
    const keepFocus = (event) => event.preventDefault();
    const element = el("li", { role: "option", id: `found-${index}`, onpointerdown: keepFocus, onclick: () => this.pick(index) }, name, where);
    return { element, name, where };
  }

  focus() {
    this.input.focus();
    this.input.select();
  }

  /** Close the list; true when it was open. */
  close() {
    const open = !this.list.hidden || !this.none.hidden;
    show(this.list, false);
    show(this.none, false);
    setAttr(this.input, "aria-expanded", "false");
    setAttr(this.input, "aria-activedescendant", null);
    return open;
  }

  look() {
    const text = this.input.value.trim();
    const { catalogue, settings } = this.app;
    const all = catalogue.search(text);
    if (!text) all.sort((a, b) => settings.isFavourite(b) - settings.isFavourite(a));
    this.found = all.slice(0, FOUND);
    this.at = 0;
    this.draw();
  }

  draw() {
    this.rows.fill(this.found, (row, each) => {
      setText(row.name, each.symbol);
      setText(row.where, `${each.exchange} ${each.market_type}${each.status === "trading" ? "" : ` (${each.status})`}`);
      setAttr(row.element, "aria-selected", String(row === this.rows.rows[this.at]));
    });
    const open = document.activeElement === this.input;
    show(this.list, open && this.found.length > 0);
    show(this.none, open && this.found.length === 0);
    setAttr(this.input, "aria-expanded", String(open && this.found.length > 0));
    setAttr(this.input, "aria-activedescendant", open && this.found.length ? `found-${this.at}` : null);
    this.rows.rows[this.at]?.element.scrollIntoView({ block: "nearest" });
  }

  pressed(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step && this.found.length) {
      this.at = (this.at + step + this.found.length) % this.found.length;
      this.draw();
    } else if (event.key === "Enter" && this.found.length && !this.list.hidden) this.pick(this.at);
    else if (event.key === "Escape") {
      if (!this.close()) this.input.blur();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  }

  pick(index) {
    const instrument = this.found[index];
    this.input.value = "";
    this.input.blur();
    this.chosen(instrument);
  }
}

export class Header {
  constructor(app) {
    this.app = app;
    this.links = new Map(LINKS.map(([view, text, keys]) => [view, el("a", { href: `#/${view}`, title: `${text} (${keys})` }, text)]));
    this.badge = el("span", { class: "count", hidden: true });
    this.links.get("alerts").append(this.badge);
    this.search = new Search(app, ({ exchange, market_type: market, symbol }) => app.navigate({ view: "market", exchange, market, symbol }));
    this.makeTools();
    this.makeStatus();
    this.element = el("div", { class: "head" },
      el("div", { class: "bar" }, el("a", { class: "brand", href: "#/markets" }, "cryptodash"),
        el("nav", { "aria-label": "Views" }, ...this.links.values()), this.search.element, this.tools),
      this.status);
    this.countAt = -Infinity;
  }

  makeTools() {
    const { app } = this;
    this.clock = el("time", { class: "clock" });
    this.zone = select("Time zone", [], "", (value) => (value === MORE ? app.preferences.open() : chooseZone(app, value)));
    this.theme = tool("Theme (t)", "", () => app.settings.cycle("theme"));
    this.palette = tool("Palette", "", () => app.settings.cycle("palette"));
    setAttr(this.palette, "data-role", "palette");
    this.palette.append(el("span", { class: "up" }, "\u25b2"), el("span", { class: "down" }, "\u25bc"));
    this.pause = tool("Pause the picture (p)", icon("M4 3h3v10H4zM9 3h3v10H9z"), () => app.pause(), { "aria-pressed": "false" });
    this.tools = el("div", { class: "tools" }, el("span", { class: "clockbox" }, this.zone, this.clock), this.theme, this.palette, this.pause,
      tool("Settings", "\u2699\ufe0e", () => app.preferences.open()), tool("Help (?)", "?", () => app.help.showModal()));
  }

  makeStatus() {
    this.pill = el("span", { class: "pill" });
    this.now = button("now", () => this.app.feed.retryNow(), { class: "small", hidden: true });
    this.streams = el("a", { class: "chip", href: "#/health", hidden: true });
    this.venueBox = el("span", { class: "chips", role: "list", "aria-label": "Venues" });
    this.venues = new Rows(this.venueBox, () => ({ element: el("span", { role: "listitem", class: "chip" }) }));
    this.rate = el("span", { class: "muted", title: "Messages per second from the server; drawings per second of this page" });
    this.held = el("strong", { class: "held", hidden: true });
    this.source = el("strong", { class: "badge", hidden: true });
    this.status = el("div", { class: "statusline" }, el("span", { class: "group" }, this.pill, this.now),
      this.streams, this.venueBox, this.rate, this.held, this.source);
  }

  moved({ view }) {
    const { exchange, market, symbol } = this.app.last ?? {};
    if (symbol && exchange) setAttr(this.links.get("market"), "href", format({ view: "market", exchange, market, symbol }));
    if (symbol) setAttr(this.links.get("compare"), "href", format({ view: "compare", market, symbol }));
    for (const [name, link] of this.links) setAttr(link, "aria-current", name === view ? "page" : null);
  }

  /** The sources beside "live", of the venues or, before they are known, of the greeting. */
  sources() {
    const { feed, venues } = this.app;
    if (venues.list.length) return venues.sources;
    return [feed.state.source].filter((source) => source && source !== "live");
  }

  /** The words of the badge and of the watermark; "" with live data. */
  mark() {
    return this.sources().map((source) => SOURCES[source] ?? source.toUpperCase()).join(", ");
  }

  draw(now) {
    const { feed, scheduler, settings, alerts } = this.app;
    this.drawPill(feed.state, now);
    this.drawTools(settings);
    if (now - this.countAt >= COUNT_MS) {
      this.countAt = now;
      this.drawStreams(feed);
      this.drawVenues(now);
    }
    const { rate, why } = scheduler.governor;
    setText(this.rate, `${Math.round(feed.rate)} msg/s  ${rate} Hz${why ? " (slowed)" : ""}`);
    show(this.held, scheduler.paused);
    if (scheduler.paused) setText(this.held, `PAUSED \u2013 the picture is ${age(now - scheduler.pausedAt)} old`);
    setAttr(this.pause, "aria-pressed", String(scheduler.paused));
    this.drawBadges(alerts);
  }

  drawTools(settings) {
    const theme = settings.get("theme");
    const at = this.app.feed.serverNow();
    setText(this.theme, THEME_SIGNS[theme]);
    setAttr(this.theme, "aria-label", `Theme: ${nameOf(THEMES, theme)} (t)`);
    setAttr(this.palette, "aria-label", `Palette: ${nameOf(PALETTES, settings.get("palette"))}`);
    setAttr(this.palette, "title", `Palette: ${nameOf(PALETTES, settings.get("palette"))}`);
    const { zone } = settings;
    const more = zone === "utc" || zone === "local" ? [] : [[zone, zoneName(zone)]];
    fillSelect(this.zone, [["utc", "UTC"], ["local", "local"], ...more, [MORE, "more\u2026"]], zone);
    if (setText(this.clock, time(at, zone))) setAttr(this.clock, "title", `${date(at, zone)}, by the server's clock; ${iso(at)}`);
  }

  drawPill(state, now) {
    const left = Math.max(0, Math.ceil((state.retryAt - now) / 1000));
    const again = `reconnecting in ${left} s (try ${state.tries})`;
    const text = {
      connecting: state.tries ? `connecting (try ${state.tries})` : "connecting",
      open: state.rtt === undefined ? "LIVE" : `LIVE ${state.rtt < 9.5 ? state.rtt.toFixed(1) : Math.round(state.rtt)} ms`,
      waiting: again, offline: `offline, ${again}`,
    }[state.phase];
    setText(this.pill, text);
    setClass(this.pill, `pill ${state.phase}`);
    setAttr(this.pill, "title", "The connection of this page to its server, with its round trip. Whether the prices move is said beside it.");
    show(this.now, state.phase === "waiting" || state.phase === "offline");
  }

  drawStreams(feed) {
    const all = [...feed.topics.values()].filter(({ users }) => users > 0);
    const good = all.filter((topic) => trusted(topic, feed)).length;
    const bad = all.filter((topic) => freshness(topic, feed).kind === "bad").length;
    show(this.streams, all.length > 0);
    setText(this.streams, `${good} of ${all.length} streams fresh${bad ? `, ${bad} not` : ""}`);
    setClass(this.streams, bad ? "chip bad" : "chip good");
    setAttr(this.streams, "title", "Streams of this view: fresh are the live and the quiet ones");
  }

  drawVenues(now) {
    const { feed, venues } = this.app;
    const old = venues.error !== "" || feed.state.phase !== "open";
    this.venues.fill(venues.list, ({ element }, venue) => {
      const { id, status, idle, cause, reason, last_message_at: last } = venue;
      const quiet = status === "online" || last === undefined ? "" : ` ${age(feed.serverNow() - Date.parse(last))}`;
      const why = cause && cause !== status ? `: ${causeWords(cause)}` : "";
      setText(element, status === "online" ? `${id}${old ? " ?" : ""}` : `${id} ${status}${why}${quiet}`);
      setClass(element, `chip ${old ? "unsure" : status === "online" ? "good" : status === "degraded" ? "warned" : "bad"}`);
      const seen = old ? ` As of ${age(now - venues.at)} ago.` : "";
      setAttr(element, "title", `${venue.name}: ${status}${idle ? ", nothing is asked of it" : ""}${reason ? `: ${reason}` : ""}.${seen}`);
      setAttr(element, "data-venue", `${id} ${status}`);
    });
  }

  drawBadges(alerts) {
    const mark = this.mark();
    show(this.source, mark !== "");
    setText(this.source, mark);
    const fired = alerts.firedCount;
    show(this.badge, fired > 0);
    setText(this.badge, String(fired));
    setAttr(this.badge, "aria-label", `${fired} fired`);
  }
}
