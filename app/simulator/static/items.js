// One thing on a screen, as WeChat shows it.

import { avatar, h, icon } from "./dom.js";
import { outside, richText } from "./richtext.js";
import { t } from "./words.js";

/** The row of an item; `names` has `account` and `follower`, `tap` sends an option. */
export function itemRow(item, names, tap) {
  if (item.from === "system") {
    return h("div", { class: `system ${item.kind === "fault" ? "system-fault" : ""}` }, h("span", {}, systemLine(item)));
  }
  const mine = item.from === "me";
  const body = BODIES[item.kind] ? BODIES[item.kind](item, tap) : bubble(item.kind);
  return h(
    "div",
    { class: `row ${mine ? "mine" : "theirs"}` },
    avatar(mine ? names.follower : names.account, mine ? "" : "square"),
    h("div", { class: "said" }, body),
  );
}

function systemLine(item) {
  if (item.kind === "page") return [t("openedPage"), " ", outside(item.url, item.url)];
  if (item.kind === "miniprogram_opened") return t("openedMini", { path: item.path });
  if (item.kind === "article_opened") return t("openedArticle", { id: item.article_id });
  return item.text;
}

function bubble(...children) {
  return h("div", { class: "bubble" }, children);
}

function media(item) {
  return `media/${encodeURIComponent(item.media_id)}`;
}

function gone() {
  return h("div", { class: "gone" }, t("missing"));
}

function picture(item) {
  if (item.missing) return gone();
  return h(
    "a",
    { href: media(item), target: "_blank", rel: "noopener", class: "photo" },
    h("img", { src: media(item), alt: t("picture") }),
  );
}

function voice(item) {
  if (item.missing) return gone();
  return h(
    "a",
    { href: media(item), target: "_blank", rel: "noopener", class: "bubble voice", "aria-label": t("voice") },
    icon("wave"),
    h("span", {}, t("voice")),
  );
}

function video(item) {
  if (item.missing) return gone();
  return h(
    "a",
    { href: media(item), target: "_blank", rel: "noopener", class: "card video", "aria-label": t("video") },
    h("span", { class: "screen" }, icon("play")),
    item.title && h("strong", {}, item.title),
    item.description && h("span", { class: "small" }, item.description),
  );
}

function music(item) {
  return h(
    "div",
    { class: "card side" },
    h("div", { class: "grow" }, h("strong", {}, item.title || t("music")), h("span", { class: "small" }, item.description)),
    h("span", { class: "thumb dark" }, icon("play")),
  );
}

function news(item) {
  const [first, ...rest] = item.articles;
  return h(
    "div",
    { class: "card news" },
    article(first, item, 0),
    rest.map((each, index) => article(each, item, index + 1, true)),
  );
}

function article(each, item, number, small = false) {
  const image = h("img", { src: `items/${item.id}/pictures/${number}`, alt: "", class: small ? "thumb" : "cover" });
  const words = [h("strong", {}, each.title), !small && each.description && h("span", { class: "small" }, each.description)];
  const inside = small ? [h("span", { class: "grow" }, words), image] : [image, ...words];
  const attributes = { class: small ? "article side" : "article" };
  if (!/^https?:\/\//i.test(each.url)) return h("div", attributes, inside);
  return h("a", { ...attributes, href: each.url, target: "_blank", rel: "noopener noreferrer" }, inside);
}

function place(item) {
  return h(
    "div",
    { class: "card place" },
    h("strong", {}, item.name || item.label),
    h("span", { class: "small" }, item.label),
    h("div", { class: "map", title: `${item.latitude}, ${item.longitude}` }, icon("position")),
  );
}

function link(item) {
  return h(
    "div",
    { class: "card" },
    h("strong", {}, outside(item.url, item.title)),
    h(
      "div",
      { class: "side" },
      h("span", { class: "small grow" }, item.description),
      h("span", { class: "thumb" }, icon("link")),
    ),
  );
}

function menu(item, tap) {
  return bubble(
    item.head && h("div", {}, richText(item.head, tap)),
    h(
      "ul",
      { class: "options" },
      item.options.map((option) =>
        h("li", {}, h("button", { type: "button", class: "inline-option", onclick: () => tap(option.id, option.text) }, option.text)),
      ),
    ),
    item.tail && h("div", {}, richText(item.tail, tap)),
  );
}

function miniProgram(item) {
  return h(
    "div",
    { class: "card" },
    h("span", { class: "small" }, t("miniProgram")),
    h("strong", {}, item.title),
    item.missing ? gone() : h("img", { src: media(item), alt: "", class: "cover" }),
  );
}

const BODIES = {
  text: (item, tap) => bubble(richText(item.text, tap)),
  image: picture,
  voice,
  video,
  music,
  news,
  location: place,
  link,
  menu,
  miniprogram: miniProgram,
  article: (item) => h("div", { class: "card" }, h("span", { class: "small" }, t("article")), h("strong", {}, item.article_id)),
};
