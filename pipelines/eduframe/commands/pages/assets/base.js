// What every page that can be searched does: the key / leads to its field.
document.addEventListener("keydown", (event) => {
  const field = document.getElementById("search");
  const typing = /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName);
  if (event.key !== "/" || typing || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  field.focus();
  field.select();
});
