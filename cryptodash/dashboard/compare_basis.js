// Per venue that has a symbol as spot and as perpetual: how far they are apart, and what holding the perpetual costs.

import { comparedQuotes } from "./compare_quotes.js";
import { Rows, cells, el, setClass, setText, show, table } from "./dom.js";
import { DASH, signed, time } from "./format.js";
import { FundingClock, basisOf, yearly } from "./funding.js";
import { CLOCK } from "./panel.js";

const MAX_RATE = 2;
const MARKETS = ["spot", "perpetual"];
const COLUMNS = ["Exchange", ["Basis bp", "number"], ["Funding %", "number"], ["Every", "number"], ["A year %", "number"], ["Next", "number wide"], ["State", "wrap"]];

const percent = (rate, decimals) => signed(rate === undefined ? undefined : rate * 100, decimals);

export class Basis {
  constructor(app) {
    this.app = app;
    const { element, body } = table("Perpetual against spot, and funding", COLUMNS, { class: "grid natural basis" });
    this.rows = new Rows(body, () => cells(["", ...COLUMNS.slice(1, -1).map(([, name]) => name), "state wrap"]));
    const note = "Basis: the perpetual's middle minus the spot's, of quotes of one moment. A year: the rate as often as it falls due in a year.";
    this.element = el("section", { class: "panel", "aria-label": "Basis and funding" }, el("h2", {}, "Perpetual against spot, and funding"),
      el("div", { class: "scroll" }, element), el("p", { class: "muted" }, note));
    this.held = [];
  }

  open({ symbol, venues }) {
    const { catalogue, feed } = this.app;
    const take = (channel) => {
      const topic = feed.open({ ...channel, symbol, max_rate: MAX_RATE });
      this.held.push(topic);
      return topic;
    };
    const both = venues.filter(({ exchange }) => MARKETS.every((market) => catalogue.find(exchange, market, symbol)));
    this.clocks = both.map(() => new FundingClock());
    this.sides = MARKETS.map((market) => ({
      venues: both.map(({ exchange }) => ({ exchange, topic: take({ channel_type: "ticker", exchange, market_type: market }) })),
      composite: both.length && catalogue.venuesOf(market, symbol).length > 1
        ? take({ channel_type: "bbo", exchange: "composite", market_type: market }) : undefined,
    }));
    this.venues = both;
    show(this.element, both.length > 0);
  }

  close() {
    for (const topic of this.held) this.app.feed.close(topic, MAX_RATE);
    this.held = [];
  }

  draw(now) {
    if (!this.venues.length) return;
    const [spot, perpetual] = this.sides.map(({ venues, composite }) => comparedQuotes(venues, composite, this.app.feed, now));
    this.rows.fill(this.venues.map((venue, index) => index), (row, index) => this.drawRow(row, index, spot, perpetual, now));
  }

  drawRow({ element, cells: [name, basis, funding, every, year, next, state] }, index, { quotes: spots, trouble }, { quotes: perpetuals }, now) {
    const [spot, perpetual] = [spots[index], perpetuals[index]];
    const ticker = this.sides[1].venues[index].topic.value ?? {};
    const hours = this.clocks[index].take(ticker, now);
    const good = [spot, perpetual].every((each) => each.good && each.ticker);
    const found = good ? basisOf(spot.ticker, perpetual.ticker, ticker.mark_price) : undefined;
    setText(name, `${good ? "" : `${CLOCK} `}${this.venues[index].exchange}`);
    setText(basis, found ? `${signed(found.bps, 2)}${found.isMark ? " (mark)" : ""}` : DASH);
    setText(funding, percent(ticker.funding_rate, 4));
    setText(every, hours === undefined ? DASH : `${hours} h`);
    setText(year, percent(yearly(ticker.funding_rate, hours), 2));
    setText(next, time(Date.parse(ticker.next_funding_time), this.app.settings.zone, false));
    const doubts = [["spot", spot], ["perpetual", perpetual]].filter(([, each]) => !(each.good && each.ticker));
    setText(state, good ? "live" : trouble || doubts.map(([market, { why }]) => `${market} ${why}`).join("; "));
    setClass(state, `state wrap ${good ? "good" : "bad"}`);
    setClass(element, good ? "" : "untrusted");
  }
}
