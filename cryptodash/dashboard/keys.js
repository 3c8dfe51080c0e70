// Keyboard shortcuts, and the two dialogs: help and settings.

import { button, el, fillSelect, select } from "./dom.js";
import { zoneName } from "./format.js";

const PREFIX_MS = 1500;
const GOES = { m: "markets", k: "market", c: "compare", h: "health", a: "alerts" };

const SHORTCUTS = [
  ["/", "search a market"], ["g then m, k, c, h, a", "go to Markets, Market, Compare, Health, Alerts"], ["j, k", "next, previous market"], ["\u2191, \u2193", "previous, next row of the markets"],
  ["Enter", "open the selected market"], ["f", "favourite on or off"], ["1 \u2026 7", "candle interval"], ["b", "next book grouping"],
  ["m", "list of markets beside a market"], ["w", "recorded time: watch an earlier moment of a market"], ["l", "back to live from recorded time"],
  ["a", "new alert at the crosshair's price, else at the last"], ["Alt + click", "on the chart or the book: new alert at that price"],
  ["r", "read the selected row or bar aloud"], ["p", "pause the picture"], ["t", "next theme"], ["?", "this list"], ["Esc", "close"],
];

const CHART_KEYS = [
  ["\u2190, \u2192", "crosshair bar by bar"], ["Shift+\u2190, Shift+\u2192", "move the chart"], ["Shift+\u2191, Shift+\u2193", "stretch the prices"], ["+, \u2212", "zoom"],
  ["Home, End", "first bar held, newest bar"], ["Enter", "read the bar aloud"], ["Esc", "take the crosshair away"],
  ["Tab", "the last hour below it; there arrows, Home and End go from piece to piece"],
];

const STATES = [
  ["live", "confirmed by the venue and moving"], ["quiet", "the stream is proven, nothing happens in this market"],
  ["stale", "do not trust it: cause and age stand beside it, the value is dimmed"], ["resyncing", "a book is being rebuilt"],
  ["closed", "nothing will come: refused or delisted"], ["recorded", "of the recording, at the moment that the time control shows"], ["age", "time since a message of the venue last confirmed the value"],
];

const typing = (target) => target instanceof Element && target.closest("input, textarea, select, [contenteditable]") !== null;

export class Keys {
  /**
   * `actions` maps a key to a function; what is not in it goes to `other(event) -> boolean`; `go(view)` follows the prefix g; `used()` hears of
   * each key that did something.
   */
  constructor({ actions, go, other, enabled, used = () => {} }) {
    Object.assign(this, { actions, go, other, enabled, used });
    this.prefixAt = -PREFIX_MS;
    document.addEventListener("keydown", (event) => this.pressed(event));
  }

  pressed(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    if (event.key === "Escape") return void this.actions.Escape?.(event);
    if (!this.enabled() || typing(event.target) || document.querySelector("dialog[open]")) return;
    if (!this.handled(event)) return;
    event.preventDefault();
    this.used();
  }

  handled(event) {
    const prefixed = performance.now() - this.prefixAt < PREFIX_MS;
    this.prefixAt = -PREFIX_MS;
    if (prefixed && GOES[event.key]) {
      this.go(GOES[event.key]);
      return true;
    }
    if (event.key === "g") {
      this.prefixAt = performance.now();
      return true;
    }
    const action = this.actions[event.key];
    if (!action) return this.other(event);
    action(event);
    return true;
  }
}

/** The list of shortcuts as a <dialog>, with the switch that turns single keys off. */
export function helpDialog(settings) {
  const box = el("input", { type: "checkbox", name: "shortcuts-on", id: "shortcuts-on", onchange: () => settings.set("shortcuts", box.checked) });
  box.checked = settings.get("shortcuts");
  return dialog("help", "Keys and signs", keyTable("Keys", SHORTCUTS), el("h3", {}, "On the chart, when it has the focus"),
    keyTable("Keys of the chart", CHART_KEYS), el("p", {}, el("label", { for: "shortcuts-on" }, box, " single-key shortcuts")),
    el("h3", {}, "What the states mean"), el("dl", {}, ...STATES.flatMap(([state, what]) => [el("dt", {}, state), el("dd", {}, what)])));
}

function keyTable(name, keys) {
  const rows = keys.map(([pressed, what]) => el("tr", {}, el("th", { scope: "row" }, el("kbd", {}, pressed)), el("td", {}, what)));
  return el("table", { "aria-label": name }, el("tbody", {}, ...rows));
}

// The heading has the first focus: Enter or Space, pressed once too often, changes nothing.
function dialog(name, title, ...content) {
  const close = button("Close", () => element.close(), { class: "primary" });
  const heading = el("h2", { id: `${name}-title`, tabindex: "-1", autofocus: true }, title);
  const element = el("dialog", { class: name, "aria-labelledby": heading.id }, heading, ...content, close);
  return element;
}

export const THEMES = [["system", "as the system"], ["dark", "dark"], ["light", "light"]];
export const PALETTES = [["blue", "blue / orange"], ["green", "green / red"], ["red", "red / green"], ["mono", "one colour"]];

// The zones of this machine, the two usual ones first.
function zones() {
  const all = Intl.supportedValuesOf?.("timeZone") ?? [];
  return [["utc", "UTC"], ["local", `local (${Intl.DateTimeFormat().resolvedOptions().timeZone})`], ...all.filter((name) => name !== "UTC")];
}

/** Choose a zone: remembered, and where the URL names one it follows. */
export function chooseZone(app, zone) {
  app.settings.set("zone", zone);
  if (app.route.params.tz) app.replaceParams({ tz: zone });
  app.announce(`times in ${zoneName(zone)}`);
  app.scheduler.once();
}

/** `{element, open()}` of the dialog with everything that is remembered. */
export function settingsDialog(app) {
  const { settings } = app;
  const line = (label, control) => el("label", { class: "setting" }, el("span", {}, label), control);
  const theme = select("Theme", THEMES, settings.get("theme"), (value) => settings.set("theme", value));
  const palette = select("Palette", PALETTES, settings.get("palette"), (value) => settings.set("palette", value));
  const zone = select("Time zone", [["utc", "UTC"]], "utc", (value) => chooseZone(app, value));
  const element = dialog("settings", "Settings", line("Theme", theme), line("Palette", palette), line("Time zone", zone),
    line("Token of the server", button("Show", () => {
      element.close();
      app.tokens.open();
    })), el("p", { class: "muted" }, "Kept in this browser only. Numbers are written as in English, so that they can be pasted anywhere."));
  const open = () => {
    fillSelect(zone, zones(), settings.zone);
    theme.value = settings.get("theme");
    palette.value = settings.get("palette");
    element.showModal();
  };
  return { element, open };
}
