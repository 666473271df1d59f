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

  function places() { return Array.prototype.slice.call(document.querySelectorAll("." + id + ":not([data-drawn])")); }

  function draw() {
    places().forEach(function (place) {
      var figure = JSON.parse(place.querySelector("script").textContent), template = (figure.layout.template || {}).layout || {};
      place.setAttribute("data-drawn", "");
      place.firstElementChild.textContent = "";
      // Colours of a chart that has another template are its author's.
      if (isDark() && template.font && dark[template.font.color]) { darken(figure, false); }
      window.Plotly.newPlot(place.firstElementChild, figure.data, figure.layout, figure.config);
    });
  }

  // plotly.js gives itself to a module loader where the page has one, as old Jupyters do; here it becomes window.Plotly.
  function run(text) {
    var script = document.createElement("script");
    script.textContent = "(function (define, module, exports) {" + text + "\n}).call(window);";
    document.head.appendChild(script);
    if (!window.Plotly) { throw new Error("plotly.js did not load"); }
  }

  function unpack(packed) {
    var bytes = Uint8Array.from(atob(packed), function (letter) { return letter.charCodeAt(0); });
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  }

  function load() {
    var key = "headscope-plotly-" + version, kept = null;
    try { kept = localStorage.getItem(key); } catch (error) { /* The page may not keep anything. */ }
    var packed = window.headscopePlotlyPacked || kept;
    return (packed ? Promise.resolve(packed).then(unpack).then(run) : Promise.reject()).then(function () {
      try { if (!kept && location.protocol.indexOf("http") === 0) { localStorage.setItem(key, packed); } } catch (error) { /* It is full. */ }
    }, function () {
      try { localStorage.removeItem(key); } catch (error) { /* As above. */ }
      return fetch("https://cdn.plot.ly/plotly-" + version + ".min.js", { integrity: integrity }).then(function (answer) { return answer.text(); }).then(run);
    });
  }

  function start() {
    if (window.Plotly) { draw(); return; }
    window.headscopePlotly = window.headscopePlotly || load();
    window.headscopePlotly.then(draw, function () {
      // The output that carries plotly.js may come later.
      window.headscopePlotly = null;
      (window.headscopeWaiting = window.headscopeWaiting || []).push(start);
      places().forEach(function (place) {
        place.firstElementChild.textContent = place.getAttribute("aria-label") + " (Run the cell again, or connect to a network, to see it drawn.)";
      });
    });
  }

  start();
}
