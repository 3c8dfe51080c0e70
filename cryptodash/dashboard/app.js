// The page: one feed, one catalogue, one clock, five views by hash.

import { AlertEngine, AlertsView } from "./alerts.js";
import { Catalogue, Venues, emptyState, firstMarket } from "./catalogue.js";
import { CompareView } from "./compare.js";
import { button, el, setAttr, worded } from "./dom.js";
import { Feed } from "./feed.js";
import { HealthView } from "./health.js";
import { Keys, helpDialog, settingsDialog } from "./keys.js";
import { MarketView } from "./market.js";
import { MarketsView } from "./markets.js";
import { format, parse } from "./route.js";
import { Scheduler } from "./scheduler.js";
import { Settings } from "./settings.js";
import { Header } from "./status.js";

const VIEWS = { markets: MarketsView, market: MarketView, compare: CompareView, health: HealthView, alerts: AlertsView };
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
    this.route = { view: "", params: {}, notices: [] };
    this.views = new Map();
    this.view = null;
    this.last = undefined;
    this.alerts = new AlertEngine(this);
    this.help = helpDialog(this.settings);
    this.preferences = settingsDialog(this);
    this.header = new Header(this);
    byId("top").append(this.header.element);
    document.body.append(this.help, this.preferences.element);
  }

  start() {
    this.look();
    this.settings.on((name) => (name === "theme" || name === "palette") && this.look());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.look());
    new ResizeObserver(([{ target }]) => {
      document.documentElement.style.setProperty("--chrome", `${innerHeight - target.clientHeight}px`);
    }).observe(byId("main"));
    document.querySelector(".skip").addEventListener("click", (event) => {
      event.preventDefault();
      byId("main").focus();
    });
    for (const type of ["popstate", "hashchange"]) addEventListener(type, () => location.hash !== this.followed && this.follow());
    this.keys = new Keys({ actions: this.actions(), go: (view) => this.go(view), other: (event) => this.view?.key(event) ?? false,
      enabled: () => this.settings.get("shortcuts") });
    this.feed.on((state) => this.heard(state));
    this.scheduler.add((now) => this.view?.draw(now));
    this.scheduler.add((now) => this.drawFrame(now), true);
    this.feed.start();
    this.scheduler.start();
    this.venues.load().then(() => this.scheduler.once());
    this.catalogue.load().then(() => this.scheduler.once());
    this.alerts.start();
    this.follow();
  }

  actions() {
    return {
      "/": () => this.header.search.focus(), "?": () => this.help.showModal(), p: () => this.pause(),
      t: () => {
        this.settings.cycle("theme");
        this.announce(`theme ${this.settings.get("theme")}`);
      },
      Escape: (event) => this.header.search.close() || this.view?.key(event),
    };
  }

  // The colours are read from the style sheet by what is drawn on canvas: it hears of every change.
  look() {
    document.documentElement.dataset.theme = this.settings.get("theme");
    document.documentElement.dataset.palette = this.settings.get("palette");
    document.dispatchEvent(new Event("themechange"));
    this.scheduler.once();
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
    this.dropNotices();
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
    if (!this.views.has(route.view)) this.views.set(route.view, new VIEWS[route.view](this));
    const next = this.views.get(route.view);
    if (next !== this.view) {
      this.view?.hide();
      this.view = next;
      byId("main").replaceChildren(next.element);
      scrollTo(0, 0);
      if (document.activeElement === document.body && this.entered) byId("main").focus({ preventScroll: true });
      this.entered = true;
    }
    next.show(route);
    this.header.moved(route);
    this.scheduler.once();
  }

  // No place is named: the market looked at last, else the first of the catalogue, as soon as there is one.
  begin(route) {
    const view = route.view || "market";
    const first = this.last ?? this.first();
    if (!first) {
      this.wanted = route;
      this.view?.hide();
      this.view = null;
      byId("main").replaceChildren(this.empty ??= el("div", { class: "empty" }));
      this.header.moved({ view });
      this.notices(route);
      return;
    }
    const { exchange, market, symbol } = first;
    this.navigate({ view, exchange, market: route.market ?? market, symbol, params: route.params }, { push: false });
    this.notices(route);
  }

  // What was wrong with a URL is said until the next place is shown.
  notices({ notices }) {
    for (const text of notices) this.notice(text);
  }

  dropNotices() {
    for (const each of [...byId("banners").children]) if (each.dataset.id.startsWith("notice")) each.remove();
  }

  first() {
    const ready = this.venues.list.length && (this.catalogue.complete || performance.now() > START_MS);
    const found = ready ? firstMarket(this.catalogue, this.venues) : undefined;
    return found && { exchange: found.exchange, market: found.market_type, symbol: found.symbol };
  }

  drawFrame(now) {
    this.header.draw(now);
    if ((this.wanted && this.first()) || this.isMisspelled()) this.follow();
    else if (this.wanted) this.drawEmpty();
    const title = this.title();
    if (document.title !== title) document.title = title;
    setAttr(document.documentElement, "data-socket", this.feed.state.phase);
    setAttr(document.documentElement, "data-paused", this.scheduler.paused);
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

  title() {
    const own = this.view?.title() ?? `${NAMES[this.route.view] ?? "Starting"} \u00b7 cryptodash`;
    const lost = this.feed.state.phase !== "open" && !own.startsWith("! ");
    const demo = this.header.sources().includes("simulated") ? "DEMO " : "";
    return `${demo}${lost ? "! " : ""}${own}`;
  }

  pause() {
    this.scheduler.pause();
    this.announce(this.scheduler.paused ? "Picture paused; data is still taken in" : "Picture goes on");
  }

  heard(state) {
    const lost = state.phase === "waiting" || state.phase === "offline";
    if (lost && !this.wasLost) this.announce("Connection lost. Values shown are old. Reconnecting.");
    if (state.phase === "open" && this.wasLost) this.announce("Connected again.");
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

  notice(text) {
    this.banner(`notice ${text}`, text);
    const notices = [...byId("banners").children].filter((each) => each.dataset.id.startsWith("notice"));
    notices.slice(0, -2).forEach((each) => each.remove());
  }

  /** A line at the top of the page, once per `id`, with a button that acts and one that dismisses. */
  banner(id, text, label, action, dismissed) {
    if ([...byId("banners").children].some((each) => each.dataset.id === id)) return;
    const gone = () => {
      line.remove();
      dismissed?.();
    };
    const line = el("div", { class: "banner", "data-id": id }, el("span", { role: "status" }, text),
      label ? button(label, action) : null, button("\u00d7", gone, { class: "plain", "aria-label": "Dismiss" }));
    byId("banners").append(line);
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

if (app.settings.get("hint")) {
  app.banner("hint", "Press / to search a market, ? for all keys.", null, null, () => app.settings.set("hint", false));
}
app.start();
