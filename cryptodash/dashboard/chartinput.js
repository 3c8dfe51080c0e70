// What a pointer, a wheel and the keys do to a chart.

import { clamp } from "./timeaxis.js";

/** Drag on the axis of prices by so many pixels: e times as much price. */
const STRETCH_PX = 150;

export class ChartInput {
  /** Listens on `chart.plot`. */
  constructor(chart) {
    this.chart = chart;
    this.pointers = new Map();
    this.stretching = undefined; // the pointer that drags the axis of prices
    const { plot } = chart;
    plot.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
    plot.addEventListener("pointerdown", (event) => this.down(event));
    plot.addEventListener("pointermove", (event) => this.move(event));
    for (const name of ["pointerup", "pointercancel"]) plot.addEventListener(name, ({ pointerId }) => this.up(pointerId));
    plot.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && chart.leave());
    plot.addEventListener("dblclick", (event) => this.double(event));
    plot.addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey && this.key(event)) {
        event.preventDefault();
        event.stopPropagation();
      }
    });
  }

  onPrices({ offsetX }) {
    return offsetX > this.chart.time.pixels;
  }

  // A button on the plot has its own coordinates, and its own meaning.
  isPlot({ target }) {
    return target === this.chart.plot || target === this.chart.surface.canvas;
  }

  wheel(event) {
    const { chart } = this;
    if (!chart.shown) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 16 : 1;
    if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) chart.pan((event.deltaX || event.deltaY) * lines / chart.time.width);
    else chart.zoom(Math.exp(clamp(-event.deltaY * lines, -200, 200) * 0.002), event.offsetX);
  }

  down(event) {
    if (!this.isPlot(event)) return;
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    this.chart.plot.setPointerCapture(event.pointerId);
    if (this.onPrices(event) && this.pointers.size === 1) this.stretching = event.pointerId;
    else if (event.pointerType !== "mouse") this.hover(event);
  }

  up(id) {
    this.pointers.delete(id);
    if (id === this.stretching) this.stretching = undefined;
  }

  move(event) {
    const { chart } = this;
    if (!chart.shown) return;
    const before = this.pointers.get(event.pointerId);
    if (before === undefined) {
      this.hover(event);
      return;
    }
    const [x, y] = before;
    if (event.pointerId === this.stretching) chart.stretch(Math.exp((event.offsetY - y) / STRETCH_PX));
    else if (this.pointers.size === 2) this.pinch(event, x);
    else chart.pan((x - event.offsetX) / chart.time.width, event.offsetY - y);
    this.pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    if (event.pointerType === "mouse" && this.stretching === undefined) this.hover(event);
  }

  pinch(event, x) {
    const [other] = [...this.pointers].filter(([id]) => id !== event.pointerId).map(([, [each]]) => each);
    const before = Math.abs(x - other);
    const after = Math.abs(event.offsetX - other);
    if (before > 8 && after > 8) this.chart.zoom(after / before, (event.offsetX + other) / 2);
  }

  double(event) {
    if (!this.isPlot(event)) return;
    if (this.onPrices(event)) this.chart.autoScale();
    else this.chart.follow();
  }

  hover(event) {
    if (this.isPlot(event)) this.chart.hover(event.offsetX, event.offsetY);
  }

  key({ key, shiftKey }) {
    const { chart } = this;
    const { time, shown } = chart;
    if (!shown) return false;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[key];
    const taller = { ArrowUp: 0.8, ArrowDown: 1.25 }[key];
    // What moves the picture does so while its bars are still on their way.
    if (step && shiftKey) chart.pan(step * Math.max(1, Math.round(time.pixels / time.width / 10)));
    else if (taller && shiftKey) chart.stretch(taller);
    else if (key === "+" || key === "=") chart.zoom(1.25);
    else if (key === "-") chart.zoom(0.8);
    else if (key === "End") chart.follow();
    else return shown.last !== undefined && this.read(key, step);
    return true;
  }

  // Keys that go from bar to bar.
  read(key, step) {
    const { chart } = this;
    const { shown, cross } = chart;
    const at = cross?.slot ?? shown.last.slot + 1;
    if (step) chart.point(clamp(at + step, shown.first.slot, shown.last.slot));
    else if (key === "Home") chart.point(shown.first.slot);
    else if (key === "Enter") chart.speak();
    else if (key === "Escape" && cross) chart.leave();
    else return false;
    return true;
  }
}
