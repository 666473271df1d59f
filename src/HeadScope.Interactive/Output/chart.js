{
  // Draws all charts of this id that are not drawn yet: a notebook shows a cell's output twice where it is shown in two views.
  // Only where a colour is meant: a token may be spelled like one.
  function darken(node, isColor) {
    if (typeof node === "string") { return isColor && dark[node] ? dark[node] : node; }
    if (Array.isArray(node)) { return node.map(function (one) { return darken(one, isColor); }); }
    if (!node || typeof node !== "object") { return node; }
    Object.keys(node).forEach(function (key) { node[key] = darken(node[key], /color/.test(key)); });
    return node;
  }

  function draw() {
    document.querySelectorAll("." + id + ":not([data-drawn])").forEach(function (place) {
      var figure = JSON.parse(place.querySelector("script").textContent);
      place.setAttribute("data-drawn", "");
      if (isDark()) { darken(figure, false); }
      window.Plotly.newPlot(place.firstElementChild, figure.data, figure.layout, figure.config);
    });
  }

  function fail() {
    document.querySelectorAll("." + id + ":not([data-drawn])").forEach(function (place) {
      place.firstElementChild.textContent = place.getAttribute("aria-label") + " (Run the cell again, or connect to a network, to see it drawn.)";
    });
  }

  if (window.Plotly) { draw(); return; }
  if (!window.headscopePlotly) {
    window.headscopePlotly = new Promise(function (resolve, reject) {
      var script = document.createElement("script");
      script.src = "https://cdn.plot.ly/plotly-" + version + ".min.js";
      script.charset = "utf-8";
      script.onload = resolve;
      script.onerror = reject;
      document.head.appendChild(script);
    });
  }
  window.headscopePlotly.then(draw, fail);
}
