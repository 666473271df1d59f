{
  document.querySelectorAll("." + id + ":not([data-ready])").forEach(function (place) {
    var data = JSON.parse(place.querySelector("script").textContent), table = place.querySelector("table"), body = table.tBodies[0];
    var heads = table.tHead.rows[0].cells, note = place.querySelector("p"), order = data.rows.map(function (_, i) { return i; }), first = 0;
    var rest = note ? note.textContent.replace(/^rows [\d,]+ to [\d,]+/, "") : "";
    place.setAttribute("data-ready", "");

    function show() {
      var sides = Array.prototype.map.call(heads, function (head) { return head.style.textAlign; });
      body.textContent = "";
      order.slice(first, first + data.page).forEach(function (at) {
        var row = body.insertRow();
        data.rows[at].forEach(function (text, c) {
          var cell = row.insertCell();
          cell.textContent = text;
          cell.style.textAlign = sides[c];
          cell.style.whiteSpace = "pre-wrap";
        });
      });
      if (note) { note.firstChild.textContent = "rows " + (first + 1) + " to " + Math.min(first + data.page, order.length) + rest + " "; }
    }

    function sort(head) {
      var column = head.cellIndex, down = head.getAttribute("aria-sort") !== "descending", keys = data.keys[column];
      Array.prototype.forEach.call(heads, function (one) { one.removeAttribute("aria-sort"); });
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      order.sort(function (a, b) {
        // What has no value comes last both ways; equal ones stay in their order.
        if (keys && (keys[a] === null || keys[b] === null)) { return (keys[a] === null) - (keys[b] === null) || a - b; }
        var less = keys ? keys[a] - keys[b] : data.rows[a][column].localeCompare(data.rows[b][column], undefined, { numeric: true });
        return (down ? -less : less) || a - b;
      });
      first = 0;
      show();
    }

    Array.prototype.forEach.call(heads, function (head) {
      head.style.cursor = "pointer";
      head.title = "sort";
      head.tabIndex = 0;
      head.addEventListener("click", function () { sort(head); });
      head.addEventListener("keydown", function (event) { if (event.key === "Enter") { sort(head); } });
    });
    if (note) {
      [["‹", -data.page, "page before"], ["›", data.page, "next page"]].forEach(function (turn) {
        var button = document.createElement("button");
        button.textContent = turn[0];
        button.title = turn[2];
        button.addEventListener("click", function () {
          if (first + turn[1] >= 0 && first + turn[1] < order.length) { first += turn[1]; show(); }
        });
        note.appendChild(button);
      });
    }
  });
}
