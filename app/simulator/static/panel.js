// The side panel: deliveries with all that went over the wire, API calls, trouble, time, the account.

import { call } from "./api.js";
import { ask, fieldRow, read, toast } from "./dialogs.js";
import { h, replace } from "./dom.js";
import { clock, duration, known, t } from "./words.js";

const TABS = ["deliveries", "calls", "trouble", "account"];
const LABELS = { deliveries: "tabDeliveries", calls: "tabCalls", trouble: "tabTrouble", account: "tabAccount" };
const KEPT = 100;

const DELIVERY_FAULTS = ["slow", "drop_answer", "repeat", "unreachable", "forged", "stale", "wrong_key", "wrong_appid"];
const API_FAULTS = ["errcode", "expired_token", "quota", "slow_api", "http_500", "hang", "truncated", "html"];

export class Panel {
  /** `hooks`: `account()` and `phone()` give what is selected, `changed()` loads accounts again. */
  constructor(hooks) {
    this.hooks = hooks;
    this.tab = "deliveries";
    this.deliveries = [];
    this.calls = [];
    this.opened = null;
    this.detail = null;
    this.onlyOne = false;
    this.element = h("aside", { class: "panel" });
    this.draw();
  }

  draw() {
    this.element.setAttribute("aria-label", t("showPanel"));
    this.body = h("div", { class: "panel-body", role: "tabpanel", id: "panel-body", tabindex: "0" });
    this.tabs = h(
      "div",
      { class: "tabs", role: "tablist" },
      TABS.map((name) => h(
        "button",
        {
          type: "button",
          role: "tab",
          id: `tab-${name}`,
          "aria-controls": "panel-body",
          "aria-selected": String(name === this.tab),
          tabindex: name === this.tab ? "0" : "-1",
          onclick: () => this.show(name),
          onkeydown: (event) => this.moveTab(event),
        },
        t(LABELS[name]),
      )),
    );
    replace(this.element, this.tabs, this.body);
    this.body.setAttribute("aria-labelledby", `tab-${this.tab}`);
    this.drawBody();
  }

  moveTab(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = TABS[(TABS.indexOf(this.tab) + step + TABS.length) % TABS.length];
    this.show(next);
    this.tabs.querySelector(`#tab-${next}`).focus();
  }

  show(name) {
    this.tab = name;
    this.opened = null;
    this.draw();
    this.load();
  }

  /** Fetches what the open tab shows. */
  async load() {
    const account = this.hooks.account();
    if (!account) return this.drawBody();
    const query = new URLSearchParams({ appid: account.appid, limit: KEPT });
    if (this.tab === "deliveries") this.deliveries = (await call("GET", `deliveries?${query}`)).deliveries;
    if (this.tab === "calls") this.calls = (await call("GET", `calls?${query}`)).calls;
    if (this.tab === "trouble") {
      this.faults = (await call("GET", "faults")).faults;
      this.time = await call("GET", "time");
    }
    return this.drawBody();
  }

  drawBody() {
    const account = this.hooks.account();
    const parts = { deliveries: () => this.deliveryPart(), calls: () => this.callPart(account), trouble: () => this.troublePart(), account: () => this.accountPart(account) };
    replace(this.body, account ? parts[this.tab]() : null);
  }

  // news from the stream

  onDelivery(summary) {
    if (summary.appid !== this.hooks.account()?.appid) return;
    const at = this.deliveries.findIndex((each) => each.id === summary.id);
    if (at < 0) this.deliveries.unshift(summary);
    else this.deliveries[at] = summary;
    this.deliveries.length = Math.min(this.deliveries.length, KEPT);
    if (this.tab !== "deliveries") return;
    if (this.opened === summary.id) this.open(summary.id);
    else if (!this.opened) this.drawBody();
  }

  onCall(record) {
    if (record.appid && record.appid !== this.hooks.account()?.appid) return;
    this.calls.unshift(record);
    this.calls.length = Math.min(this.calls.length, KEPT);
    if (this.tab === "calls") this.drawBody();
  }

  // deliveries

  deliveryPart() {
    if (this.opened) return this.detail ? this.detailPart(this.detail) : h("p", { class: "note" }, t("loading"));
    const phone = this.hooks.phone();
    const shown = this.onlyOne && phone ? this.deliveries.filter((each) => each.openid === phone.follower.openid) : this.deliveries;
    return [
      phone && h(
        "div",
        { class: "toolbar" },
        h("button", { type: "button", "aria-pressed": String(!this.onlyOne), onclick: () => this.filter(false) }, t("allPhones")),
        h("button", { type: "button", "aria-pressed": String(this.onlyOne), onclick: () => this.filter(true) }, t("onlyPhone", { name: phone.follower.name })),
      ),
      shown.length ? h("ul", { class: "rows" }, shown.map((each) => this.deliveryRow(each))) : h("p", { class: "note" }, t("noDeliveries")),
    ];
  }

  filter(onlyOne) {
    this.onlyOne = onlyOne;
    this.drawBody();
  }

  deliveryRow(summary) {
    return h(
      "li",
      {},
      h(
        "button",
        { type: "button", class: "row-button", onclick: () => this.open(summary.id) },
        h("time", {}, clock(summary.at)),
        h("span", { class: "grow" }, kindWords(summary)),
        summary.attempt_count > 1 && h("span", { class: "chip" }, `×${summary.attempt_count}`),
        summary.ms !== null && h("span", { class: "ms" }, `${Math.round(summary.ms)} ms`),
        stateChip(summary.state),
      ),
    );
  }

  async open(id) {
    if (this.tab !== "deliveries") {
      this.tab = "deliveries";
      this.draw();
    }
    const fresh = this.opened !== id;
    this.opened = id;
    if (fresh) {
      this.detail = null;
      this.trace = null;
      this.drawBody();
    }
    const detail = await call("GET", `deliveries/${id}`);
    if (this.opened !== id) return;
    this.detail = detail;
    this.drawBody();
    if (fresh) this.body.querySelector("button")?.focus({ preventScroll: true });
    if (detail.state !== "sending" && !this.trace) {
      this.trace = await call("GET", `deliveries/${id}/trace`);
      if (this.opened === id) this.drawBody();
    }
  }

  detailPart(detail) {
    return [
      h("button", { type: "button", class: "back", onclick: () => { this.opened = null; this.load(); } }, "‹ ", t("back")),
      h("h2", {}, kindWords(detail), " ", stateChip(detail.state)),
      detail.reason && h("p", { class: "warning" }, detail.reason),
      detail.same_answer !== null && h("p", { class: detail.same_answer ? "good" : "warning" }, t(detail.same_answer ? "same" : "different")),
      h("dl", {}, h("dt", {}, t("key")), h("dd", { class: "mono" }, detail.key), Object.entries(detail.key_fields).map(([name, value]) => [h("dt", {}, name), h("dd", { class: "mono" }, value)])),
      h("h3", {}, t("attempts")),
      this.attemptList(detail.attempts),
      h("h3", {}, t("rawIn")),
      xmlBlock(detail.raw_in.plain),
      detail.raw_in.sent !== detail.raw_in.plain && more(t("rawInSent"), xmlBlock(detail.raw_in.sent)),
      h("h3", {}, detail.raw_out.plain !== detail.raw_out.received ? t("rawOutPlain") : t("rawOut")),
      xmlBlock(detail.raw_out.plain),
      detail.raw_out.plain !== detail.raw_out.received && more(t("rawOut"), xmlBlock(detail.raw_out.received)),
      h("h3", {}, t("trace")),
      this.tracePart(),
      h("div", { class: "toolbar" }, h("button", { type: "button", onclick: () => this.repeat(detail) }, t("again"))),
    ];
  }

  attemptList(attempts) {
    const longest = Math.max(1, ...attempts.map((attempt) => attempt.ms || 0));
    return h("ul", { class: "attempts" }, attempts.map((attempt) => h(
      "li",
      { class: attempt.copied ? "copied" : "" },
      h("span", {}, attempt.copied ? t("copied") : t("attempt", { number: attempt.number })),
      h("time", {}, clock(attempt.started)),
      h("meter", { min: 0, max: longest, value: attempt.ms || 0, "aria-hidden": "true" }),
      h("span", { class: "ms" }, attempt.ms === null ? "…" : `${attempt.ms} ms`),
      h("span", { class: "chip" }, attempt.status ? `${attempt.status} ` : "", t(`outcome_${attempt.outcome}`)),
      h("small", {}, attempt.reason || attempt.request.url),
    )));
  }

  tracePart() {
    if (!this.trace) return h("p", { class: "note" }, t("loading"));
    if (!this.trace.trace) return h("p", { class: "note" }, t("noTrace", { why: this.trace.why }));
    const { why = {}, ...rest } = this.trace.trace;
    const told = Object.entries({ ...why, answered: rest.answered, tries: rest.tries }).filter(([, value]) => value !== undefined);
    return [
      h("dl", {}, told.map(([name, value]) => [h("dt", {}, known(`why_${name}`) ? t(`why_${name}`) : name), h("dd", { class: "mono" }, typeof value === "object" ? JSON.stringify(value) : value)])),
      more("JSON", h("pre", { tabindex: "0" }, JSON.stringify(this.trace.trace, null, 2))),
    ];
  }

  async repeat(detail) {
    const values = await ask(t("again"), [{ name: "url", label: t("againUrl"), placeholder: "http://127.0.0.1:8001/wechat/…" }], { submit: t("again") });
    if (!values) return;
    try {
      await call("POST", `deliveries/${detail.id}/repeat`, values);
      await this.open(detail.id);
      this.body.scrollTop = 0; // what came of it stands on top
    } catch (error) {
      toast(error.message);
    }
  }

  // API calls

  callPart(account) {
    if (!this.calls.length) return [h("p", { class: "note" }, t("noCalls")), h("code", { class: "block" }, platformUrl()), h("p", { class: "note" }, account.appid)];
    return h("ul", { class: "rows" }, this.calls.map((record) => {
      const code = /"errcode":(-?\d+)/.exec(record.answer)?.[1];
      const bad = record.status !== 200 || (code && code !== "0");
      return h("li", {}, h(
        "details",
        {},
        h(
          "summary",
          { class: "row-button" },
          h("time", {}, clock(record.at)),
          h("span", { class: "grow mono" }, record.path),
          h("span", { class: "ms" }, `${Math.round(record.ms)} ms`),
          h("span", { class: `chip ${bad ? "chip-bad" : "chip-good"}` }, record.status !== 200 ? `HTTP ${record.status}` : code || "0"),
        ),
        record.body && h("pre", { tabindex: "0" }, record.body),
        h("pre", { tabindex: "0" }, record.answer),
      ));
    }));
  }

  // trouble and time

  troublePart() {
    if (!this.faults) return h("p", { class: "note" }, t("loading"));
    return [this.timePart(), h("h3", {}, t("faults")), this.faultList(), this.faultForm()];
  }

  timePart() {
    const steps = [["minute", 60], ["hour", 3600], ["day", 86400], ["threeDays", 259200]];
    const moved = this.time.offset_seconds;
    return [
      h("h3", {}, t("time")),
      h("p", {}, t("timeNow", { time: clock(this.time.now, { dateStyle: "medium", timeStyle: "medium" }) }), " · ", moved ? t("moved", { time: duration(moved) }) : t("notMoved")),
      h("div", { class: "toolbar" }, steps.map(([name, seconds]) => h("button", { type: "button", onclick: () => this.advance(seconds) }, t(name)))),
      h("p", { class: "note" }, t("timeHint")),
    ];
  }

  async advance(seconds) {
    this.time = await call("POST", "time", { advance_seconds: seconds });
    this.drawBody();
    this.hooks.refresh();
  }

  faultList() {
    if (!this.faults.length) return h("p", { class: "note" }, t("noFaults"));
    return h("ul", { class: "rows" }, this.faults.map((fault, index) => h(
      "li",
      { class: "fault" },
      h("span", { class: "grow" }, t(`fault_${fault.kind}`), fault.code ? ` ${fault.code}` : "", fault.ms ? ` ${fault.ms} ms` : ""),
      h("span", { class: "chip" }, fault.count === null ? t("always") : t("left", { count: fault.count })),
      h("button", { type: "button", onclick: () => this.putFaults(this.faults.filter((_, each) => each !== index)) }, t("removeFault")),
    )));
  }

  faultForm() {
    const kinds = [...DELIVERY_FAULTS, ...API_FAULTS].map((kind) => [kind, t(`fault_${kind}`)]);
    const fields = [
      { name: "kind", label: t("faultKind"), type: "select", options: kinds },
      { name: "count", label: t("times"), type: "number", value: 1 },
      { name: "ms", label: t("milliseconds"), type: "number", value: 1000 },
      { name: "code", label: t("code"), type: "number", value: 45047 },
      { name: "times", label: t("copies"), type: "number", value: 1 },
    ];
    const uses = { slow: ["ms"], slow_api: ["ms"], hang: ["ms"], errcode: ["code"], repeat: ["times"] };
    const form = h("form", { class: "stack", onsubmit: (event) => {
      event.preventDefault();
      const values = read(form, fields);
      const fault = { kind: values.kind, count: values.count };
      for (const name of uses[values.kind] || []) fault[name] = values[name] ?? 0;
      this.putFaults([...this.faults, fault]);
    } }, fields.map(fieldRow), h("button", { type: "submit", class: "primary" }, t("addFault")));
    const adapt = () => {
      const wanted = uses[form.elements.kind.value] || [];
      for (const name of ["ms", "code", "times"]) form.elements[name].closest("label").hidden = !wanted.includes(name);
    };
    form.elements.kind.addEventListener("change", adapt);
    adapt();
    return form;
  }

  async putFaults(faults) {
    try {
      this.faults = (await call("PUT", "faults", { faults })).faults;
    } catch (error) {
      toast(error.message);
    }
    this.drawBody();
  }

  async reloadFaults() {
    if (this.tab === "trouble" && !this.body.contains(document.activeElement)) await this.load();
  }

  // the account

  accountPart(account) {
    const told = [
      ["AppID", account.appid],
      ["AppSecret", account.secret],
      ["Token", account.token],
      ["EncodingAESKey", account.aes_key],
      [t("name"), account.name],
      ["gh_", account.original_id],
      [t("mode"), t(`mode_${account.mode}`)],
      [t("kindOf"), `${t(`kind_${account.kind}`)}${account.verified ? ` · ${t("verified")}` : ""}`],
      [t("callback"), account.url || t("noUrl")],
      [t("apiBase"), platformUrl()],
    ];
    return [
      h("h3", {}, t("credentials")),
      h("dl", {}, told.map(([name, value]) => [h("dt", {}, known(`why_${name}`) ? t(`why_${name}`) : name), h("dd", { class: "mono" }, value)])),
      h("div", { class: "toolbar" }, h("button", { type: "button", onclick: () => this.editAccount(account) }, t("editAccount"))),
    ];
  }

  async editAccount(account) {
    const values = await ask(t("editAccount"), accountFields(account), { submit: t("save") });
    if (!values) return;
    try {
      await call("PATCH", `accounts/${account.appid}`, values);
      this.hooks.changed();
    } catch (error) {
      toast(error.message);
    }
  }
}

export function accountFields(account = {}) {
  return [
    { name: "name", label: t("name"), value: account.name || "拾光咖啡", required: true },
    { name: "url", label: t("callback"), value: account.url || "", placeholder: "http://127.0.0.1:8000/wechat/…", hint: t("callbackHint") },
    { name: "mode", label: t("mode"), type: "select", value: account.mode || "safe", options: ["safe", "compat", "plain"].map((mode) => [mode, t(`mode_${mode}`)]) },
    { name: "kind", label: t("kindOf"), type: "select", value: account.kind || "service", options: ["service", "subscription"].map((kind) => [kind, t(`kind_${kind}`)]) },
    { name: "verified", label: t("verified"), type: "checkbox", value: account.verified ?? true },
    { name: "verify", label: t("verify"), type: "checkbox", value: true },
  ];
}

function platformUrl() {
  return new URL("platform", location.href.split("#")[0]).href;
}

function kindWords(delivery) {
  const name = delivery.msg_type === "event" ? delivery.event : delivery.msg_type;
  return known(`kind_${name}`) ? t(`kind_${name}`) : name;
}

function stateChip(state) {
  const look = { shown: "chip-good", failed: "chip-bad", unsent: "chip-bad", interrupted: "chip-bad" }[state] || "";
  return h("span", { class: `chip ${look}` }, t(`state_${state}`));
}

function more(title, content) {
  return h("details", {}, h("summary", {}, title), content);
}

function xmlBlock(text) {
  if (!text) return h("p", { class: "note" }, t("empty"));
  return h("pre", { tabindex: "0" }, indent(text));
}

/** Line breaks between elements, so that a body on one line can be read. What is no XML stays as it is. */
function indent(xml) {
  if (!xml.startsWith("<")) return xml;
  let out = "";
  let depth = 0;
  let last = "";
  const line = (piece) => { out += `${out ? "\n" : ""}${"  ".repeat(depth)}${piece}`; };
  for (const [piece] of xml.matchAll(/<!\[CDATA\[[\s\S]*?\]\]>|<[^>]*>|[^<]+/g)) {
    if (piece.startsWith("</")) {
      depth = Math.max(0, depth - 1);
      if (last === "close") line(piece);
      else out += piece;
      last = "close";
    } else if (/^<[^!?]/.test(piece)) {
      line(piece);
      if (piece.endsWith("/>")) last = "close";
      else {
        depth += 1;
        last = "open";
      }
    } else if (piece.trim()) {
      out += piece;
      last = "text";
    }
  }
  return out;
}
