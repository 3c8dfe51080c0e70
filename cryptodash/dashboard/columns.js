// The columns of the table of markets: what each shows and in which unit, by what it is sorted, and which of them are chosen.

import { button, el, setAttr, setText } from "./dom.js";
import { DASH, bps, compact, price, signed } from "./format.js";
import { spreadBps } from "./rules.js";

/** What was traded in 24 hours, in the quote currency; where the exchange tells the base quantity alone, at the last price. */
export const turnover = (ticker) => ticker.quote_volume_24h ?? ticker.volume_24h * ticker.last;

const quoted = (text, of) => ({ text, unit: "quote", chars: 9, value: of, write: (ticker, item) => price(of(ticker), item.price_precision) });

/**
 * By name: `text` and `unit` of the heading ("quote" stands for the quote currency of the row), `about` its title, `chars` the least width,
 * `value(ticker, item, convert)` what is sorted by, `write(ticker, item)` the cell's text. `convert(amount, currency)` is in the common currency.
 */
export const COLUMNS = {
  star: { text: "Favourite", chars: 3, always: true },
  market: { text: "Market", chars: 10, always: true, sortable: true },
  ex: { text: "Exchange", chars: 9, sortable: true },
  last: quoted("Last", (ticker) => ticker.last),
  change: { text: "24h change", unit: "%", chars: 6, value: (ticker) => ticker.change_pct_24h, write: (ticker) => signed(ticker.change_pct_24h) },
  bid: quoted("Bid", (ticker) => ticker.bid),
  ask: quoted("Ask", (ticker) => ticker.ask),
  spread: { text: "Spread", unit: "bp", chars: 6, value: spreadBps, write: (ticker) => bps(spreadBps(ticker)) },
  volume: {
    text: "24h volume", unit: "common", chars: 7, value: (ticker, { quote }, convert) => convert(turnover(ticker), quote),
    about: "Volume of 24 hours in one currency; \u2248: converted by quotes of now",
  },
  own: {
    text: "24h volume, own", chars: 10, write: (ticker, { quote }) => withUnit(ticker.quote_volume_24h, quote),
    about: "Quote volume of 24 hours in the quote currency of the market",
  },
  high: quoted("24h high", (ticker) => ticker.high_24h),
  low: quoted("24h low", (ticker) => ticker.low_24h),
  funding: {
    text: "Funding", chars: 13, about: "Rate of one interval; sorted by the rate of an hour",
    value: ({ funding_rate: rate, funding_interval_h: hours }) => rate / hours,
    write: ({ funding_rate: rate, funding_interval_h: hours }) =>
      (rate === undefined ? DASH : `${signed(rate * 100, 4)} %${hours ? ` / ${hours} h` : ""}`),
  },
  interest: {
    text: "Open interest", chars: 10, about: "In the base currency; sorted by its value in the common currency",
    value: (ticker, { quote }, convert) => convert(ticker.open_interest * (ticker.mark_price ?? ticker.last), quote),
    write: (ticker, { base }) => withUnit(ticker.open_interest, base),
  },
  state: { text: "State, age", chars: 6, always: true },
  spark: { text: "24h line", chars: 12, about: "Closes of the last 24 hours; each line has a scale of its own" },
};

/** The class of a column's cells; numbers stand on the right. */
export const classOf = (name) => (COLUMNS[name].write || COLUMNS[name].value ? "number" : name === "market" ? "name" : name);

/** Which columns there are by the width of the table in pixels, where nobody has chosen. */
export const DEFAULTS = [
  [520, ["last", "change", "volume"]],
  [1000, ["ex", "last", "change", "spread", "volume"]],
  [1800, ["ex", "last", "change", "bid", "ask", "spread", "volume", "spark"]],
  [Infinity, Object.keys(COLUMNS)],
];

/** A large amount in short with its currency, "12.4K BTC"; an en dash alone where it is not known. */
export const withUnit = (amount, currency) => (amount === undefined ? DASH : `${compact(amount)} ${currency}`);

/** The names of the columns to show, in the order of `COLUMNS`. */
export function columnsFor(chosen, width) {
  const wanted = chosen.length ? chosen : DEFAULTS.find(([most]) => width < most)[1];
  return Object.keys(COLUMNS).filter((name) => COLUMNS[name].always || wanted.includes(name));
}

/** The heading's text. `quote`: the one quote currency of all rows, "" where there are several; `common`: into which volumes are converted. */
export function heading(name, quote, common) {
  const { text, unit } = COLUMNS[name];
  const said = { quote: quote || "quote", common: common ?? "" }[unit] ?? unit;
  return said ? `${text}, ${said}` : text;
}

/** A menu of checkboxes. `changed(names)` hears the chosen ones, [] for the defaults. */
export class ColumnMenu {
  constructor(changed) {
    const names = Object.keys(COLUMNS).filter((name) => !COLUMNS[name].always);
    this.boxes = new Map(names.map((name) => {
      const box = el("input", { type: "checkbox", name: `column-${name}`, onchange: () => changed(this.ticked) });
      return [name, box];
    }));
    const lines = [...this.boxes].map(([name, box]) => el("label", {}, box, ` ${COLUMNS[name].text}`));
    this.summary = el("summary", {}, "Columns");
    this.preset = button("As fits the screen", () => changed([]), { class: "small" });
    const list = el("div", { class: "menu-list", role: "group", "aria-label": "Columns" }, ...lines, this.preset);
    this.element = el("details", { class: "menu" }, this.summary, list);
    addEventListener("pointerdown", ({ target }) => this.element.open && !this.element.contains(target) && this.close());
  }

  get ticked() {
    const names = [...this.boxes].filter(([, box]) => box.checked).map(([name]) => name);
    return names.length ? names : ["last"]; // a table of names alone is none
  }

  /** Close it; true when it was open. */
  close() {
    const { open } = this.element;
    this.element.open = false;
    if (open) this.summary.focus();
    return open;
  }

  draw(names, isChosen) {
    for (const [name, box] of this.boxes) box.checked = names.includes(name);
    setAttr(this.preset, "disabled", !isChosen);
    setText(this.summary, isChosen ? "Columns: own" : "Columns");
  }
}
