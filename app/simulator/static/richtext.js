// Text of a message as WeChat shows it: links, click-to-send links, line breaks. Everything else of
// what looks like markup is text.

import { h } from "./dom.js";

const TOKEN = /<a\s+([^<>]*)>([^<>]*)<\/a>|(https?:\/\/[^\s<>"'，。；！？、）】]+)/gi;
const HREF = /href\s*=\s*(?:"([^"]*)"|'([^']*)')/i;

/** Nodes for a message text; `tap(id, text)` is called for a click-to-send link. */
export function richText(text, tap) {
  const nodes = [];
  let at = 0;
  for (const found of text.matchAll(TOKEN)) {
    nodes.push(text.slice(at, found.index));
    at = found.index + found[0].length;
    nodes.push(found[3] ? outside(found[3], found[3]) : anchor(found[1], found[2], tap) || found[0]);
  }
  nodes.push(text.slice(at));
  return nodes.filter((node) => node !== "");
}

function anchor(attributes, words, tap) {
  const found = HREF.exec(attributes);
  const href = (found && (found[1] ?? found[2])) || "";
  if (/^https?:\/\//i.test(href)) return outside(href, words);
  if (/^weixin:\/\/bizmsgmenu\?/i.test(href)) return option(href, words, tap);
  return null;
}

export function outside(url, words) {
  if (!/^https?:\/\//i.test(url)) return words;
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer" }, words);
}

function option(href, words, tap) {
  const query = new URLSearchParams(href.slice(href.indexOf("?") + 1).replaceAll("&amp;", "&"));
  const text = query.get("msgmenucontent") || words;
  const id = query.get("msgmenuid") || "0";
  return h("button", { type: "button", class: "inline-option", onclick: () => tap(id, text) }, words);
}
