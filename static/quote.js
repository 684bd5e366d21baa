// @ts-check
/** Puts the selected part of an answer into the box as a quotation; the whole answer where nothing is selected. */

/** @param {any} tools @param {any} button */
export default (tools, button) => {
  const body = button.closest("article").querySelector(".message__body");
  const selection = getSelection();
  const isHere = selection && !selection.isCollapsed && body.contains(selection.anchorNode) && body.contains(selection.focusNode);
  const text = (isHere ? String(selection) : body.innerText).trim();
  const quotation = text.split("\n").map((/** @type {string} */ line) => `> ${line}`.trim()).join("\n");
  const { box } = tools;
  box.value = `${box.value.trim() ? `${box.value.trimEnd()}\n\n` : ""}${quotation}\n\n`;
  tools.onInput();
  box.focus();
  box.setSelectionRange(box.value.length, box.value.length);
};
