// The view of alerts: the form, how one is told, and the list.

import { marketOf, amountText } from "./alertengine.js";
import { AlertForm } from "./alertform.js";
import { Rows, button, cells, el, setAttr, setClass, setText, show, table } from "./dom.js";
import { DASH } from "./format.js";
import { marketHash } from "./route.js";
import { KINDS } from "./rules.js";

const NOTE = "Alerts work while this page is open, on any of its views and in a hidden tab. A value that cannot be trusted never fires a price, spread or "
  + "venue alert; arm the last kind to hear of that. Venues are compared by quotes of one moment, put together by the server. Where a share's price "
  + "jumps as by a split, its alerts are switched off and say so.";

export class AlertsView {
  constructor(app) {
    this.app = app;
    this.form = new AlertForm(app, "alert", () => {});
    this.ask = button("", () => this.askNotify());
    this.askText = el("span", { class: "muted", role: "status" });
    this.sound = button("", () => this.toggleSound());
    const columns = ["Market", "Condition", ["Now", "number"], "State", "Fired", ""];
    const { element, body } = table("Alerts", columns, { class: "grid natural" });
    this.rows = new Rows(body, () => this.makeRow());
    this.none = el("p", { class: "empty" }, "No alerts yet.");
    this.list = el("div", { class: "scroll" }, element);
    this.element = el("section", { class: "alerts", "aria-label": "Alerts" }, el("h1", { class: "unseen" }, "Alerts"),
      el("div", { class: "panel" }, el("h2", {}, "New alert"), this.form.element, el("p", { class: "muted" }, NOTE)),
      el("div", { class: "panel" }, el("div", { class: "filters" }, el("h2", {}, "Alerts"), this.sound, this.ask, this.askText), this.none, this.list));
  }

  makeRow() {
    const row = cells(["", "", "number wrap", "state", "wrap", "actions"]);
    row.link = el("a");
    row.cells[0].append(row.link);
    const { alerts } = this.app;
    row.arm = button("", () => alerts.toggle(row.alert), { class: "small" });
    row.remove = button("delete", () => alerts.remove(row.alert.id), { class: "small" });
    row.cells[5].append(row.arm, row.remove);
    return row;
  }

  show() {
    const market = this.app.last?.exchange ? this.app.last : this.app.first();
    if (!this.form.market.value && market) this.form.fill({ ...market, market_type: market.market });
    this.drawWays();
  }

  hide() {
    this.form.release();
  }

  title() {
    return undefined;
  }

  key() {
    return false;
  }

  async askNotify() {
    if (this.app.settings.get("notify")) this.app.settings.set("notify", false);
    else if (typeof Notification !== "undefined") this.app.settings.set("notify", (await Notification.requestPermission()) === "granted");
    this.drawWays();
  }

  toggleSound() {
    const { sound } = this.app.alerts.notices;
    this.app.settings.set("sound", !this.app.settings.get("sound"));
    if (this.app.settings.get("sound")) sound.wake();
    sound.play();
    this.drawWays();
  }

  drawWays() {
    const supported = typeof Notification !== "undefined";
    const on = supported && this.app.settings.get("notify") && Notification.permission === "granted";
    show(this.ask, supported && Notification.permission !== "denied");
    setText(this.ask, on ? "Stop notifying me outside of this page" : "Notify me outside of this page too");
    setText(this.askText, !supported ? "This browser shows no notifications for this page (it may need https)."
      : Notification.permission === "denied" ? "Notifications are blocked for this page in the browser's settings." : "");
    const { sound } = this.app.alerts.notices;
    show(this.sound, sound.isSupported);
    setText(this.sound, "Sound");
    setAttr(this.sound, "aria-pressed", String(this.app.settings.get("sound")));
    setAttr(this.sound, "title", "Two short tones when an alert fires. After a reload they need one click or key on the page.");
  }

  draw(now) {
    if (!this.form.market.value && document.activeElement !== this.form.market) this.show();
    this.form.draw(now);
    const { all } = this.app.alerts;
    show(this.none, all.length === 0);
    show(this.list, all.length > 0);
    this.rows.fill([...all].reverse(), (row, alert) => this.drawRow(row, alert));
  }

  drawRow(row, alert) {
    const { alerts } = this.app;
    const { exchange, market, symbol, from } = alert;
    const instrument = alerts.instrument(alert);
    row.alert = alert;
    const [, condition, now, state, fired] = row.cells;
    setText(row.link, marketOf(alert));
    setAttr(row.link, "href", marketHash({ exchange, market_type: market, symbol }));
    setText(condition, `${KINDS[alert.kind].text} ${amountText(alert, alert.level, instrument)}${from ? ` from ${from}` : ""}`);
    setText(now, this.nowText(alert, instrument));
    setText(state, alert.state);
    setClass(state, `state ${{ armed: "good", fired: "bad", off: "waiting" }[alert.state]}`);
    setText(fired, alert.firedAt ? alerts.firedText(alert) : DASH);
    setText(row.arm, alert.state === "armed" ? "off" : "arm again");
    setAttr(row.arm, "aria-label", `${alert.state === "armed" ? "Switch off" : "Arm again"}: ${marketOf(alert)}`);
    setAttr(row.remove, "aria-label", `Delete: ${marketOf(alert)} ${KINDS[alert.kind].text}`);
  }

  nowText(alert, instrument) {
    const { alerts } = this.app;
    const watch = alerts.watches.get(alert.id);
    if (!watch) return DASH;
    const reading = alerts.reading(watch);
    const said = reading !== undefined ? amountText(alert, reading, instrument) : watch.topic || !instrument ? "not trusted" : "one venue only";
    return [said, alerts.leftOut(watch)].filter(Boolean).join("; ");
  }
}
