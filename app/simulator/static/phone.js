// One follower's phone.

import { call, upload } from "./api.js";
import { ask, toast } from "./dialogs.js";
import { avatar, h, icon, replace } from "./dom.js";
import { itemRow } from "./items.js";
import { duration, t } from "./words.js";

const PRESETS = ["sunrise", "leaf", "sea"];
const NEAR_END = 40; // pixels: the last line is in sight

export class Phone {
  /** `hooks`: `select(phone)`, `close(phone)`, `changed()`. */
  constructor(account, follower, hooks) {
    this.account = account;
    this.follower = follower;
    this.hooks = hooks;
    this.screen = { items: [], menu: null, following: follower.following, windows: [], typing: false };
    this.loadedAt = performance.now();
    this.shown = new Set();
    this.typed = "";
    this.showsMenu = true;
    this.showsMore = false;
    this.openMenu = -1;
    const select = () => this.hooks.select(this);
    this.element = h("section", { class: "phone-slot", onpointerdown: select, onfocusin: select });
    this.draw();
  }

  get path() {
    return `accounts/${this.account.appid}/followers/${this.follower.openid}`;
  }

  // what is shown

  draw() {
    const name = this.follower.name;
    this.element.setAttribute("aria-label", t("phoneOf", { name }));
    this.log = h("div", { class: "log", role: "log", tabindex: "0", "aria-label": t("chat", { name: this.account.name }) });
    this.header = h("span", { class: "bar-title" });
    this.bottom = h("div", { class: "bottom" });
    this.state = h("span", { class: "state" });
    this.unfollowButton = h("button", { type: "button", class: "pill", onclick: () => this.act({ do: "unfollow" }) }, t("unfollow"));
    replace(
      this.element,
      h(
        "header",
        { class: "caption" },
        avatar(name),
        h("div", { class: "grow" }, h("strong", {}, name), this.state),
        this.iconButton("scan", t("scan"), () => this.scan()),
        this.iconButton("gear", t("settings"), () => this.settings()),
        this.iconButton("close", t("closePhone"), () => this.hooks.close(this)),
        this.unfollowButton,
      ),
      h("div", { class: "phone" }, h("div", { class: "bar" }, icon("back"), this.header, icon("menu")), this.log, this.bottom),
    );
    this.shown = new Set();
    this.look = null;
    this.fill();
  }

  iconButton(name, label, onclick) {
    return h("button", { type: "button", class: "icon-button", "aria-label": label, title: label, onclick }, icon(name));
  }

  async load() {
    this.screen = await call("GET", `${this.path}/screen`);
    this.loadedAt = performance.now();
    this.follower.following = this.screen.following;
    this.fill();
    if (this.screen.typing) setTimeout(() => this.load(), 15500);
  }

  fill() {
    const { following } = this.screen;
    this.header.textContent = this.screen.typing ? t("typing") : this.account.name;
    this.unfollowButton.hidden = !following;
    this.tick();
    this.items(this.screen.items);
    const look = JSON.stringify([following, this.screen.menu]);
    if (look === this.look) return; // drawn anew, the bottom would lose the focus and an unfinished click
    this.look = look;
    this.drawBottom();
  }

  /** What may still be sent, counted down; called every few seconds. */
  tick() {
    this.state.textContent = this.screen.following ? this.windowWords() : t("notFollowing");
  }

  windowWords() {
    const past = (performance.now() - this.loadedAt) / 1000;
    const live = this.screen.windows.filter((grant) => grant.left > 0 && grant.seconds > past);
    if (!live.length) return t("noWindow");
    const left = live.reduce((sum, grant) => sum + grant.left, 0);
    return t("windows", { left, time: duration(Math.max(...live.map((grant) => grant.seconds - past)), 1) });
  }

  /**
   * Adds what is not there yet, in its place: the stream and a fetched screen may overlap and come in
   * either order. The log only ever grows, so that each item is read out once.
   */
  items(items) {
    const names = { account: this.account.name, follower: this.follower.name };
    const tap = (id, text) => this.act({ do: "option", id, text });
    const fresh = items.filter((item) => !this.shown.has(item.id));
    if (fresh.length) this.log.querySelector(".hint")?.remove();
    for (const item of fresh) {
      const row = itemRow(item, names, tap);
      row.dataset.item = item.id;
      if (item.from === "me" && item.delivery) row.dataset.delivery = item.delivery;
      if (item.delivery) {
        row.title = t("rowHint");
        row.addEventListener("dblclick", () => this.hooks.showDelivery(item.delivery));
      }
      for (const image of row.querySelectorAll("img")) image.addEventListener("load", () => this.toEnd());
      let next = null;
      for (let before = this.log.lastChild; before && Number(before.dataset.item) > item.id; before = before.previousSibling) next = before;
      this.log.insertBefore(row, next);
      this.shown.add(item.id);
    }
    if (!this.log.childElementCount) this.log.append(this.hint());
    if (fresh.length) this.toEnd();
  }

  /** Shows that a message still waits for the account's server. */
  mark(delivery) {
    const row = this.log.querySelector(`[data-delivery="${delivery.id}"]`);
    if (row) row.classList.toggle("pending", delivery.state === "sending");
  }

  toEnd() {
    requestAnimationFrame(() => { this.log.scrollTop = this.log.scrollHeight; });
  }

  hint() {
    const words = this.screen.following ? t("emptyChat") : t("notFollowingHint");
    return h("div", { class: "hint" }, avatar(this.account.name, "square large"), h("strong", {}, this.account.name), h("p", {}, words));
  }

  drawBottom() {
    if (this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < NEAR_END) this.toEnd(); // the log may shrink now
    const hint = this.log.querySelector(".hint");
    if (hint) hint.replaceWith(this.hint());
    if (!this.screen.following) {
      replace(this.bottom, h("button", { type: "button", class: "follow-button", onclick: () => this.act({ do: "follow" }) }, t("follow"), " ", this.account.name));
      return;
    }
    const buttons = this.screen.menu?.button || [];
    if (buttons.length && this.showsMenu) this.drawMenu(buttons);
    else this.drawKeyboard(buttons.length > 0);
    this.toEnd();
  }

  drawMenu(buttons) {
    replace(
      this.bottom,
      h(
        "nav",
        { class: "menu-bar", "aria-label": t("accountMenu") },
        this.iconButton("keyboard", t("toKeyboard"), () => this.switchTo(false)),
        buttons.map((button, index) => this.menuButton(button, index)),
      ),
    );
  }

  menuButton(button, index) {
    const subs = button.sub_button || [];
    if (!subs.length) {
      return h("div", { class: "menu-cell" }, h("button", { type: "button", onclick: () => this.tapMenu(button, [index]) }, button.name));
    }
    const open = this.openMenu === index;
    const toggle = h(
      "button",
      { type: "button", "aria-haspopup": "true", "aria-expanded": String(open), onclick: () => this.toggleMenu(index) },
      h("span", { class: "burger", "aria-hidden": "true" }, "≡"),
      button.name,
    );
    const list = h(
      "div",
      { class: "sub-menu", hidden: !open, onkeydown: (event) => { if (event.key === "Escape") this.toggleMenu(index); } },
      subs.map((sub, place) => h("button", { type: "button", onclick: () => this.tapMenu(sub, [index, place]) }, sub.name)),
    );
    return h("div", { class: "menu-cell" }, list, toggle);
  }

  toggleMenu(index) {
    this.openMenu = this.openMenu === index ? -1 : index;
    this.drawBottom();
    const cell = this.bottom.querySelectorAll(".menu-cell")[index];
    cell.querySelector(this.openMenu === index ? ".sub-menu button" : "[aria-haspopup]").focus();
  }

  switchTo(menu) {
    this.showsMenu = menu;
    this.showsMore = false;
    this.openMenu = -1;
    this.drawBottom();
    this.bottom.querySelector("input, button")?.focus();
  }

  drawKeyboard(hasMenu) {
    const input = h("input", {
      type: "text",
      name: "message",
      autocomplete: "off",
      "aria-label": t("message"),
      placeholder: t("messageHint"),
      value: this.typed,
      oninput: () => {
        this.typed = input.value;
        send.hidden = !input.value;
        more.hidden = Boolean(input.value);
      },
      onkeydown: (event) => {
        if (event.key === "Enter" && !event.isComposing) {
          event.preventDefault();
          this.say();
        }
      },
    });
    const send = h("button", { type: "button", class: "send primary", hidden: !this.typed, onclick: () => this.say() }, t("send"));
    const more = this.iconButton("plus", t("more"), () => {
      this.showsMore = !this.showsMore;
      this.drawBottom();
      this.bottom.querySelector(this.showsMore ? ".more button" : "[aria-expanded]")?.focus();
    });
    more.hidden = Boolean(this.typed);
    more.setAttribute("aria-expanded", String(this.showsMore));
    const keep = this.bottom.contains(document.activeElement) && document.activeElement.name === "message";
    const at = keep ? document.activeElement.selectionStart : 0;
    replace(
      this.bottom,
      h("div", { class: "key-bar" }, hasMenu && this.iconButton("menu", t("toMenu"), () => this.switchTo(true)), input, send, more),
      this.showsMore && this.morePanel(),
    );
    if (keep) {
      input.focus();
      input.setSelectionRange(at, at);
    }
  }

  morePanel() {
    const things = [
      ["picture", () => this.sendPicture({ do: "picture" })],
      ["voice", () => this.act({ do: "voice" })],
      ["video", () => this.act({ do: "video" })],
      ["position", () => this.sendPlace({ do: "position" })],
      ["link", () => this.sendLink()],
      ["report", () => this.act({ do: "location" })],
    ];
    const icons = { report: "locate" };
    return h(
      "div",
      { class: "more" },
      things.map(([name, onclick]) => h("button", { type: "button", onclick }, h("span", { class: "tile" }, icon(icons[name] || name)), t(name))),
    );
  }

  // what is done

  async act(action) {
    try {
      return await call("POST", `${this.path}/actions`, action);
    } catch (error) {
      toast(error.message);
      return null;
    }
  }

  say() {
    const text = this.typed;
    if (!text.trim()) return;
    this.typed = "";
    this.drawBottom();
    this.bottom.querySelector("input")?.focus();
    this.act({ do: "text", text });
  }

  async tapMenu(button, path) {
    this.openMenu = -1;
    this.drawBottom();
    const action = { do: "menu", path };
    if (button.type.startsWith("scancode")) {
      const values = await ask(button.name, [
        { name: "result", label: t("scanResult"), value: "CPN-7F3K-92QX", required: true },
        { name: "scan_type", label: t("scanType"), type: "select", options: [["qrcode", t("qrcode")], ["barcode", t("barcode")]] },
      ], { submit: t("scan") });
      if (values) await this.act({ ...action, ...values });
    } else if (button.type.startsWith("pic_")) {
      await this.sendPicture(action, true);
    } else if (button.type === "location_select") {
      await this.sendPlace(action);
    } else {
      await this.act(action);
    }
  }

  async sendPicture(action, several = false) {
    const fields = [{ name: "upload", label: t("ownFile"), type: "file", accept: "image/png,image/jpeg,image/gif" }];
    if (several) fields.push({ name: "pictures", label: t("howMany"), type: "number", value: 1 });
    const presets = (done) => h(
      "div",
      { class: "presets" },
      PRESETS.map((preset) => h(
        "button",
        { type: "button", onclick: (event) => done({ preset, pictures: Number(event.currentTarget.form.elements.pictures?.value) || 1 }) },
        h("img", { src: `samples/${preset}.png`, alt: "" }),
        t(`preset_${preset}`),
      )),
    );
    const values = await ask(t("choosePicture"), fields, { submit: t("send"), extra: presets });
    if (!values) return;
    const whole = { ...action };
    if (several) whole.pictures = values.pictures || 1;
    try {
      if (values.upload) whole.file = await upload(this.account.appid, "image", values.upload);
      else whole.preset = values.preset || PRESETS[0];
    } catch (error) {
      toast(error.message);
      return;
    }
    await this.act(whole);
  }

  async sendPlace(action) {
    const values = await ask(t("position"), [
      { name: "label", label: t("placeLabel"), value: "上海市黄浦区人民大道200号", required: true },
      { name: "name", label: t("placeName"), value: "人民广场" },
      { name: "latitude", label: t("latitude"), type: "number", value: 31.230416, required: true },
      { name: "longitude", label: t("longitude"), type: "number", value: 121.473701, required: true },
    ], { submit: t("send") });
    if (values) await this.act({ ...action, place: values });
  }

  async sendLink() {
    const values = await ask(t("link"), [
      { name: "title", label: t("linkTitle"), value: "周末咖啡市集", required: true },
      { name: "description", label: t("linkText"), value: "本周六，人民广场见" },
      { name: "url", label: t("linkUrl"), value: "https://example.com/fair", required: true },
    ], { submit: t("send") });
    if (values) await this.act({ do: "link", ...values });
  }

  async scan() {
    const { codes } = await call("GET", `accounts/${this.account.appid}/codes`);
    const note = t(this.screen.following ? "scanHintFollowing" : "scanHintNew", { name: this.follower.name });
    const list = (done) => h(
      "fieldset",
      {},
      h("legend", {}, t("knownCodes")),
      codes.length
        ? h("div", { class: "codes" }, codes.map((code) => h(
            "button",
            { type: "button", onclick: () => done({ ticket: code.ticket }) },
            code.scene,
            h("small", {}, code.alive ? (code.ends_at === null ? t("permanent") : "") : t("codeExpired")),
          )))
        : h("p", { class: "note" }, t("noCodes")),
    );
    const values = await ask(t("scan"), [{ name: "scene", label: t("scene") }], { submit: t("scan"), note, extra: list });
    if (values && (values.ticket || values.scene)) await this.act({ do: "scan", ...values });
  }

  async settings() {
    const remove = (done) => h("button", { type: "button", class: "danger", onclick: () => done({ remove: true }) }, t("deleteFollower"));
    const values = await ask(t("settings"), [
      { name: "name", label: t("rename"), value: this.follower.name, required: true },
      { name: "tags", label: t("tags"), value: (this.follower.tags || []).join(",") },
    ], { submit: t("save"), note: this.follower.openid, extra: remove });
    if (!values) return;
    try {
      if (values.remove) await call("DELETE", this.path);
      else {
        const tags = values.tags.split(/[,，\s]+/).map(Number).filter((tag) => tag > 0);
        this.follower = { ...this.follower, ...(await call("PATCH", this.path, { name: values.name, tags })) };
        this.draw();
      }
      this.hooks.changed();
    } catch (error) {
      toast(error.message);
    }
  }
}
