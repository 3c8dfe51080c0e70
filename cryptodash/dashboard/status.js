// Header and status line, on every view: where one is, and the three signals apart: the socket, the streams, the venues.

import { Rows, button, el, fillSelect, icon, select, setAttr, setClass, setText, show } from "./dom.js";
import { age, date, iso, time, zoneName } from "./format.js";
import { PALETTES, THEMES, chooseZone } from "./keys.js";
import { format } from "./route.js";
import { Search } from "./search.js";
import { countFresh } from "./venues.js";

const LINKS = [
  ["markets", "Markets", "g m"], ["market", "Market", "g k"], ["compare", "Compare", "g c"], ["health", "Health", "g h"], ["alerts", "Alerts", "g a"],
];
const SOURCES = { simulated: "DEMO DATA", replay: "REPLAY", custom: "CUSTOM SOURCE" };
const THEME_SIGNS = { system: "\u25d0", dark: "\u25cf", light: "\u25cb" };
const MORE = "more";
const COUNT_MS = 500;

const tool = (label, text, onclick, more = {}) => button(text, onclick, { class: "tool", "aria-label": label, title: label, ...more });
const nameOf = (choices, value) => choices.find(([name]) => name === value)?.[1];

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
    this.theme = tool("Theme (t)", "", () => app.theme.next());
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
    const recorded = this.app.recorded ? ["RECORDED"] : [];
    return [...recorded, ...this.sources().map((source) => SOURCES[source] ?? source.toUpperCase())].join(", ");
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
    setText(this.rate, `${Math.round(feed.rate)} msg/s  ${rate} Hz${why ? `, slowed: ${why}` : ""}`);
    setClass(this.rate, why ? "rate chip warned" : "rate muted");
    show(this.held, scheduler.paused);
    if (scheduler.paused) setText(this.held, `PAUSED \u2013 the picture is ${age(now - scheduler.pausedAt)} old`);
    setAttr(this.pause, "aria-pressed", String(scheduler.paused));
    this.drawBadges(alerts);
  }

  drawTools(settings) {
    const theme = settings.get("theme");
    const { recorded } = this.app;
    const at = (recorded ?? this.app.feed).serverNow();
    setText(this.theme, THEME_SIGNS[theme]);
    setAttr(this.theme, "aria-label", `Theme: ${nameOf(THEMES, theme)} (t)`);
    setAttr(this.palette, "aria-label", `Palette: ${nameOf(PALETTES, settings.get("palette"))}`);
    setAttr(this.palette, "title", `Palette: ${nameOf(PALETTES, settings.get("palette"))}`);
    const { zone } = settings;
    const more = zone === "utc" || zone === "local" ? [] : [[zone, zoneName(zone)]];
    fillSelect(this.zone, [["utc", "UTC"], ["local", "local"], ...more, [MORE, "more\u2026"]], zone);
    if (setText(this.clock, time(at, zone))) setAttr(this.clock, "title", `${date(at, zone)}, ${recorded ? "the recorded moment" : "by the server's clock"}; ${iso(at)}`);
  }

  drawPill(state, now) {
    const left = Math.max(0, Math.ceil((state.retryAt - now) / 1000));
    const again = `reconnecting in ${left} s (try ${state.tries})`;
    const text = {
      connecting: state.tries ? `connecting (try ${state.tries})` : "connecting",
      open: state.rtt === undefined ? "server" : `server ${state.rtt < 9.5 ? state.rtt.toFixed(1) : Math.round(state.rtt)} ms`,
      silent: `no answer for ${Math.max(0, (now - this.app.feed.heard) / 1000).toFixed(0)} s`,
      waiting: again, offline: `offline, ${again}`, locked: "needs a token",
    }[state.phase];
    setText(this.pill, text);
    setClass(this.pill, `pill ${state.phase}`);
    setAttr(this.pill, "title", "The connection of this page to its server, with its round trip. Whether the prices move is said beside it.");
    show(this.now, state.phase === "waiting" || state.phase === "offline");
  }

  drawStreams(feed) {
    const { good, bad, waiting, all, kind } = countFresh([...feed.topics.values()].filter(({ users }) => users > 0), feed);
    show(this.streams, all > 0);
    setText(this.streams, `${good} of ${all} streams fresh${bad ? `, ${bad} not` : ""}${waiting ? `, ${waiting} waiting` : ""}`);
    setClass(this.streams, `chip ${kind}`);
    setAttr(this.streams, "title", "Streams of this view: fresh are the live and the quiet ones");
  }

  drawVenues(now) {
    const { feed, venues } = this.app;
    const old = venues.error !== "" || feed.state.phase !== "open";
    this.venues.fill(venues.states(feed, now), ({ element }, { id, status, kind, text }) => {
      const { name = id, idle, reason } = venues.report(id) ?? {};
      const seen = old && venues.at !== undefined ? ` As of ${age(now - venues.at)} ago.` : "";
      setText(element, text);
      setClass(element, `chip ${kind}`);
      setAttr(element, "title", `${name}: ${status}${idle ? ", nothing is asked of it" : ""}${reason ? `: ${reason}` : ""}.${seen}`);
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
