// @ts-check
/** Saves the settings of the composer as a preset, and stays on the page. Asks for its name in place of the button. */

/** @param {any} tools @param {any} button */
export default async (tools, button) => {
  const field = button.previousElementSibling;
  if (field.name !== "name") {
    const name = document.createElement("input");
    Object.assign(name, { name: "name", maxLength: 60, autocomplete: "off", dir: "auto" });
    name.ariaLabel = name.placeholder = button.textContent;
    button.before(name);
    return name.focus();
  }
  const response = await tools.post(button.form, button.formAction);
  const said = (await response?.text().catch(() => "")) || tools.words.offline;
  tools.complain(response?.ok ? "" : said);
  if (!response?.ok) return field.focus();
  field.remove();
  tools.say(said);
  const label = button.textContent;
  button.textContent = said;
  setTimeout(() => { button.textContent = label; }, 2000);
};
