// Calls of the service. Where it asks for a key, the page asks once and keeps the key for as long as the tab is open.

const KEY = "newswatch-key";
let asking = null;

export class ServiceError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const get = (path, parameters = {}) => {
  const given = Object.entries(parameters).filter(([, value]) => value !== "" && value != null);
  return call(given.length ? `${path}?${new URLSearchParams(given)}` : path, {});
};

export const post = (path, body) =>
  call(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

async function call(path, request) {
  const key = sessionStorage.getItem(KEY);
  const headers = { accept: "application/json", ...request.headers, ...(key && { authorization: `Bearer ${key}` }) };
  let answer;
  try {
    answer = await fetch(path, { ...request, headers });
  } catch {
    throw new ServiceError(0, "The service does not answer. Is it running?");
  }
  if (answer.status === 401) {
    // Several calls may be refused at once; one question serves them all.
    if (sessionStorage.getItem(KEY) === key) await (asking ??= askForKey(key !== null).finally(() => (asking = null)));
    return call(path, request);
  }
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new ServiceError(answer.status, message(answer, body));
  return body;
}

function message(answer, body) {
  const found = body.error ?? body.detail ?? answer.statusText;
  if (typeof found === "string") return found;
  if (Array.isArray(found)) return found.map((fault) => `${(fault.loc ?? []).slice(1).join(".")}: ${fault.msg}`).join("; ");
  return found.message ?? JSON.stringify(found);
}

function askForKey(refused) {
  const dialog = document.getElementById("key-dialog");
  const field = document.getElementById("key");
  document.getElementById("key-error").textContent = refused ? "The service refused that key." : "";
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve, reject) => {
    dialog.addEventListener(
      "close",
      () => {
        if (dialog.returnValue !== "use") return reject(new ServiceError(401, "The service asks for a key. Reload the page to give one."));
        // What cannot stand in a key is pasted along with it, unseen; fetch would refuse to send it.
        sessionStorage.setItem(KEY, field.value.replace(/[^\x21-\x7e]/g, ""));
        field.value = "";
        resolve();
      },
      { once: true },
    );
  });
}
