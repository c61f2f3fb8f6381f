// Puts the page together: accounts on top, phones in the middle, the panel at the side.

import { call } from "./api.js";
import { ask, toast } from "./dialogs.js";
import { append, avatar, h, icon, replace } from "./dom.js";
import { accountFields, Panel } from "./panel.js";
import { Phone } from "./phone.js";
import { mark, otherLanguage, setLanguage, t } from "./words.js";

const OPEN_AT_FIRST = 2;
const FOLLOWERS_LISTED = 60;
const state = { accounts: [], appid: localStorage.getItem("simulator.account"), followers: [], phones: new Map(), selected: null, pane: "phones" };

const app = document.getElementById("app");
const top = h("header", { class: "top" });
const chips = h("nav", { class: "chips" });
const phones = h("main", { class: "phones" });
const panel = new Panel({
  account,
  phone: () => state.selected,
  changed: () => loadAccounts(),
  refresh: () => state.phones.forEach((phone) => phone.load()),
});
const panes = h("div", { class: "panes" });
append(app, [top, chips, h("div", { class: "middle" }, phones, panel.element), panes]);

function account() {
  return state.accounts.find((each) => each.appid === state.appid) || null;
}

function openKey() {
  return `simulator.open.${state.appid}`;
}

function openPhones() {
  try {
    return JSON.parse(localStorage.getItem(openKey())) || null;
  } catch {
    return null;
  }
}

function rememberOpen() {
  localStorage.setItem(openKey(), JSON.stringify([...state.phones.keys()]));
}

// loading

async function loadAccounts() {
  state.accounts = (await call("GET", "accounts")).accounts;
  if (!account()) state.appid = state.accounts[0]?.appid || null;
  await loadFollowers();
}

async function loadFollowers() {
  const current = account();
  state.followers = current ? (await call("GET", `accounts/${current.appid}/followers?limit=${FOLLOWERS_LISTED}`)).followers : [];
  const byOpenid = new Map(state.followers.map((follower) => [follower.openid, follower]));
  for (const [openid, phone] of state.phones) {
    const follower = byOpenid.get(openid);
    const gone = !follower && state.followers.length < FOLLOWERS_LISTED; // else it may just be too old for the list
    if (gone || phone.account.appid !== current.appid) state.phones.delete(openid);
    else phone.account = current;
  }
  if (!state.phones.size) {
    const wanted = openPhones() || state.followers.slice(0, OPEN_AT_FIRST).map((follower) => follower.openid);
    for (const openid of wanted) if (byOpenid.has(openid)) addPhone(byOpenid.get(openid));
  }
  draw();
  await Promise.all([...state.phones.values()].map((phone) => phone.load()));
  await panel.load();
}

function addPhone(follower) {
  const phone = new Phone(account(), follower, {
    select,
    close: closePhone,
    changed: () => loadFollowers(),
    showDelivery: (id) => { setPane("panel"); panel.open(id); },
  });
  state.phones.set(follower.openid, phone);
  return phone;
}

function select(phone) {
  if (state.selected === phone) return;
  state.selected?.element.classList.remove("selected");
  state.selected = phone;
  phone.element.classList.add("selected");
  if (panel.tab === "deliveries" && !panel.opened) panel.drawBody();
}

function closePhone(phone) {
  state.phones.delete(phone.follower.openid);
  if (state.selected === phone) state.selected = null;
  rememberOpen();
  draw();
}

async function togglePhone(follower) {
  const there = state.phones.get(follower.openid);
  if (there && state.pane === "phones") return there.element.scrollIntoView({ behavior: "smooth", inline: "center" });
  const phone = there || addPhone(follower);
  rememberOpen();
  setPane("phones");
  draw();
  await phone.load();
  phone.element.scrollIntoView({ inline: "center" });
  return select(phone);
}

async function addFollower() {
  try {
    const follower = await call("POST", `accounts/${state.appid}/followers`, {});
    state.followers.push(follower);
    await togglePhone(follower);
  } catch (error) {
    toast(error.message);
  }
}

async function addAccount() {
  const values = await ask(t("addAccount"), accountFields(), { submit: t("save") });
  if (!values) return;
  try {
    const made = await call("POST", "accounts", values);
    chooseAccount(made.appid);
    panel.show("account");
  } catch (error) {
    toast(error.message);
  }
}

function chooseAccount(appid) {
  state.appid = appid;
  localStorage.setItem("simulator.account", appid);
  state.phones.clear();
  state.selected = null;
  panel.opened = null;
  panel.deliveries = [];
  panel.calls = [];
  return loadAccounts();
}

// drawing

function draw() {
  drawTop();
  drawChips();
  const open = [...state.phones.values()].map((phone) => phone.element);
  if (!account()) replace(phones, empty("noAccount", "noAccountHint", "addAccount", addAccount));
  else if (!open.length) replace(phones, empty("noPhones", "noPhonesHint", "addFollower", addFollower));
  else if (phones.children.length !== open.length || open.some((element, index) => phones.children[index] !== element)) replace(phones, open);
  drawPanes();
}

function empty(title, hint, action, onclick) {
  return h("div", { class: "empty" }, h("span", { class: "mark large", "aria-hidden": "true" }, "信"), h("h1", {}, t(title)), h("p", {}, t(hint)), h("button", { type: "button", class: "primary", onclick }, t(action)));
}

function drawTop() {
  const choice = h(
    "select",
    { "aria-label": t("account"), onchange: () => chooseAccount(choice.value) },
    state.accounts.map((each) => h("option", { value: each.appid, selected: each.appid === state.appid }, each.name)),
  );
  replace(
    top,
    h("span", { class: "mark", "aria-hidden": "true" }, "信"),
    h("div", { class: "brand" }, h("strong", {}, t("title")), h("small", {}, t("subtitle"))),
    state.accounts.length > 0 && choice,
    state.accounts.length > 0 && h("button", { type: "button", class: "icon-button", "aria-label": t("addAccount"), title: t("addAccount"), onclick: addAccount }, icon("plus")),
    h("span", { class: "grow" }),
    h("button", { type: "button", class: "language", onclick: switchLanguage }, t("language")),
  );
}

function drawChips() {
  chips.hidden = !account();
  chips.setAttribute("aria-label", t("followers"));
  replace(
    chips,
    state.followers.map((follower) => h(
      "button",
      { type: "button", class: "follower-chip", "aria-pressed": String(state.phones.has(follower.openid)), onclick: () => togglePhone(follower) },
      avatar(follower.name, "tiny"),
      follower.name,
    )),
    h("button", { type: "button", class: "follower-chip add", onclick: addFollower }, "+ ", t("addFollower")),
  );
}

function drawPanes() {
  panes.hidden = !account();
  panel.element.hidden = !account();
  app.dataset.pane = state.pane;
  replace(panes, ["phones", "panel"].map((pane) => h(
    "button",
    { type: "button", "aria-pressed": String(state.pane === pane), onclick: () => setPane(pane) },
    t(pane === "phones" ? "showPhones" : "showPanel"),
  )));
}

function setPane(pane) {
  state.pane = pane;
  drawPanes();
}

function switchLanguage() {
  setLanguage(otherLanguage());
  state.phones.forEach((phone) => phone.draw());
  panel.draw();
  draw();
}

// news

function complain(error) {
  toast(error.message);
}

function listen() {
  const stream = new EventSource("api/stream");
  let lost = false;
  stream.onopen = () => {
    lost = false;
    loadAccounts().catch(complain); // what happened before the stream was open
  };
  stream.onerror = () => {
    if (!lost) toast(t("reconnecting"));
    lost = true;
  };
  stream.onmessage = (event) => news(JSON.parse(event.data));
}

/** Whether a follower is on the list, or the list is full anyway. */
function knows(openid) {
  return state.followers.length >= FOLLOWERS_LISTED || state.followers.some((each) => each.openid === openid);
}

const soon = new Map();

/** Runs once shortly after the last of several calls with the same name. */
function later(name, work) {
  clearTimeout(soon.get(name));
  soon.set(name, setTimeout(work, 60));
}

function news(change) {
  const phone = change.appid === state.appid ? state.phones.get(change.openid) : null;
  if (change.type === "item") {
    phone?.items([change.item]);
  } else if (change.type === "delivery") {
    panel.onDelivery(change.delivery);
    if (change.delivery.appid === state.appid) state.phones.get(change.delivery.openid)?.mark(change.delivery);
  } else if (change.type === "call") {
    panel.onCall(change.call);
  } else if (change.type === "follower") {
    if (phone) later(change.openid, () => phone.load());
    else if (change.appid === state.appid && !knows(change.openid)) later("followers", loadFollowers);
  } else if (change.type === "menu") {
    if (change.appid === state.appid) state.phones.forEach((each) => later(each.follower.openid, () => each.load()));
  } else if (change.type === "faults") {
    panel.reloadFaults();
  } else if (change.type === "account" || change.type === "resync") {
    later("accounts", loadAccounts);
  }
}

setInterval(() => state.phones.forEach((phone) => phone.tick()), 5000);
mark();
drawTop();
loadAccounts().catch(complain);
listen();
