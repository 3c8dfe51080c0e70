// Where in the Market view a price can be pointed at, to arm an alert at it: the chart, the order book, the last price.

import { button } from "./dom.js";

/** The number of a price as it is written: "60,001.50" -> 60001.5; undefined for anything else. */
export function numberOf(text = "") {
  const value = Number(text.replace(/,/g, ""));
  return text.trim() && Number.isFinite(value) ? value : undefined;
}

export class AlertPoints {
  /** `view` is a `MarketView`. Alt and a click on the chart or on a row of the book; the button takes the last price. */
  constructor(view) {
    this.view = view;
    const { chart, ladder, figures } = view;
    const at = (priceOf) => (event) => {
      const level = event.altKey ? priceOf(event) : undefined;
      if (level !== undefined) this.arm(level);
    };
    chart.plot.addEventListener("click", at(({ offsetY }) => chart.priceAt(offsetY)));
    ladder.element.addEventListener("click", at(({ target }) => numberOf(target.closest("tr")?.price?.textContent)));
    const title = "New alert at the last price (a). Alt and a click on the chart or the book: at that price";
    figures.where.after(button("alert\u2026", () => this.arm(), { class: "small", title }));
  }

  /** The price under the crosshair: where the pointer is, or the close of the bar that the arrow keys have reached. */
  get crossed() {
    const { chart } = this.view;
    if (!chart.cross) return undefined;
    return chart.cross.y === undefined ? chart.shown.at(chart.cross.slot)?.close : chart.priceAt(chart.cross.y);
  }

  /** Open the form at a price; without one at the last price. */
  arm(level = this.view.topic("ticker")?.value?.last) {
    const { app, instrument } = this.view;
    if (instrument) app.alerts.arm(instrument, level);
  }
}
