// Which channels the view of one market holds: no more than what it shows.

import { DEPTHS } from "./book.js";
import { DISTANCES } from "./depthtotals.js";
import { Holds } from "./holds.js";

const TICKER_RATE = 10;
const DEEP_RATE = 2;
const HEAT_DEPTH = 200; // less is a thin ribbon of the map
const DEPTH_OF = { 5: 100, 10: 200, 50: 500, 100: 1000 }; // levels held for a grouping; else 50

export class Streams extends Holds {
  constructor(feed, catalogue) {
    super(feed);
    this.catalogue = catalogue;
  }

  /** Another instrument of the catalogue; nothing is held yet. */
  begin(instrument) {
    this.instrument = instrument;
    this.deep = undefined;
    this.unheard = new Set();
  }

  channel(type, more) {
    const { exchange, market_type: market, symbol } = this.instrument;
    return { channel_type: type, exchange, market_type: market, symbol, ...more };
  }

  /**
   * Hold what is shown: by the layout, the layers of the chart, the parameters of the address, the interval of the bars and whether the
   * ladder is tall. `listeners`: {candle, trade, liquidation}. True when the live bars were not held before.
   */
  want({ layout, layers, params, interval, tall }, { candle, trade, liquidation }) {
    this.wanted = { layout, params };
    const sees = (name, channel) => (layout.sees(...name) ? channel : undefined);
    const folds = layout.sees("chart") && this.topic("candle")?.error;
    const { names, delta, liquidations, refusal } = layers;
    const heat = names.includes("heat"); // also before its code is here: else another book is held first
    this.hold("ticker", this.channel("ticker", { max_rate: TICKER_RATE }));
    const isNew = this.hold("candle", sees(["chart"], this.channel("candle", { interval })), candle);
    // Recorded is one depth.
    const book = this.channel("order_book", { depth: this.feed.bookDepth ?? Math.max(heat ? HEAT_DEPTH : 0, this.ladderDepth(params.grp, tall)) });
    this.holdBook(heat ? book : sees(["book", "depth"], book));
    this.hold("deep", this.deep && sees(["depth"], this.channel("order_book", { depth: this.deep, max_rate: DEEP_RATE })));
    this.hold("trade", delta || folds ? this.channel("trade") : sees(["trades"], this.channel("trade")), trade);
    this.hold("liquidation", liquidations && !refusal ? this.channel("liquidation") : undefined, liquidation);
    this.mixIn();
    return isNew;
  }

  // One step deeper where the ladder has more rows than on a usual screen.
  ladderDepth(grouping, tall) {
    const usual = DEPTH_OF[grouping] ?? 50;
    return (tall && DEPTHS.find((each) => each > usual)) || usual;
  }

  // What the tape shows beside the market's own trades: its liquidations and, where wanted, all of it of the other venues.
  mixIn() {
    const { layout, params } = this.wanted;
    const { exchange: own, market_type: market, symbol } = this.instrument;
    const venues = !layout.sees("trades") ? [] : params.tape === "all" ? this.catalogue.venuesOf(market, symbol) : [own];
    const mixed = {};
    for (const exchange of venues) {
      const kinds = [exchange !== own && "trade", market === "perpetual" && !this.unheard.has(exchange) && "liquidation"].filter(Boolean);
      for (const kind of kinds) mixed[`mixed ${kind} ${exchange}`] = this.channel(kind, { exchange });
    }
    this.holdAll("mixed ", mixed, (type) => type === "error" && this.unmix());
  }

  // A venue that has no liquidations is not asked for them again.
  unmix() {
    for (const { error, channel } of this.all("mixed liquidation")) if (error) this.unheard.add(channel.exchange);
    this.mixIn();
  }

  /** The topics that the tape shows beside the market's own trades. */
  mixed() {
    return this.all("mixed ");
  }

  /** The topic of the depth panel's book: the ladder's until a deeper one has come, where one is wanted. */
  depthBook() {
    const deep = this.topic("deep");
    return deep?.value && !deep.error ? deep : this.book();
  }

  /** Whether a deeper book than this is to be held, because it does not reach as far as the totals do. */
  deepen(book) {
    const depth = book?.deeper(DISTANCES.at(-1));
    if (!depth || depth <= this.deep || this.feed.isRecorded) return false;
    this.deep = depth;
    return true;
  }
}
