// Questions asked in a native dialog: keyboard, Escape and focus come with it.

import { h } from "./dom.js";
import { t } from "./words.js";

/**
 * Asks for some values. `fields`: `{name, label, type, value, options: [[value, words]], hint}` or
 * nodes. Resolves to an object of values, or null when it was cancelled.
 */
export function ask(title, fields, { submit = t("ok"), note = null, extra = null } = {}) {
  return new Promise((resolve) => {
    let answer = null;
    const form = h(
      "form",
      { method: "dialog", onsubmit: () => { answer = read(form, fields); } },
      h("h2", {}, title),
      note && h("p", { class: "note" }, note),
      extra && extra((values) => { answer = values; dialog.close(); }),
      fields.map(fieldRow),
      h(
        "div",
        { class: "buttons" },
        h("button", { type: "button", onclick: () => dialog.close() }, t("cancel")),
        h("button", { type: "submit", class: "primary" }, submit),
      ),
    );
    const dialog = h("dialog", { "aria-label": title, onclose: () => { dialog.remove(); resolve(answer); } }, form);
    document.body.append(dialog);
    dialog.showModal();
    const first = form.querySelector("input:not([type=checkbox]), select");
    if (first) first.focus();
  });
}

export function fieldRow(field) {
  if (field instanceof Node) return field;
  const attributes = { name: field.name, value: field.value ?? "", required: field.required };
  let control;
  if (field.type === "select") {
    control = h("select", { name: field.name }, field.options.map(([value, words]) => h("option", { value, selected: value === field.value }, words)));
  } else if (field.type === "checkbox") {
    control = h("input", { type: "checkbox", name: field.name, checked: Boolean(field.value) });
    return h("label", { class: "check" }, control, field.label);
  } else {
    control = h("input", { type: field.type || "text", step: field.type === "number" ? "any" : null, accept: field.accept, ...attributes, placeholder: field.placeholder });
  }
  return h("label", { class: "field" }, h("span", {}, field.label), control, field.hint && h("small", {}, field.hint));
}

export function read(form, fields) {
  const values = {};
  for (const field of fields) {
    if (field instanceof Node) continue;
    const control = form.elements[field.name];
    if (field.type === "checkbox") values[field.name] = control.checked;
    else if (field.type === "number") values[field.name] = control.value === "" ? null : Number(control.value);
    else if (field.type === "file") values[field.name] = control.files[0] || null;
    else values[field.name] = control.value;
  }
  return values;
}

let note = null;

/** A message at the bottom for some seconds; read out at once. */
export function toast(message) {
  if (!note) {
    note = h("div", { class: "toast", role: "alert" });
    document.body.append(note);
  }
  note.textContent = message;
  note.classList.add("visible");
  clearTimeout(toast.timer);
  toast.timer = setTimeout(() => note.classList.remove("visible"), 5000);
}
