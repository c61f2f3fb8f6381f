// The simulator's JSON API. All addresses are relative to the page.

export class Refused extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

export async function call(method, path, body) {
  const options = { method, headers: { "Accept-Language": document.documentElement.lang } };
  if (body !== undefined) {
    options.headers["Content-Type"] = "application/json";
    options.body = JSON.stringify(body);
  }
  const answer = await fetch(`api/${path}`, options);
  if (answer.status === 204) return null;
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const error = data.error || {};
    throw new Refused(error.code || `HTTP ${answer.status}`, error.message || `HTTP ${answer.status}`);
  }
  return data;
}

export async function upload(appid, kind, file) {
  const query = new URLSearchParams({ kind, name: file.name });
  const answer = await fetch(`api/accounts/${appid}/files?${query}`, {
    method: "POST",
    headers: { "Content-Type": file.type || "application/octet-stream" },
    body: file,
  });
  const data = await answer.json();
  if (!answer.ok) throw new Refused(data.error.code, data.error.message);
  return data.file;
}
