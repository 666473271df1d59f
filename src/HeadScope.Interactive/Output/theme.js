// Whether the page is dark, as VS Code, Jupyter or the browser says.
function () {
  var body = document.body, theme = body.getAttribute("data-vscode-theme-kind") || "";
  if (theme) { return theme.indexOf("dark") >= 0; }
  if (body.getAttribute("data-jp-theme-light")) { return body.getAttribute("data-jp-theme-light") === "false"; }
  return !!(window.matchMedia && window.matchMedia("(prefers-color-scheme: dark)").matches);
}
