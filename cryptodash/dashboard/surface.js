// A canvas that fills its host, sharp on any screen, painted only when something changed.

import { setAttr } from "./dom.js";

const NAMES = ["panel", "text", "muted", "line", "up", "down", "overlay1", "overlay2", "overlay3"];

/** The font of every text on a canvas. */
const FONT = "11px system-ui, sans-serif";

/** Dash patterns, so that lines differ without colour. */
export const DASHES = [[], [6, 3], [2, 3], [9, 3, 2, 3], [4, 2], [1, 2]];

export class Surface {
  /** `paint(context, width, height, colours, unit)` draws everything in CSS pixels; `unit` is one pixel of the screen. */
  constructor(host, paint) {
    this.host = host;
    this.paint = paint;
    this.canvas = document.createElement("canvas");
    this.canvas.className = "surface";
    this.canvas.setAttribute("aria-hidden", "true");
    host.append(this.canvas);
    this.context = this.canvas.getContext("2d");
    this.width = this.height = 0;
    this.dirty = true;
    this.colours = undefined;
    // The observer tells the size: asking the host for it while drawing would cost a layout each time.
    this.sizes = new ResizeObserver(([{ contentRect }]) => {
      this.width = contentRect.width;
      this.height = contentRect.height;
      this.unit = undefined;
      this.soon();
    });
    this.sizes.observe(host);
    this.repaint = () => {
      this.colours = undefined;
      this.soon();
    };
    this.dark = matchMedia("(prefers-color-scheme: dark)");
    document.addEventListener("themechange", this.repaint);
    this.dark.addEventListener("change", this.repaint);
  }

  /** Take it away again. */
  end() {
    this.sizes.disconnect();
    document.removeEventListener("themechange", this.repaint);
    this.dark.removeEventListener("change", this.repaint);
    this.canvas.remove();
  }

  /** Large faint words behind the picture: whose numbers these are, when they are not a venue's. */
  mark(text) {
    setAttr(this.host, "data-mark", text || null);
  }

  /** To be painted with the next draw(). */
  invalidate() {
    this.dirty = true;
  }

  /** To be painted with the next frame: for the hand of the user, never for data. */
  soon() {
    this.dirty = true;
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => {
      this.asked = false;
      this.draw();
    });
  }

  /** Paints if there is something new and somebody can see it. */
  draw() {
    const { width, height } = this;
    const unit = 1 / (devicePixelRatio || 1);
    if (unit !== this.unit) {
      this.unit = unit;
      this.dirty = true;
      this.canvas.width = Math.round(width / unit);
      this.canvas.height = Math.round(height / unit);
    }
    if (!this.dirty || width < 40 || height < 40) return;
    this.dirty = false;
    this.colours ??= this.readColours();
    this.context.setTransform(1 / unit, 0, 0, 1 / unit, 0, 0);
    this.context.clearRect(0, 0, width, height);
    this.context.font = FONT;
    this.context.textBaseline = "middle";
    this.paint(this.context, width, height, this.colours, unit);
  }

  readColours() {
    const style = getComputedStyle(this.host);
    return Object.fromEntries(NAMES.map((name) => [name, style.getPropertyValue(`--${name}`).trim() || style.color]));
  }
}

/** Nearest whole pixel of the screen. */
export const snap = (value, unit) => Math.round(value / unit) * unit;

/** A filled tag with a text in it, `x` its left edge and `y` its middle. */
export function tag(context, text, x, y, back, front, align = "left") {
  const width = context.measureText(text).width + 8;
  const left = align === "left" ? x : align === "right" ? x - width : x - width / 2;
  context.fillStyle = back;
  context.fillRect(left, y - 8, width, 16);
  context.fillStyle = front;
  context.textAlign = "left";
  context.fillText(text, left + 4, y + 0.5);
}

/** Slanted lines over a part that is not to be trusted. */
export function hatch(context, left, top, width, height, colour) {
  const path = new Path2D();
  path.rect(left, top, width, height);
  hatchPath(context, path, left, top, width, height, colour);
}

/** Slanted lines over what lies inside a path, which lies in this box. */
export function hatchPath(context, path, left, top, width, height, colour) {
  context.save();
  context.clip(path);
  context.strokeStyle = colour;
  context.globalAlpha = 0.35;
  context.lineWidth = 1;
  context.beginPath();
  for (let x = left - height - (left % 8); x < left + width; x += 8) {
    context.moveTo(x, top + height);
    context.lineTo(x + height, top);
  }
  context.stroke();
  context.restore();
}
