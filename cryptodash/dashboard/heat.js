// The map of the book behind the candles, on a canvas of its own that is painted once a second or when the chart moves.

import { Bounds } from "./axis.js";
import { BINS, BookMap, COLUMNS } from "./bookmap.js";
import { time as clock } from "./format.js";
import { lengthOf, placeOf } from "./series.js";
import { Surface, hatchPath } from "./surface.js";

const SECOND = 1000;
/** Less of all columns than this is nothing to be seen, CSS pixels. */
const LEAST_PX = 16;
/** Parts of a logarithmic scale that are drawn as straight ones. */
const BANDS = 24;

const bytesOf = (colour) => {
  const context = new OffscreenCanvas(1, 1).getContext("2d");
  context.fillStyle = colour;
  context.fillRect(0, 0, 1, 1);
  return [...context.getImageData(0, 0, 1, 1).data];
};

export class Heat {
  /** Behind everything else in the plot of a `Chart`. */
  constructor(chart, tick) {
    this.chart = chart;
    this.map = new BookMap(tick);
    this.surface = new Surface(chart.plot, (...all) => this.paint(...all));
    chart.plot.prepend(this.surface.canvas);
    this.image = new OffscreenCanvas(COLUMNS, BINS);
    this.pixels = this.image.getContext("2d");
    this.column = new ImageData(1, BINS);
    this.full = new Bounds(0);
  }

  /** Nothing of it is left. */
  end() {
    this.surface.end();
  }

  /** Once a second: the book now, undefined while it is not proven. */
  sample(now, book) {
    if (!this.map.sample(now, book)) return;
    this.draw();
  }

  get width() {
    return (COLUMNS * SECOND * this.chart.time.width) / lengthOf(this.chart.shown.interval);
  }

  /** For the legend. */
  words(zone) {
    if (this.map.begin === undefined) return "no book yet";
    if (this.width < LEAST_PX) return "the map of the book has ten minutes: zoom in or choose 1m to 5m";
    return `book since ${clock(this.map.first * SECOND, zone)}, hatched: not known`;
  }

  /** Paints if the chart has moved or a second has passed. */
  draw() {
    const { time: { edge, width, pixels }, prices, surface } = this.chart;
    const { low, high } = prices.bounds;
    const key = [edge, width, pixels, surface.height, low, high, prices.isLog, prices.floor, this.map.columns, this.map.version].join();
    if (key !== this.key) this.surface.invalidate();
    this.key = key;
    this.surface.draw();
  }

  // New columns; all of them where the scale of shades, the steps or the colours are others.
  shade(colours) {
    const { map, full } = this;
    const { large } = map;
    if (large > 0) full.fit(0, large);
    const key = `${full.high} ${map.version} ${colours.text}`;
    const from = key === this.shadedBy && this.shaded !== undefined ? Math.max(map.first, this.shaded + 1) : map.first;
    if (key !== this.shadedBy) this.ink = bytesOf(colours.text);
    for (let second = from; second <= map.last; second += 1) {
      map.shade(second, this.column.data, this.ink, full.high || 1);
      this.pixels.putImageData(this.column, second % COLUMNS, 0);
    }
    this.shadedBy = key;
    this.shaded = map.last;
  }

  paint(context, width, height, colours) {
    const { map, chart: { time, prices, shown } } = this;
    if (map.last === undefined || !shown || this.width < LEAST_PX || !(prices.span > 0)) return;
    const x = (second) => time.x(placeOf(second * SECOND, shown.interval));
    context.save();
    context.beginPath();
    context.rect(0, 0, time.pixels, prices.floor);
    context.clip();
    if (map.step !== undefined) {
      this.shade(colours);
      context.imageSmoothingEnabled = this.width < COLUMNS;
      this.copy(context, x);
    }
    this.hatchUnknown(context, x, colours);
    context.restore();
  }

  // The ring in at most two pieces, each in bands of price that are straight enough.
  copy(context, x) {
    const { map, chart: { prices } } = this;
    const bands = prices.isLog ? BANDS : 1;
    const tall = BINS / bands;
    for (let begin = map.first; begin <= map.last;) {
      const end = Math.min(map.last + 1, begin - (begin % COLUMNS) + COLUMNS);
      for (let band = 0; band < bands; band += 1) {
        const top = prices.y((map.base + BINS - band * tall) * map.step);
        const bottom = prices.y((map.base + BINS - (band + 1) * tall) * map.step);
        context.drawImage(this.image, begin % COLUMNS, band * tall, end - begin, tall, x(begin), top, x(end) - x(begin), bottom - top);
      }
      begin = end;
    }
  }

  // Times at which the book was not proven, and prices beyond the last level that was held.
  hatchUnknown(context, x, colours) {
    const { map, chart: { prices } } = this;
    const { floor } = prices;
    const path = new Path2D();
    const many = Math.max(1, Math.round(COLUMNS / this.width)); // seconds of a pixel
    for (let second = map.first; second <= map.last; second += many) {
      let [low, high] = [-Infinity, Infinity];
      const end = Math.min(map.last + 1, second + many);
      for (let each = second; each < end; each += 1) {
        const range = map.known(each) ?? [Infinity, -Infinity];
        low = Math.max(low, range[0]);
        high = Math.min(high, range[1]);
      }
      const left = x(second);
      const wide = x(end) - left;
      if (!(low < high)) path.rect(left, 0, wide, floor);
      else {
        const [top, bottom] = [prices.y(high), prices.y(low)];
        if (top > 0) path.rect(left, 0, wide, top);
        if (bottom < floor) path.rect(left, bottom, wide, floor - bottom);
      }
    }
    hatchPath(context, path, x(map.first), 0, x(map.last + 1) - x(map.first), floor, colours.muted);
  }
}
