// @ts-check
/** Shows the models to retry with in the place of the button that was pressed: a Retry button for each. */

/** @param {any} tools @param {any} button right after the Retry button */
export default (tools, button) => {
  const retry = button.previousElementSibling;
  const list = document.createElement("span");
  list.className = "again";
  list.role = "group";
  list.ariaLabel = button.ariaLabel;
  for (const { value } of document.querySelectorAll("select#model option")) {
    const other = retry.cloneNode();
    Object.assign(other, { name: "with", value, textContent: value });
    list.append(other);
  }
  button.replaceWith(list);
  tools.find("button", list).focus();
};
