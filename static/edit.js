// @ts-check
/** The box of a message that is being edited: what was typed outlives a reload. */

const box = /** @type {HTMLTextAreaElement} */ (document.querySelector("#edit"));
const form = /** @type {HTMLFormElement} */ (box.form);
const key = `draft:${form.action}`;

/** @param {(drafts: Storage) => void} action with this user's drafts; without storage there are none */
function withDrafts(action) {
  try {
    if (localStorage.user === document.body.dataset.user) action(localStorage);
  } catch { /* then the box is as it came */ }
}

withDrafts((drafts) => { box.value = drafts.getItem(key) ?? box.value; });
box.addEventListener("input", () => withDrafts((drafts) => drafts.setItem(key, box.value)));

// Sent or let be, it is forgotten.
form.addEventListener("submit", () => withDrafts((drafts) => drafts.removeItem(key)));
form.querySelector("a")?.addEventListener("click", () => withDrafts((drafts) => drafts.removeItem(key)));
