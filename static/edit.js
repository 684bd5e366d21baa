// @ts-check
/** The box of an edited message: keeps the typed text over a reload. */

const box = /** @type {HTMLTextAreaElement} */ (document.querySelector("#edit"));
const form = /** @type {HTMLFormElement} */ (box.form);
const key = `draft:${document.body.dataset.user}:${form.action}`;

/** @param {(drafts: Storage) => void} action skipped without storage */
function withDrafts(action) {
  try {
    action(localStorage);
  } catch { /* no storage, no drafts */ }
}

withDrafts((drafts) => { box.value = drafts.getItem(key) ?? box.value; });
box.addEventListener("input", () => withDrafts((drafts) => drafts.setItem(key, box.value)));

// Sending or cancelling deletes the draft.
form.addEventListener("submit", () => withDrafts((drafts) => drafts.removeItem(key)));
form.querySelector("a")?.addEventListener("click", () => withDrafts((drafts) => drafts.removeItem(key)));
