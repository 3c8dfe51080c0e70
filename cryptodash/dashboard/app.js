// The page: one feed, one catalogue, one clock, five views by hash.

import { AlertEngine } from "./alertengine.js";
import { Banners } from "./banners.js";
import { Catalogue, emptyState, firstMarket } from "./catalogue.js";
import { button, el, setAttr, worded } from "./dom.js";
import { Feed } from "./feed.js";
import { Keys, helpDialog, settingsDialog } from "./keys.js";
import { format, parse } from "./route.js";
import { Scheduler } from "./scheduler.js";
import { Scroll } from "./scroll.js";
import { Settings } from "./settings.js";
import { Header } from "./status.js";
import { Outage } from "./outage.js";
import { askAgain } from "./requests.js";
import { Theme } from "./theme.js";
import { token } from "./token.js";
import { TokenForm } from "./tokenform.js";
import { isInDoubt } from "./topics.js";
import { Venues } from "./venues.js";

/** Views are fetched when they are first shown. */
const FETCH = {
  markets: async () => (await import("./markets.js")).MarketsView,
  market: async () => (await import("./market.js")).MarketView,
  compare: async () => (await import("./compare.js")).CompareView,
  health: async () => (await import("./health.js")).HealthView,
  alerts: async () => (await import("./alerts.js")).AlertsView,
};
const NAMES = { markets: "Markets", market: "Market", compare: "Compare", health: "Health", alerts: "Alerts" };
const START_MS = 1000;

const byId = (id) => document.getElementById(id);

class App {
  constructor() {
    this.version = document.querySelector("meta[name=cryptodash-version]").content;
    this.settings = new Settings();
    this.feed = new Feed();
    this.venues = new Venues();
    this.catalogue = new Catalogue(this.venues);
    this.scheduler = new Scheduler();
    this.recorded = undefined; // what is shown instead of the feed: a RecordedFeed
    this.theme = new Theme(this);
    this.banners = new Banners(byId("banners"));
    this.outage = new Outage(this);
    this.route = { view: "", params: {}, notices: [] };
    this.views = new Map();
    this.view = null;
    this.last = undefined;
    this.scroll = new Scroll(byId("main"));
    this.alerts = new AlertEngine(this);
    this.tokens = new TokenForm(this, () => this.begins());
    this.help = helpDialog(this.settings);
    this.preferences = settingsDialog(this);
    this.header = new Header(this);
    byId("top").append(this.header.element);
    document.body.append(this.help, this.preferences.element, this.tokens.element);
  }

  start() {
    this.theme.start();
    this.showHint();
    new ResizeObserver(([{ target }]) => {
      document.documentElement.style.setProperty("--chrome", `${innerHeight - target.clientHeight}px`);
    }).observe(byId("main"));
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault();
      byId("main").focus();
    });
    for (const type of ["popstate", "hashchange"]) addEventListener(type, () => location.hash !== this.followed && this.follow());
    this.keys = new Keys({ actions: this.actions(), go: (view) => this.go(view), other: (event) => this.view?.key(event) || this.scroll.key(event),
      enabled: () => this.settings.get("shortcuts"), used: () => this.hintUsed() });
    this.feed.on((state) => this.heard(state));
    token.onRefused((words) => this.tokens.ask(words));
    this.scheduler.add((now) => this.scroll.draw(now), true); // first: it measures, before anything is written
    this.scheduler.add((now) => this.view?.draw(now));
    this.scheduler.add((now) => this.drawFrame(now), true);
    this.feed.onTick(() => document.hidden && this.writeTitle());
    this.feed.start();
    this.scheduler.start();
    this.venues.changed = () => this.catalogue.missing.length && this.catalogue.again();
    this.venues.load().then(() => this.scheduler.once());
    this.catalogue.load().then(() => this.scheduler.once());
    this.alerts.start();
    this.follow();
  }

  actions() {
    return {
      "/": () => this.header.search.focus(), "?": () => this.help.showModal(), p: () => this.pause(),
      t: () => this.theme.next(),
      Escape: (event) => this.header.search.close() || this.view?.key(event),
    };
  }

  // At the foot of the page, where it moves nothing.
  showHint() {
    if (!this.settings.get("hint")) return;
    this.hint = el("span", { class: "hint" }, "Press / to search a market, ? for all keys.",
      button("\u00d7", () => this.hintUsed(), { class: "plain", "aria-label": "Dismiss" }));
    document.querySelector("footer").append(this.hint);
  }

  hintUsed() {
    if (!this.hint) return;
    this.settings.set("hint", false);
    this.hint.remove();
    this.hint = undefined;
  }

  /** Show another place; `push: false` replaces the present one in the history. */
  navigate(route, { push = true } = {}) {
    history[push ? "pushState" : "replaceState"](null, "", format(route));
    this.follow();
  }

  /** Change knobs of the present place: the URL follows, the history does not grow. */
  replaceParams(changes) {
    this.route.params = { ...this.route.params, ...changes };
    this.settings.urlZone = this.route.params.tz || "";
    history.replaceState(null, "", format(this.route));
    this.followed = location.hash;
    this.scheduler.once();
  }

  /** Go to a view by name, with the market that was looked at last. */
  go(view) {
    const { exchange, market, symbol } = this.last ?? {};
    this.navigate({ view, ...(view === "market" && { exchange, market, symbol }), ...(view === "compare" && { market, symbol }) });
  }

  follow() {
    const route = parse(location.hash);
    if (route.symbol) route.symbol = this.catalogue.spelling(route.exchange, route.market, route.symbol);
    this.followed = location.hash;
    if (!route.view || ((route.view === "market" || route.view === "compare") && !route.symbol)) return this.begin(route);
    this.wanted = undefined;
    this.route = route;
    this.settings.urlZone = route.params.tz || "";
    this.remember(route);
    if (this.scheduler.paused) this.scheduler.pause(false);
    this.banners.dropNotices();
    this.enter(route);
    return this.notices(route);
  }

  // The market that the links lead back to: one that exists, as far as is known.
  remember({ exchange, market, symbol }) {
    const { catalogue } = this;
    const fits = (each) => each.market_type === market && each.symbol === symbol && (!exchange || each.exchange === exchange);
    if (symbol && exchange && (catalogue.find(exchange, market, symbol) || !catalogue.loaded(exchange))) this.last = { exchange, market, symbol };
    else if (symbol && !exchange && !(this.last && fits({ ...this.last, market_type: this.last.market }))) {
      const found = catalogue.all.find(fits);
      if (found) this.last = { exchange: found.exchange, market, symbol };
    }
  }

  enter(route) {
    const next = this.views.get(route.view);
    if (!next) {
      this.fetchView(route);
      return;
    }
    if (next !== this.view) {
      this.view?.hide();
      this.view = next;
      byId("main").replaceChildren(this.outage.element, next.element);
      scrollTo(0, 0);
      if (document.activeElement === document.body && this.entered) byId("main").focus({ preventScroll: true });
      this.entered = true;
    }
    next.show(route);
    this.header.moved(route);
    this.outage.moved();
    this.scheduler.once();
  }

  async fetchView(route) {
    this.view?.hide();
    this.view = null;
    const said = el("div", { class: "empty boot" }, "Loading\u2026");
    byId("main").replaceChildren(this.outage.element, said);
    this.header.moved(route);
    let View;
    try {
      View = await FETCH[route.view]();
    } catch {
      said.replaceChildren("This view could not be fetched from the server; it comes with the connection.", button("Reload", () => location.reload()));
      this.unfetched = route;
      return;
    }
    if (!this.views.has(route.view)) this.views.set(route.view, new View(this));
    if (this.route === route) this.enter(route);
  }

  // No place is named: the market looked at last, else the first of the catalogue, as soon as there is one.
  begin(route) {
    const view = route.view || "market";
    const first = this.last ?? this.first();
    if (!first) {
      this.wanted = route;
      this.view?.hide();
      this.view = null;
      byId("main").replaceChildren(this.outage.element, this.empty ??= el("div", { class: "empty" }));
      this.header.moved({ view });
      this.notices(route);
      return;
    }
    const { exchange, market, symbol } = first;
    this.navigate({ view, exchange, market: route.market ?? market, symbol, params: route.params }, { push: false });
    this.notices(route);
  }

  // What was wrong with a URL is said until the next place is shown: all of it, in one line.
  notices({ notices }) {
    if (notices.length) this.notice(notices.join(" "));
  }

  first() {
    const ready = this.venues.list.length && (this.catalogue.complete || performance.now() > START_MS);
    const found = ready ? firstMarket(this.catalogue, this.venues) : undefined;
    return found && { exchange: found.exchange, market: found.market_type, symbol: found.symbol };
  }

  drawFrame(now) {
    this.header.draw(now);
    this.outage.draw(now);
    if ((this.wanted && this.first()) || this.isMisspelled()) this.follow();
    else if (this.wanted) this.drawEmpty();
    this.writeTitle();
    setAttr(document.documentElement, "data-socket", this.feed.state.phase);
    setAttr(document.documentElement, "data-paused", this.scheduler.paused);
    setAttr(document.documentElement, "data-recorded", this.recorded !== undefined);
  }

  // How a symbol is spelled is known only with the catalogue.
  isMisspelled() {
    const { catalogue, route: { exchange, market, symbol } } = this;
    if (this.spelledBy === catalogue.version) return false;
    this.spelledBy = catalogue.version;
    return Boolean(symbol) && catalogue.spelling(exchange, market, symbol) !== symbol;
  }

  drawEmpty() {
    const text = emptyState(this);
    if (this.empty.said === text) return;
    this.empty.said = text;
    this.empty.replaceChildren(...worded(text));
  }

  // A hidden tab shows nothing else, and draws nothing.
  writeTitle() {
    const title = this.title();
    if (this.titled !== title) document.title = this.titled = title;
  }

  title() {
    const own = this.view?.title() ?? `${NAMES[this.route.view] ?? "Starting"} \u00b7 cryptodash`;
    const demo = this.header.sources().includes("simulated") ? "DEMO " : "";
    if (this.recorded) return `RECORDED ${demo}${own}`;
    return `${demo}${this.isDoubtful() && !own.startsWith("! ") ? "! " : ""}${own}`;
  }

  isDoubtful() {
    const { feed } = this;
    if (feed.state.phase !== "open") return true;
    for (const topic of feed.topics.values()) if (topic.users > 0 && isInDoubt(topic, feed)) return true;
    return false;
  }

  pause() {
    this.scheduler.pause();
    this.announce(this.scheduler.paused ? "Picture paused; data is still taken in" : "Picture goes on");
  }

  // With another token all that failed is asked again.
  begins() {
    this.feed.unlock();
    askAgain();
  }

  heard(state) {
    if (state.phase === "locked") this.tokens.ask(state.refusal);
    if (state.session !== this.greetedIn && state.phase === "open") this.tokens.accepted();
    this.greetedIn = state.session;
    if (state.ends !== this.endsSaid && state.ends) {
      this.banner("ends", "The token of this page is about to end.", "Enter another", () => this.tokens.open());
    } else if (!state.ends) this.banners.drop("ends");
    this.endsSaid = state.ends;
    const lost = state.phase === "waiting" || state.phase === "offline";
    if (lost && !this.wasLost) this.announce("Connection lost. Values shown are old. Reconnecting.");
    if (state.phase === "open" && this.wasLost) {
      // A module that could not be fetched is not asked for again by the browser. The address says all that is shown.
      if (this.unfetched === this.route) location.reload();
      this.announce("Connected again.");
      askAgain();
    }
    this.wasLost = lost || (state.phase === "connecting" && this.wasLost);
    if (state.said && state.said !== this.heardSaid) {
      if (/slow/.test(state.said)) this.scheduler.governor.lower("the server says this page is too slow");
      this.notice(`The server says: ${state.said}`);
    }
    this.heardSaid = state.said;
    if (state.version && state.version !== this.version) {
      this.banner("version", `The server now runs version ${state.version}, this page is of ${this.version}.`, "Reload", () => location.reload());
    }
  }

  /** A line at the top until the next place is shown. */
  notice(text) {
    this.banners.notice(text);
  }

  /** A line at the top of the page, once per `id`, with a button that acts and one that dismisses. */
  banner(id, text, label, action, dismissed) {
    this.banners.show(id, text, label, action, dismissed);
  }

  /** Say something to a screen reader: politely, or at once with `place` "urgent". */
  announce(text, place = "polite") {
    byId(place).textContent = text;
  }
}

const app = new App();

/** A read-only probe for tests and the curious. */
window.cryptodash = {
  version: app.version,
  get applied() { return app.feed.counts.applied; },
  get received() { return app.feed.counts.received; },
  get lagP99() { return (app.feed.lag.count ? app.feed.lag : app.feed.lagLimited).quantile(0.99); },
  get flushP99() { return app.scheduler.figures.flushP99; },
  get rate() { return app.scheduler.governor.rate; },
  get scriptMs() { return app.scheduler.scriptMs; },
  get state() { return { ...app.feed.state }; },
};

app.start();
