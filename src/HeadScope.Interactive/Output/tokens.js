{
  // Makes all views of this id that stand still live: a token under the pointer, or with the focus, shows its row in the colours of all tokens.
  document.querySelectorAll("." + id + ":not([data-ready])").forEach(function (place) {
    var data = JSON.parse(place.querySelector("script").textContent), tokens = place.querySelectorAll("[role=option]");
    var heads = place.querySelectorAll("button"), note = place.querySelector("[aria-live]"), key = place.querySelectorAll("[data-step]");
    var colors = isDark() ? data.dark : data.light, pinned = data.at, head = data.head, steps = colors.length - 1;
    place.setAttribute("data-ready", "");

    function paint(element, step) {
      element.style.background = colors[step][0];
      element.style.color = colors[step][1];
    }

    function name(at) { return tokens[at].textContent + " (" + at + ")"; }

    function show(at) {
      var row = data.values[head][at], order = [];
      Array.prototype.forEach.call(tokens, function (token, i) {
        var value = i < row.length ? row[i] : null, part = ((value || 0) - data.low) / (data.high - data.low);
        paint(token, Math.round(Math.min(1, Math.max(0, part)) * steps));
        token.style.opacity = i < row.length ? "1" : ".45";
        token.style.outline = i === at ? "2px solid #d55e00" : "";
        token.title = value === null ? name(i) : name(i) + ": " + data.name + " " + value;
        if (value) { order.push(i); }
      });
      order.sort(function (a, b) { return Math.abs(row[b]) - Math.abs(row[a]) || a - b; });
      note.textContent = (data.heads.length > 1 ? "head " + data.heads[head] + ": " : "") + name(at) + " " + data.verb + " "
        + (order.length ? order.slice(0, 3).map(function (i) { return name(i) + " " + row[i]; }).join(", ") : "nothing");
    }

    function pin(at) {
      tokens[pinned].tabIndex = -1;
      tokens[pinned].setAttribute("aria-selected", "false");
      pinned = at;
      tokens[at].tabIndex = 0;
      tokens[at].setAttribute("aria-selected", "true");
      show(at);
    }

    function choose(chosen, lasting) {
      if (lasting) { data.head = chosen; }
      head = chosen;
      Array.prototype.forEach.call(heads, function (button, i) {
        button.setAttribute("aria-pressed", i === data.head);
        button.style.outline = i === head ? "2px solid #d55e00" : "";
      });
      show(pinned);
    }

    Array.prototype.forEach.call(tokens, function (token, i) {
      token.addEventListener("mouseenter", function () { show(i); });
      token.addEventListener("focus", function () { pin(i); });
      token.addEventListener("click", function () { token.focus(); });
      token.addEventListener("keydown", function (event) {
        var to = { ArrowLeft: i - 1, ArrowUp: i - 1, ArrowRight: i + 1, ArrowDown: i + 1, Home: 0, End: tokens.length - 1 }[event.key];
        if (to === undefined) { return; }
        // Else the notebook would go to another cell.
        event.preventDefault();
        event.stopPropagation();
        if (tokens[to]) { tokens[to].focus(); }
      });
    });
    place.querySelector("[role=listbox]").addEventListener("mouseleave", function () { show(pinned); });
    Array.prototype.forEach.call(heads, function (button, i) {
      button.parentNode.hidden = false;
      button.addEventListener("mouseenter", function () { choose(i, false); });
      button.addEventListener("mouseleave", function () { choose(data.head, false); });
      button.addEventListener("focus", function () { choose(i, true); });
      button.addEventListener("click", function () { choose(i, true); });
    });
    Array.prototype.forEach.call(key, function (swatch) { paint(swatch, +swatch.getAttribute("data-step")); });
    choose(head, true);
  });
}
