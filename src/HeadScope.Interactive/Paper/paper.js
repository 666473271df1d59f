// Lays a chart out for paper and draws it: text of 6 to 8 points whatever the size, margins as wide as labels need, ticks thinned until none touch,
// legends above the plot, panels one above the other where they do not fit side by side, heat maps as rectangles. Sizes are CSS pixels, 96 an inch.
async function headscopePaper(figure, width, height, perMillimetre) {
  const point = 96 / 72, normal = 7 * point, least = 6 * point, most = 8 * point;
  const data = figure.data, layout = figure.layout, meta = layout.meta || {}, hints = meta.paper || {};
  const screen = (layout.font && layout.font.size) || ((((layout.template || {}).layout || {}).font) || {}).size || 12;
  const each = (value, change) => Array.isArray(value) ? value.map(v => each(v, change)) : typeof value === 'number' ? change(value) : value;
  const fontSize = size => Math.min(most, Math.max(least, size * normal / screen));
  const axes = () => Object.keys(layout).filter(key => /^[xy]axis\d*$/.test(key));

  // 1. Everything that is measured in pixels of a screen becomes smaller.
  (function shrink(node) {
    for (const [key, value] of Object.entries(node)) {
      if (!value || typeof value !== 'object' || /^([xyz]|text|hovertext|customdata|tickvals|ticktext|meta|colorscale|args)$/.test(key)) continue;
      if (/font$/.test(key) && value.size) value.size = each(value.size, fontSize);
      if (key === 'marker') for (const name of ['size', 'standoff']) if (value[name] !== undefined) value[name] = each(value[name], size => size * normal / screen);
      if (key === 'line' && value.width) value.width = each(value.width, size => Math.max(0.5, size * 0.7));
      if (key === 'colorbar') Object.assign(value, { thickness: 7, xpad: 4, ypad: 0 });
      shrink(value);
    }
  })({ data, layout });
  layout.font = Object.assign({}, layout.font, { size: normal });
  Object.assign(layout, { width, autosize: false, margin: { l: 4, r: 4, t: 4, b: 4, pad: 0 }, title: undefined, hovermode: false });
  const menu = (layout.updatemenus || [])[0];
  if (menu) {
    // Paper shows one view, and says which.
    layout.title = { text: menu.buttons[menu.active || 0].label, font: { size: most }, automargin: true, x: 0, xref: 'paper', xanchor: 'left', y: 1, yref: 'container', yanchor: 'top', pad: { t: 2, b: 2 } };
    delete layout.updatemenus;
  }
  for (const name of axes()) {
    const axis = layout[name];
    Object.assign(axis, { automargin: true, ticklen: 3, fixedrange: true });
    if (axis.title) axis.title.standoff = 3;
  }
  const hasLegend = layout.showlegend !== false;
  if (hasLegend) layout.legend = Object.assign({}, layout.legend, { orientation: 'h', x: 0, xanchor: 'left', y: 1.01, yanchor: 'bottom', yref: 'paper', title: undefined, font: { size: least }, itemwidth: 30, tracegroupgap: 0 });

  // 2. Panels side by side go one above the other where each would be narrower than 32 mm.
  const panels = [];
  for (const trace of data) {
    const [x, y] = [trace.xaxis || 'x', trace.yaxis || 'y'].map(id => id[0] + 'axis' + id.slice(1));
    if (!layout[x] || !layout[y]) continue;
    const domain = name => layout[layout[name].overlaying ? layout[name].overlaying[0] + 'axis' + layout[name].overlaying.slice(1) : name].domain || [0, 1];
    const at = panels.find(p => p.left === domain(x)[0] && p.top === domain(y)[1]);
    if (at) { at.axes.add(x); at.axes.add(y); } else panels.push({ left: domain(x)[0], right: domain(x)[1], top: domain(y)[1], bottom: domain(y)[0], axes: new Set([x, y]) });
  }
  panels.sort((a, b) => b.top - a.top || a.left - b.left);
  const abreast = Math.max(1, ...panels.map(p => panels.filter(q => q.top === p.top).length));
  let levels = new Set(panels.map(p => p.top)).size || 1;
  if (abreast > 1 && width / abreast < 32 * perMillimetre) {
    const titles = (layout.annotations || []).filter(a => a.xref === 'paper' && a.yref === 'paper')
      .map(a => [a, panels.findIndex(p => a.x >= p.left && a.x <= p.right && Math.abs(a.y - p.top) < 0.1)]);
    const gap = Math.min(0.5, 0.22 * panels.length) / panels.length;
    panels.forEach((panel, i) => {
      const part = (1 + gap) / panels.length;
      [panel.left, panel.right, panel.top, panel.bottom] = [0, 1, 1 - i * part, Math.max(0, 1 - (i + 1) * part + gap)];
      for (const name of panel.axes) {
        layout[name].domain = name[0] === 'x' ? [0, 1] : [panel.bottom, panel.top];
        if (layout[name].showticklabels === false && name[0] === 'y') layout[name].showticklabels = true;
      }
    });
    for (const [title, i] of titles) if (i >= 0) Object.assign(title, { x: 0.5, y: panels[i].top });
    levels = panels.length;
  }

  // 3. Where no height is asked for, it follows from the rows of the plot, or from its width.
  const free = !height;
  if (free) {
    const plot = hints.rows || hints.Rows ? (hints.rows || hints.Rows) * (hints.rowHeight || hints.RowHeight || 3) * perMillimetre : (width - 40) / (levels > 1 && abreast > 1 ? 1 : abreast) * (hints.ratio || hints.Ratio || 0.6);
    height = Math.min(230 * perMillimetre, plot * levels + 14 * perMillimetre * levels);
  }
  layout.height = height;

  // 4. Draw, measure, mend, until nothing touches and nothing is cut.
  const box = document.body.appendChild(document.createElement('div'));
  try {
    let drawn;
    for (let round = 0; round < 12; round++) {
      drawn = await Plotly.newPlot(box, data, layout, { staticPlot: true });
      if (!mend(drawn)) break;
    }
    const image = await Plotly.toImage(drawn, { format: 'svg', width, height: layout.height });
    const svg = new DOMParser().parseFromString(decodeURIComponent(image.replace(/^data:image\/svg\+xml,/, '')), 'image/svg+xml').documentElement;
    rectangles(drawn, svg);
    const size = value => +(value / perMillimetre).toFixed(3) + 'mm';
    svg.setAttribute('width', size(width)); svg.setAttribute('height', size(layout.height)); svg.setAttribute('viewBox', `0 0 ${width} ${layout.height}`);
    if (meta.caption) {
      const title = document.createElementNS(svg.namespaceURI, 'title');
      title.textContent = meta.caption;
      svg.prepend(title);
      svg.setAttribute('role', 'img');
      svg.setAttribute('aria-label', meta.caption);
    }
    return { svg: new XMLSerializer().serializeToString(svg), height: layout.height };
  } finally {
    Plotly.purge(box);
    box.remove();
  }

  function mend(drawn) {
    const page = drawn.querySelector('svg.main-svg').getBoundingClientRect();
    const touch = (a, b) => a.left < b.right + 1 && b.left < a.right + 1 && a.top < b.bottom && b.top < a.bottom;
    const rects = selector => [...drawn.querySelectorAll(selector)].filter(e => e.textContent.trim()).map(e => e.getBoundingClientRect());
    let changed = false;
    for (const name of axes()) {
      const labels = rects(`g.${name[0]}${name.slice(5)}tick text`), axis = layout[name], vertical = name[0] === 'y';
      labels.sort((a, b) => vertical ? a.top - b.top : a.left - b.left);
      if (!labels.some((label, i) => i && touch(labels[i - 1], label))) continue;
      changed = true;
      const texts = axis.ticktext;
      if (!vertical && axis.tickangle === undefined && labels.some(l => l.width > 20)) axis.tickangle = -90;
      else if (texts) {
        axis.stride = (axis.stride || 1) + 1;
        axis.every = axis.every || [axis.tickvals, texts];
        [axis.tickvals, axis.ticktext] = axis.every.map(list => list.filter((_, i) => i % axis.stride === 0));
      } else if (axis.dtick) {
        const step = [1, 2, 5, 10, 20, 50, 100, 200, 500].find(s => s > axis.dtick);
        axis.dtick = step || axis.dtick * 2;
      } else axis.nticks = Math.max(2, labels.length - 2);
    }
    for (const name of axes()) {
      // Titles of axes wrap rather than run past their axis.
      const title = drawn.querySelector(`.g-${name[0]}${name.slice(5)}title text`), axis = layout[name];
      if (!title || !axis.title || !axis.title.text) continue;
      const domain = axis.domain || [0, 1], size = drawn._fullLayout._size, room = name[0] === 'x' ? (domain[1] - domain[0]) * size.w + 8 : (domain[1] - domain[0]) * size.h + 8;
      const rect = title.getBoundingClientRect();
      if ((name[0] === 'x' ? rect.width : rect.height) > Math.max(room, 40)) changed = wrap(axis.title) || changed;
    }
    const widest = width - 8;
    drawn.querySelectorAll('g.annotation').forEach(g => {
      const rect = g.getBoundingClientRect(), note = layout.annotations[+g.getAttribute('data-index')];
      const panel = panels.find(p => note && note.xref === 'paper' && note.x >= p.left && note.x <= p.right);
      if (note && rect.width > (panel ? Math.max(60, (panel.right - panel.left) * drawn._fullLayout._size.w + 12) : widest)) changed = wrap(note) || changed;
    });
    const legend = drawn.querySelector('g.legend');
    if (legend && free) {
      const rect = legend.getBoundingClientRect();
      if (rect.height > layout.height / 5 + 1) { layout.height = Math.min(230 * perMillimetre, rect.height * 5); changed = true; }
    }
    if (!changed) {
      const texts = rects('svg.main-svg text');
      for (const [side, over] of [['l', page.left - Math.min(...texts.map(t => t.left))], ['r', Math.max(...texts.map(t => t.right)) - page.right],
        ['t', page.top - Math.min(...texts.map(t => t.top))], ['b', Math.max(...texts.map(t => t.bottom)) - page.bottom]]) {
        if (over > 0.5 && layout.margin[side] < 0.6 * (side === 'l' || side === 'r' ? width : layout.height)) { layout.margin[side] = Math.max(layout.margin[side], (drawn._fullLayout._size[side] || 0)) + Math.ceil(over); changed = true; }
      }
    }
    return changed;
  }

  // Breaks the longest line at the space nearest its middle.
  function wrap(holder) {
    const lines = holder.text.split('<br>'), longest = lines.reduce((best, line, i) => line.length > lines[best].length ? i : best, 0), line = lines[longest];
    const spaces = [...line.matchAll(/ /g)].map(match => match.index).sort((a, b) => Math.abs(a - line.length / 2) - Math.abs(b - line.length / 2));
    if (!spaces.length) return false;
    lines.splice(longest, 1, line.slice(0, spaces[0]), line.slice(spaces[0] + 1));
    holder.text = lines.join('<br>');
    return true;
  }

  // plotly.js paints heat maps as pictures of screen resolution.
  function rectangles(drawn, svg) {
    const maps = drawn._fullData.filter(t => t.type === 'heatmap' && t.visible === true), pictures = [...svg.querySelectorAll('g.hm image')];
    if (maps.length !== pictures.length) return;
    maps.forEach((map, i) => {
      const picture = pictures[i], at = name => +picture.getAttribute(name), rows = map.z.length, columns = Math.max(...map.z.map(row => row.length));
      const axis = drawn._fullLayout['yaxis' + map.yaxis.slice(1)], down = axis.range[0] > axis.range[1], w = at('width') / columns, h = at('height') / rows;
      const gap = (value, size) => Math.min(value, size * 0.15);
      const rgb = color => { const c = document.createElement('canvas').getContext('2d'); c.fillStyle = color; return c.fillStyle.match(/[0-9a-f]{2}/gi).map(x => parseInt(x, 16)); };
      const stops = map.colorscale.map(stop => [stop[0], rgb(stop[1])]);
      const color = value => {
        const place = map.zmax > map.zmin ? Math.min(1, Math.max(0, (value - map.zmin) / (map.zmax - map.zmin))) : 0.5;
        let k = 0;
        while (k < stops.length - 2 && place > stops[k + 1][0]) k++;
        const part = (place - stops[k][0]) / (stops[k + 1][0] - stops[k][0]);
        return '#' + stops[k][1].map((a, j) => Math.round(a + (stops[k + 1][1][j] - a) * part).toString(16).padStart(2, '0')).join('');
      };
      const cells = document.createElementNS(svg.namespaceURI, 'g');
      cells.setAttribute('shape-rendering', 'crispEdges');
      for (let r = 0; r < rows; r++) for (let c = 0; c < columns; c++) {
        const value = map.z[r][c];
        if (typeof value !== 'number' || !Number.isFinite(value)) continue;
        const cell = document.createElementNS(svg.namespaceURI, 'rect'), gx = gap(map.xgap, w), gy = gap(map.ygap, h);
        for (const [name, v] of Object.entries({ x: at('x') + c * w + gx / 2, y: at('y') + (down ? r : rows - 1 - r) * h + gy / 2, width: w - gx, height: h - gy })) cell.setAttribute(name, +v.toFixed(3));
        cell.setAttribute('fill', color(value));
        cells.append(cell);
      }
      picture.replaceWith(cells);
    });
  }
}
