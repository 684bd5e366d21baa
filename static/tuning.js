// @ts-check
/** The settings of the next message: what is typed is a draft until it is sent, and shows as chips at the box. */

const panel = /** @type {HTMLElement} */ (document.querySelector("#tuning"));
const preset = new URLSearchParams(location.search).get("preset");
const fields = ["temperature", "system"].map((name) => /** @type {HTMLInputElement} */ (document.getElementById(name)));
let hasBegun = false;

/** The draft stands beside that of the text in the box. @param {any} tools */
export default ({ draftKey, writeDraft }) => {
  if (hasBegun) return;
  hasBegun = true;
  const keep = () => {
    const typed = Object.fromEntries(fields.map(({ id, value }) => [id, value]));
    writeDraft(`${draftKey()}#`, JSON.stringify({ preset, ...typed }));
    showChips();
  };
  panel.addEventListener("input", keep);
  if (!CSS.supports("position-area", "top")) panel.addEventListener("beforetoggle", moveToButton);
  if (fields.some(({ value, defaultValue }) => value !== defaultValue)) return keep(); // typed while this was loading
  restore(localStorage[`${draftKey()}#`]);
};

/** For browsers without anchor positioning. The panel ends above the row of its button. */
function moveToButton() {
  const row = /** @type {Element} */ (panel.parentElement).getBoundingClientRect();
  panel.style.inset = `auto ${innerWidth - row.right}px ${innerHeight - row.top + 8}px auto`;
  panel.style.maxBlockSize = `${row.top - 16}px`;
}

/** @param {string | undefined} json of the draft. Another preset brings its own settings. */
function restore(json) {
  const draft = JSON.parse(json ?? "{}");
  if (!json || draft.preset !== preset) return;
  for (const field of fields) field.value = draft[field.id] ?? field.value;
  showChips();
}

function showChips() {
  document.querySelector("[data-chip=preset]")?.remove();
  for (const { id, value } of fields) {
    const chip = /** @type {HTMLElement} */ (document.querySelector(`[data-chip=${id}]`));
    chip.hidden = !value.trim();
    const number = chip.querySelector("span");
    if (number) number.textContent = value;
  }
}
