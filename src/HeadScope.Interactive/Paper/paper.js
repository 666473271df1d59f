// Lays a chart out for paper and draws it. plotly.js draws; where panels, colour bars, the legend and titles stand is decided here, from what labels measure:
// draw, measure, place anew, until nothing moves. Sizes are CSS pixels, 96 an inch.
async function headscopePaper(json, width, height, mm) {
  const point = 96 / 72, normal = 7 * point, least = 6 * point, most = 8 * point, pad = 2, tallest = 230 * mm, gap = 1.5 * mm, narrowest = 32 * mm;
  // What XML has no place for shows as a replacement character.
  const { data, layout } = JSON.parse(json, (_, value) => typeof value === 'string' ? value.toWellFormed().replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd') : value);
  const hints = (layout.meta || {}).paper || {}, free = !height;
  const box = document.body.appendChild(document.createElement('div'));
  const written = new Map(); // What titles, notes and ticks said before they were broken, shortened or thinned.
  const before = (holder, value) => { if (!written.has(holder)) written.set(holder, value); return written.get(holder); };
  const axisName = id => id[0] + 'axis' + id.slice(1);
  const head = { title: 0, legend: 0, grow: 1, lines: 1 }, extra = { l: 0, r: 0, t: 0, b: 0 };
  let full, panels, columns, rows, bars, reflowed = false;

  try {
    const screen = prepare();
    await draw();
    survey();
    const scale = normal / screen;
    adapt(scale);
    if (free) height = Math.min(tallest, width);
    for (let round = 0, moved = true; moved && round < 24; round++) {
      stack();
      place();
      await draw();
      moved = measure(round);
    }
    return await finish();
  } finally {
    Plotly.purge(box);
    box.remove();
  }

  async function draw() {
    await Plotly.newPlot(box, data, layout, { staticPlot: true });
    full = box._fullLayout;
  }

  // What only a screen has goes, and titles with it: a paper has captions.
  function prepare() {
    for (const [key, axis] of Object.entries(layout)) {
      if (/^[xy]axis\d*$/.test(key)) for (const name of ['rangeslider', 'rangeselector']) delete axis[name];
    }
    const menu = (layout.updatemenus || []).find(m => m.buttons && m.buttons.length);
    layout.title = menu && menu.buttons[menu.active || 0] ? { text: menu.buttons[menu.active || 0].label, font: { size: most }, x: pad / width, xref: 'container', xanchor: 'left', y: 1, yref: 'container', yanchor: 'top', pad: { t: pad } } : undefined;
    for (const name of ['updatemenus', 'sliders', 'autosize']) delete layout[name];
    const template = (layout.template || {}).layout || {};
    return (layout.font || {}).size || (template.font || {}).size || 12;
  }

  // Finds the panels: rectangles that axes, pies, tables and other kinds of plots have to themselves.
  function survey() {
    panels = [];
    const panel = (left, right, bottom, top, more) => {
      const near = panels.find(p => Math.abs(p.left - left) + Math.abs(p.right - right) + Math.abs(p.top - (1 - top)) + Math.abs(p.bottom - (1 - bottom)) < 0.004 && p.axes.size && more.axes.size);
      if (near) { near.plots.push(...more.plots); more.axes.forEach(a => near.axes.add(a)); return; }
      panels.push({ left, right, top: 1 - top, bottom: 1 - bottom, over: { l: 0, r: 0, t: 0, b: 0 }, ...more });
    };
    for (const plot of full._subplots.cartesian || []) {
      const ids = plot.match(/[xy]\d*/g), [x, y] = ids.map(id => full[axisName(full[axisName(id)].overlaying || id)]);
      panel(x.domain[0], x.domain[1], y.domain[0], y.domain[1], { plots: [plot], axes: new Set(ids) });
    }
    for (const kind of ['polar', 'ternary', 'smith', 'gl3d', 'geo', 'mapbox']) {
      for (const id of full._subplots[kind] || []) other(full[id].domain, layout[id] = layout[id] || {});
    }
    for (const trace of box._fullData) if (trace.visible === true && trace.domain) other(trace.domain, trace._input, trace.type === 'table' ? trace : undefined);
    function other(domain, holder, table) {
      panel(domain.x[0], domain.x[1], domain.y[0], domain.y[1], { plots: [], axes: new Set(), holder, table: table && table._input });
    }
    if (!panels.length) panel(0, 1, 0, 1, { plots: [], axes: new Set() });
    const size = full._size, at = id => panels.filter(p => p.axes.has(id)), together = (a, b) => at(a).some(p => p.axes.has(b));
    for (const p of panels) {
      p.ratio = hints.Rows ? 0 : hints.Ratio || Math.min(1.2, Math.max(0.35, (p.bottom - p.top) * size.h / ((p.right - p.left) * size.w)));
      p.host = panels.find(q => q !== p && q.left <= p.left && q.right >= p.right && q.top <= p.top && q.bottom >= p.bottom);
      p.was = { left: p.left, right: p.right, top: p.top, bottom: p.bottom };
      for (const id of p.axes) {
        const from = full[axisName(id)], axis = layout[axisName(id)] = layout[axisName(id)] || {};
        for (const key of ['anchor', 'side', 'overlaying']) if (from[key] !== undefined && from[key] !== false) axis[key] = from[key];
        // One that stands at an axis of another panel would stay there when its own panel moves.
        if (from.anchor !== 'free' && !together(id, from.anchor)) axis.anchor = [...p.axes].find(other => other[0] !== id[0]);
        // An axis that stands free finds its place beside the others.
        if (from.anchor === 'free' && id[0] === 'y') axis.autoshift = true;
      }
    }
    delete layout.grid;
    tracks();
    notes();
    bars = [];
    const bar = (holder, of, name) => { bars.push({ holder, of, name, over: 0, title: (holder.title || (holder.title = {})) }); };
    const panelOf = trace => panels.find(p => p.axes.size ? p.plots.includes((trace.xaxis || '') + (trace.yaxis || '')) : p.holder === trace._input || layout[trace.subplot || trace.scene || trace.geo] === p.holder) || panels[0];
    box._fullData.forEach((trace, i) => {
      for (const name of ['', 'marker', 'line']) {
        const part = name ? trace[name] : trace;
        if (trace.visible !== true || !part || !part.showscale || part.coloraxis || !part.colorbar) continue;
        const input = name ? trace._input[name] : trace._input;
        bar(input.colorbar = Object.assign({}, plain(part.colorbar), input.colorbar), [panelOf(trace)], () => 'cb' + box._fullData[i].uid);
      }
    });
    for (const id of Object.keys(full._colorAxes || {})) {
      if (!full[id].showscale) continue;
      const input = layout[id] = layout[id] || {};
      const users = box._fullData.filter(t => t.coloraxis === id || (t.marker || {}).coloraxis === id || (t.line || {}).coloraxis === id).map(panelOf);
      bar(input.colorbar = Object.assign({}, plain(full[id].colorbar), input.colorbar), users, () => 'cb' + id);
    }
    const colored = [...new Set(box._fullData.filter(t => t.visible === true && /heatmap|contour/.test(t.type)).map(panelOf))];
    // A colour bar that is alone serves all maps.
    if (bars.length === 1 && colored.includes(bars[0].of[0])) bars[0].of = colored;
    function plain(bar) { return { orientation: bar.orientation, title: { text: bar.title && bar.title.text !== full._dfltTitle.colorbar ? bar.title.text : '' } }; }
  }

  // Panels stand in columns and rows; a wide one may span several.
  function tracks() {
    const along = (low, high) => {
      const found = [];
      const free = panels.filter(p => !p.host);
      for (const p of [...free].sort((a, b) => (a[high] - a[low]) - (b[high] - b[low]) || a[low] - b[low])) {
        if (!found.some(t => Math.min(t.high, p[high]) - Math.max(t.low, p[low]) > 0.1 * (t.high - t.low))) found.push({ low: p[low], high: p[high] });
      }
      found.sort((a, b) => a.low - b.low);
      for (const p of free) {
        const covered = found.map((t, i) => Math.min(t.high, p[high]) - Math.max(t.low, p[low]) > 0.1 * (t.high - t.low) ? i : -1).filter(i => i >= 0);
        [p[low + 'Track'], p[high + 'Track']] = [covered[0], covered[covered.length - 1]];
      }
      return found.map(t => ({ ...t, weight: t.high - t.low, before: 0, after: 0 }));
    };
    columns = along('left', 'right');
    rows = along('top', 'bottom');
  }

  // Notes that are placed on the page belong to the panel that they stand in, above or below.
  function notes() {
    for (const note of layout.annotations || []) {
      note.xshift = note.xshift || 0;
      note.yshift = note.yshift || 0;
      const own = [note.xref, note.yref].map(ref => /^[xy]\d*( domain)?$/.test(ref || '') ? panels.find(p => p.axes.has(ref.split(' ')[0])) : undefined);
      const paper = [!note.xref || note.xref === 'paper', !note.yref || note.yref === 'paper'];
      const x = +note.x, y = 1 - note.y;
      const far = p => (paper[0] ? Math.max(0, p.left - x, x - p.right) : 0) + (paper[1] ? Math.max(0, p.top - y, y - p.bottom) : 0);
      const at = own[0] || own[1] || [...panels].sort((a, b) => far(a) - far(b))[0];
      if (!at) continue;
      before(note, { text: note.text, panel: at, paper, x: (x - at.left) / (at.right - at.left), y: (y - at.top) / (at.bottom - at.top), shift: note.yshift });
    }
  }

  // Everything that is measured in pixels of a screen becomes smaller.
  function adapt(scale) {
    data.forEach((trace, i) => { trace.uid = 't' + i; });
    const each = (value, change) => Array.isArray(value) ? value.map(v => each(v, change)) : typeof value === 'number' ? change(value) : value;
    const fontSize = size => Math.min(most, Math.max(least, size * scale));
    const thin = line => { if (line && typeof line === 'object') line.width = line.width === undefined ? undefined : each(line.width, w => w && Math.max(0.4, w * 0.7)); };
    (function shrink(node) {
      for (const [key, value] of Object.entries(node)) {
        if (!value || typeof value !== 'object' || /^([xyzr]|text|hovertext|customdata|tickvals|ticktext|meta|colorscale|args|ids|labels|parents|values|node|dimensions)$/.test(key)) continue;
        if (/font$/.test(key) && value.size) value.size = each(value.size, fontSize);
        if (key === 'marker') {
          if (value.sizemode === 'area' || !value.size) value.size = each(value.size, size => size * scale * scale);
          else value.size = each(value.size, size => size * scale);
          if (value.standoff) value.standoff = each(value.standoff, size => size * scale);
        }
        if (key === 'line') thin(value);
        if (/^error_/.test(key)) Object.assign(value, { thickness: Math.max(0.5, (value.thickness || 2) * 0.6), width: (value.width === undefined ? 4 : value.width) * scale });
        shrink(value);
      }
    })({ data, layout });
    box._fullData.forEach(trace => {
      const input = trace._input;
      if (/scatter|splom/.test(trace.type) && trace.type !== 'scatter3d') {
        if (/markers/.test(trace.mode || 'markers')) { input.marker = input.marker || {}; if (input.marker.size === undefined) input.marker.size = each(trace.marker && trace.marker.size, size => size * scale); }
        if (/lines/.test(trace.mode || '')) { input.line = input.line || {}; if (input.line.width === undefined) input.line.width = each(trace.line && trace.line.width, w => w * 0.7); }
        // Text beside the outermost points is not cut, unless the axis was made to leave points out.
        if (/text/.test(trace.mode || '') && trace.xaxis && trace.cliponaxis && [trace.xaxis, trace.yaxis].every(id => full[axisName(id)].autorange)) input.cliponaxis = false;
      }
    });
    layout.font = Object.assign({}, layout.font, { size: normal });
    Object.assign(layout, { width, autosize: false, hovermode: false, uniformtext: { minsize: least, mode: 'hide' } });
    if (layout.bargap === undefined && full.bargap !== undefined) layout.bargap = full.bargap;
    for (const id of new Set(panels.flatMap(p => [...p.axes]))) {
      const axis = layout[axisName(id)], type = full[axisName(id)].type, title = typeof axis.title === 'string' ? { text: axis.title } : axis.title || {};
      Object.assign(axis, { automargin: false, ticklen: 3, tickwidth: 0.7, gridwidth: 0.5, title: { ...title, standoff: 4, font: { ...title.font, size: normal } } });
      axis.tickfont = { ...axis.tickfont, size: Math.min(normal, Math.max(least, (axis.tickfont || {}).size || normal)) };
      if (!isText(full[axisName(id)])) axis.tickangle = type === 'multicategory' ? axis.tickangle : 0;
      if (id[0] === 'x') axis.rangeslider = { visible: false };
    }
    for (const name of Object.keys(full._subplots).flatMap(kind => kind === 'cartesian' || kind === 'gl2d' ? [] : full._subplots[kind])) {
      const plot = layout[name];
      if (plot && typeof plot === 'object') for (const key of ['radialaxis', 'angularaxis', 'aaxis', 'baxis', 'caxis']) {
        if (full[name][key]) plot[key] = { ...plot[key], ...(full[name][key].title && full[name][key].title.text ? { title: { text: full[name][key].title.text, font: { size: normal } } } : {}) };
      }
    }
    for (const note of layout.annotations || []) {
      note.font = { size: normal, ...note.font };
      for (const key of ['ax', 'ay', 'standoff', 'startstandoff']) if (typeof note[key] === 'number' && !/^[xy]/.test(note[key + 'ref'] || '')) note[key] *= scale;
      if (note.showarrow !== false) { note.arrowwidth = Math.max(0.5, (note.arrowwidth || 1) * 0.7); if (note.ax === undefined && note.ay === undefined) { note.ax = -10 * scale; note.ay = -30 * scale; } }
    }
    layout.legend = { ...layout.legend, orientation: 'h', xref: 'paper', yref: 'paper', xanchor: 'left', yanchor: 'bottom', itemwidth: 30, tracegroupgap: 2, borderwidth: 0, font: { ...(layout.legend || {}).font, size: least } };
    if (layout.legend.title) layout.legend.title = { ...layout.legend.title, side: 'left', font: { size: least } };
    for (const bar of bars) {
      const flat = bar.holder.orientation === 'h';
      Object.assign(bar.holder, { thickness: 7, thicknessmode: 'pixels', lenmode: 'pixels', xref: 'paper', yref: 'paper', xpad: 0, ypad: 0, outlinewidth: 0, ticklen: 2, tickwidth: 0.7 });
      bar.holder.tickfont = { ...bar.holder.tickfont, size: least };
      bar.holder.title = bar.title = { ...(typeof bar.holder.title === 'string' ? { text: bar.holder.title } : bar.holder.title), side: flat ? 'top' : 'right', font: { ...((bar.holder.title || {}).font), size: normal } };
    }
    for (const p of panels.filter(p => p.table)) {
      for (const part of ['header', 'cells']) {
        const cells = p.table[part] = p.table[part] || {};
        cells.font = { ...cells.font, size: fontSize(((cells.font || {}).size && !Array.isArray(cells.font.size)) ? cells.font.size / scale : screenSize()) };
        Object.assign(cells, { height: Math.ceil(cells.font.size * 1.25) + 10 }); // Text begins 8 px below the line; finish() moves it up.
        cells.line = { ...cells.line, width: 0.4 };
      }
    }
    function screenSize() { return normal / scale; }
  }

  // Panels side by side go below each other where a column would be narrower than 32 mm.
  function stack() {
    const least = hints.Panel ? hints.Panel * mm : narrowest, plain = panels.every(p => p.host || (p.leftTrack === p.rightTrack && p.topTrack === p.bottomTrack)) && !panels.some(p => p.host);
    if (!plain || columns.length < 2) return;
    const around = columns.reduce((sum, c) => sum + c.before + c.after, 0) / columns.length || 6 * mm;
    const wide = n => (width - 2 * pad - n * around - (n - 1) * gap) / n;
    if (wide(columns.length) >= least) return;
    let abreast = columns.length - 1;
    while (abreast > 1 && wide(abreast) < least) abreast--;
    const high = n => (hints.Rows ? hints.Rows * (hints.RowHeight || 3) * mm : wide(n) * panels[0].ratio) + 8 * mm;
    while (abreast < columns.length && Math.ceil(panels.length / abreast) * high(abreast) > tallest) abreast++;
    if (abreast >= columns.length) return;
    panels.sort((a, b) => a.topTrack - b.topTrack || a.leftTrack - b.leftTrack);
    const shared = separate();
    // Labels that only the outer panels had stay with the outer panels.
    const hidden = letter => panels.some(p => [...p.axes].some(id => id[0] === letter && (layout[axisName(id)].showticklabels === false || layout[axisName(id)].visible === false)));
    const outer = { x: shared.has('x') || hidden('x'), y: shared.has('y') || hidden('y') }, main = (p, letter) => layout[axisName([...p.axes].find(id => id[0] === letter) || '')] || {};
    const model = panels.map(p => ({
      y: { ...main(panels.find(q => q.topTrack === p.topTrack), 'y') },
      x: { ...main([...panels].reverse().find(q => q.leftTrack === p.leftTrack), 'x') },
    }));
    panels.forEach((p, i) => {
      const [column, row] = [i % abreast, Math.floor(i / abreast)], last = i + abreast >= panels.length;
      Object.assign(p, { leftTrack: column, rightTrack: column, topTrack: row, bottomTrack: row });
      for (const [letter, shown] of [['y', column === 0], ['x', last]]) {
        const axis = main(p, letter);
        if (!outer[letter] || !p.axes.size) continue;
        axis.showticklabels = shown ? model[i][letter].showticklabels : false;
        axis.title = shown ? { ...model[i][letter].title } : { text: '' };
        if (shown && written.has(model[i][letter].title)) axis.title.text = written.get(model[i][letter].title);
      }
    });
    const fresh = (n, old) => Array.from({ length: n }, () => ({ weight: 1, before: Math.max(...old.map(t => t.before)), after: Math.max(...old.map(t => t.after)) }));
    columns = fresh(abreast, columns);
    rows = fresh(Math.ceil(panels.length / abreast), rows);
    reflowed = true;
  }

  // Each panel gets axes of its own, tied to the one that it shared.
  function separate() {
    const taken = new Set(), shared = new Set();
    for (const p of panels) {
      const renamed = {};
      for (const id of p.axes) {
        if (!taken.has(id)) { taken.add(id); continue; }
        let n = 2;
        while (layout[axisName(id[0] + n)] || taken.has(id[0] + n)) n++;
        const copy = id[0] + n;
        layout[axisName(copy)] = { ...layout[axisName(id)], title: { ...layout[axisName(id)].title, text: before(layout[axisName(id)].title, layout[axisName(id)].title.text) }, matches: layout[axisName(id)].matches || id };
        taken.add(copy);
        renamed[id] = copy;
      }
      if (!Object.keys(renamed).length) continue;
      const plots = new Set(p.plots), rename = ref => { const [id, rest] = (ref || '').split(' '); return renamed[id] ? renamed[id] + (rest ? ' ' + rest : '') : ref; };
      for (const trace of data) if (plots.has((trace.xaxis || 'x') + (trace.yaxis || 'y'))) for (const key of ['xaxis', 'yaxis']) trace[key] = rename(trace[key] || key[0]);
      for (const item of [...(layout.annotations || []), ...(layout.shapes || [])]) {
        if ([item.xref, item.yref].some(ref => p.axes.has((ref || '').split(' ')[0]) && !renamed[(ref || '').split(' ')[0]])) for (const key of ['xref', 'yref', 'axref', 'ayref']) if (item[key]) item[key] = rename(item[key]);
      }
      p.axes = new Set([...p.axes].map(id => renamed[id] || id));
      p.plots = p.plots.map(plot => plot.match(/[xy]\d*/g).map(id => renamed[id] || id).join(''));
      for (const id of p.axes) {
        const axis = layout[axisName(id)];
        if (axis.anchor !== 'free' && !p.axes.has(axis.anchor)) axis.anchor = [...p.axes].find(other => other[0] !== id[0]);
        if (axis.overlaying) axis.overlaying = rename(axis.overlaying);
      }
      Object.keys(renamed).forEach(id => shared.add(id[0]));
    }
    return shared;
  }

  // Decides where everything stands, from what labels took at the last drawing.
  function place() {
    const sum = (list, of) => list.reduce((total, one) => total + of(one), 0);
    const above = (head.title && head.title + 3) + (head.legend && head.legend + 3);
    const across = width - 2 * pad - sum(columns, c => c.before + c.after) - gap * (columns.length - 1);
    if (across < 5 * mm * columns.length) throw new Error(`The figure is too small: labels leave ${(across / mm).toFixed(0)} mm of ${(width / mm).toFixed(0)} mm for the plot; ask for more width`);
    columns.forEach(c => { c.size = across * c.weight / sum(columns, one => one.weight); });
    const around = 2 * pad + above + sum(rows, r => r.before + r.after) + gap * (rows.length - 1);
    rows.forEach((row, i) => {
      const own = panels.filter(p => !p.host && p.topTrack === i && p.bottomTrack === i), spans = p => sum(columns.slice(p.leftTrack, p.rightTrack + 1), c => c.size);
      row.tables = Math.max(0, ...own.filter(p => p.table).map(p => p.need && Math.abs(p.needAt - spans(p)) < 0.5 ? p.need : 30000));
      row.wanted = row.tables || (hints.Rows ? hints.Rows * (hints.RowHeight || 3) * mm : Math.max(0, ...own.map(p => spans(p) * p.ratio)));
      own.filter(p => p.table).forEach(p => { p.span = spans(p); cellWidths(p); });
    });
    // Rows of unlike height, such as a histogram above a map, keep their proportions.
    if (!rows.some(r => r.tables) && !hints.Rows && !reflowed && rows.length > 1) {
      const unit = Math.max(...rows.map(r => r.wanted / r.weight));
      rows.forEach(r => { r.wanted = unit * r.weight; });
    }
    const tables = sum(rows, r => r.tables), plots = rows.filter(r => !r.tables);
    if (free) {
      const room = Math.max(tallest - around - tables, plots.length * 10 * mm), wanted = sum(plots, r => r.wanted) * head.grow;
      rows.forEach(r => { r.size = r.tables || r.wanted * head.grow * Math.min(1, room / wanted); });
      height = around + sum(rows, r => r.size);
    } else {
      const room = height - around - (tables < 30000 ? tables : 0);
      if (tables < 30000 && (room < -0.5 || room < 5 * mm * plots.length)) throw new Error(`The figure needs a height of at least ${Math.ceil((around + tables + 5 * mm * plots.length) / mm)} mm at this width, and ${+(height / mm).toFixed(1)} mm are given`);
      rows.forEach(r => { r.size = r.tables || room * r.wanted / sum(plots, one => one.wanted); });
    }
    const drawnHeight = Math.max(height, around + sum(rows, r => r.size));
    let at = pad;
    columns.forEach(c => { c.start = at + c.before; at = c.start + c.size + c.after + gap; });
    at = pad + above;
    rows.forEach(r => { r.start = at + r.before; at = r.start + r.size + r.after + gap; });
    const [l, t] = [columns[0].start, rows[0].start], right = columns[columns.length - 1], low = rows[rows.length - 1];
    const w = right.start + right.size - l, h = low.start + low.size - t;
    Object.assign(layout, { height: drawnHeight, margin: { l, t, r: width - l - w, b: drawnHeight - t - h, pad: 0, autoexpand: false } });
    const fraction = value => Math.min(1, Math.max(0, value));
    for (const p of [...panels].sort((a, b) => !!a.host - !!b.host)) {
      if (p.host) {
        const inner = (low, high, key) => p.host[low] + (p.host[high] - p.host[low]) * (p.was[key] - p.host.was[low]) / (p.host.was[high] - p.host.was[low]);
        p.at = { left: inner('left', 'right', 'left'), right: inner('left', 'right', 'right'), top: inner('top', 'bottom', 'top'), bottom: inner('top', 'bottom', 'bottom') };
      } else {
        const [c0, c1, r0, r1] = [columns[p.leftTrack], columns[p.rightTrack], rows[p.topTrack], rows[p.bottomTrack]];
        p.at = { left: (c0.start - l) / w, right: (c1.start + c1.size - l) / w, top: (r0.start - t) / h, bottom: (r1.start + r1.size - t) / h };
      }
      Object.assign(p, p.at);
      p.px = { left: l + p.left * w, right: l + p.right * w, top: t + p.top * h, bottom: t + p.bottom * h };
      const [x, y] = [[fraction(p.left), fraction(p.right)], [fraction(1 - p.bottom), fraction(1 - p.top)]];
      if (p.holder) p.holder.domain = { x, y };
      for (const id of p.axes) {
        const axis = layout[axisName(id)];
        axis.domain = id[0] === 'x' ? x : y;
        if (axis.anchor === 'free') axis.position = id[0] === 'y' ? x[axis.side === 'right' ? 1 : 0] : y[axis.side === 'top' ? 1 : 0];
      }
    }
    for (const note of layout.annotations || []) {
      const was = written.get(note);
      if (!was) continue;
      const p = was.panel, over = p.over;
      if (was.paper[0]) {
        note.x = p.left + (p.right - p.left) * Math.min(1, Math.max(0, was.x));
        if (was.x > 1.001) note.xshift = 4 + (p.axisRight || 0);
      }
      if (was.paper[1]) {
        note.y = 1 - (p.top + (p.bottom - p.top) * Math.min(1, Math.max(0, was.y)));
        if (was.y < 0) note.yshift = 2 + (p.axisTop || 0);
        if (was.y > 1.001) Object.assign(note, { yanchor: 'top', yshift: -2 - (p.axisBottom || 0) });
      }
      note.text = broken(was.text, Math.max(60, was.paper[0] ? (p.px.right - p.px.left) + Math.min(over.l, 10) : width - 8), note.font.size, 4);
    }
    for (const bar of bars) {
      const flat = bar.holder.orientation === 'h', first = bar.of.reduce((a, b) => a.px.top <= b.px.top ? a : b), last = bar.of.reduce((a, b) => a.px.bottom >= b.px.bottom ? a : b);
      const side = bar.of.reduce((a, b) => a.px.right >= b.px.right ? a : b), beside = sum(bars.slice(0, bars.indexOf(bar)).filter(b => b.of[0] === bar.of[0] && b.holder.orientation === bar.holder.orientation), b => b.over);
      if (flat) Object.assign(bar.holder, { x: last.left, xanchor: 'left', len: last.px.right - last.px.left, y: 1 - (last.px.bottom + (last.axisBottom || 0) + 4 + beside - t) / h, yanchor: 'top' });
      else Object.assign(bar.holder, { x: (side.px.right + (side.axisRight || 0) + 5 + beside - l) / w, xanchor: 'left', len: last.px.bottom - first.px.top, y: 1 - ((first.px.top + last.px.bottom) / 2 - t) / h, yanchor: 'middle' });
      bar.side = flat ? last : side;
      bar.title.text = broken(before(bar, bar.title.text), flat ? bar.holder.len : bar.holder.len + 4, normal, flat ? 1 : 3);
    }
    for (const p of panels) for (const id of p.axes) {
      const title = layout[axisName(id)].title;
      const text = before(title, title.text || '');
      if (text) title.text = broken(text, id[0] === 'x' ? p.px.right - p.px.left + Math.min(8, columns[0].before) : p.px.bottom - p.px.top + 6, normal, 3);
    }
    layout.legend.x = (pad - l) / w;
    layout.legend.y = 1 + (rows[0].before + 2) / h;
  }

  // A table's columns are as wide as what they hold, the widest less so where that is too much; words longer than their column are broken.
  function cellWidths(p) {
    const { header, cells } = p.table, room = 18, said = part => before(part, part.values || []);
    const texts = said(cells).map((column, i) => [said(header)[i], ...(Array.isArray(column) ? column : [column])].flat().map(value => String(value ?? '')));
    const natural = texts.map(column => Math.max(...column.map(text => textWidth(text, cells.font.size))) + room);
    const words = texts.map(column => Math.min(p.span / texts.length, Math.max(...column.flatMap(text => text.split(/\s+/)).map(word => textWidth(word, cells.font.size))) + room));
    let limit = Math.max(...natural);
    const sizes = () => natural.map((wide, i) => Math.max(Math.min(wide, limit), words[i])), sum = list => list.reduce((a, b) => a + b, 0);
    while (sum(sizes()) > p.span && limit > room) limit *= 0.97;
    const all = sizes(), unit = p.span / sum(all), wide = all.map(size => size * unit);
    p.table.columnwidth = wide;
    const cut = (value, i) => typeof value !== 'string' ? value : broken(value, wide[i] - room, cells.font.size, 99);
    for (const part of [header, cells]) part.values = said(part).map((column, i) => Array.isArray(column) ? column.map(value => cut(value, i)) : cut(column, i));
  }

  // Looks at what was drawn. Says whether something has to move.
  function measure(round) {
    let moved = false;
    const origin = box.querySelector('svg.main-svg').getBoundingClientRect();
    const rect = element => { const r = element.getBoundingClientRect(); return { left: r.left - origin.left, right: r.right - origin.left, top: r.top - origin.top, bottom: r.bottom - origin.top }; };
    // Text that plotly.js hides has no place.
    const rects = selector => [...box.querySelectorAll(selector)].filter(e => e.textContent.trim() && e.getClientRects().length).map(rect);
    const settle = (holder, key, value) => {
      // At first labels are as long as they were on the screen; late nothing shrinks any more, so that it comes to an end.
      value = Math.max(round > 16 ? holder[key] : 0, Math.min(round < 3 ? 0.3 * width / Math.sqrt(columns.length) : Infinity, Math.ceil(value * 2) / 2));
      if (Math.abs(value - holder[key]) > 0.3) { holder[key] = value; moved = true; }
    };
    const [title] = rects('.g-gtitle'), legend = box.querySelector('g.legend rect.bg');
    settle(head, 'title', title ? title.bottom - title.top : 0);
    const key = legend ? rect(legend) : { left: 0, right: 0, top: 0, bottom: 0 };
    settle(head, 'legend', key.bottom - key.top);
    for (const p of panels) {
      const over = { l: 0, r: 0, t: 0, b: 0 };
      const reach = r => { over.l = Math.max(over.l, p.px.left - r.left); over.r = Math.max(over.r, r.right - p.px.right); over.t = Math.max(over.t, p.px.top - r.top); over.b = Math.max(over.b, r.bottom - p.px.bottom); };
      for (const id of p.axes) {
        const { anchor } = layout[axisName(id)];
        if (anchor === 'free' || p.axes.has(anchor)) rects(`g.${id}tick text, g.${id}tick2 text, .g-${id}title`).forEach(reach);
      }
      Object.assign(p, { axisRight: over.r, axisTop: over.t, axisBottom: over.b });
      for (const plot of p.plots) {
        const texts = rects(`.subplot.${plot} .textpoint`);
        if (round && texts.length) moved = widen(p, plot, texts) || moved;
        texts.forEach(reach);
      }
      for (const bar of bars.filter(b => b.side === p)) {
        const drawn = box.querySelector('.' + CSS.escape(bar.name()));
        if (!drawn) continue;
        const r = rect(drawn);
        const flat = bar.holder.orientation === 'h';
        bar.over = (flat ? r.bottom - r.top : r.right - r.left) + 5;
        over[flat ? 'b' : 'r'] = Math.max(over[flat ? 'b' : 'r'], flat ? r.bottom - p.px.bottom : r.right - p.px.right);
      }
      (layout.annotations || []).forEach((note, i) => { if (written.has(note) && written.get(note).panel === p) rects(`g.annotation[data-index="${i}"]`).forEach(reach); });
      if (p.table) {
        const cells = [...box.querySelectorAll('.table')][panels.filter(q => q.table).indexOf(p)].querySelectorAll('.cell-rect');
        const need = Math.max(...[...cells].map(c => rect(c).bottom)) - p.px.top + 1;
        if (p.needAt !== p.span) { Object.assign(p, { need, needAt: p.span }); moved = true; }
      }
      for (const side of 'lrtb') settle(p.over, side, over[side]);
    }
    const whole = panels.filter(p => !p.host), most = (of, side) => Math.max(0, ...of.map(p => p.over[side]));
    columns.forEach((c, i) => { c.before = most(whole.filter(p => p.leftTrack === i), 'l') + (i ? 0 : extra.l); c.after = most(whole.filter(p => p.rightTrack === i), 'r') + (i < columns.length - 1 ? 0 : extra.r); });
    rows.forEach((r, i) => { r.before = most(whole.filter(p => p.topTrack === i), 't') + (i ? 0 : extra.t); r.after = most(whole.filter(p => p.bottomTrack === i), 'b') + (i < rows.length - 1 ? 0 : extra.b); });
    if (round) for (const id of new Set(panels.flatMap(p => [...p.axes]))) moved = ticks(id, rects) || moved;
    for (const bar of bars) {
      const labels = rects(`.${CSS.escape(bar.name())} .cbaxis text`), flat = bar.holder.orientation === 'h';
      if (round && touching(labels, !flat)) { fewer(bar.holder, labels.length); moved = true; }
    }
    if (!moved) moved = tooMuchLegend((key.right - key.left) * (key.bottom - key.top));
    if (!moved) {
      const texts = rects('svg.main-svg text');
      for (const [side, out] of [['l', pad / 2 - Math.min(...texts.map(t => t.left))], ['r', Math.max(...texts.map(t => t.right)) - width + pad / 2], ['t', -Math.min(...texts.map(t => t.top))], ['b', Math.max(...texts.map(t => t.bottom)) - layout.height]]) {
        if (out > 0.3 && extra[side] < 0.4 * (side === 'l' || side === 'r' ? width : layout.height)) { extra[side] += Math.ceil(out); moved = true; const [list, which] = { l: [columns[0], 'before'], r: [columns[columns.length - 1], 'after'], t: [rows[0], 'before'], b: [rows[rows.length - 1], 'after'] }[side]; list[which] += Math.ceil(out); }
      }
    }
    return moved;
  }

  // A legend takes a fifth of the figure at most: the figure grows, else names are shortened so that more stand in a line.
  function tooMuchLegend(area) {
    const share = area / (width * layout.height);
    if (share <= 0.2) return false;
    if (free && layout.height < tallest - 1 && head.grow === 1) {
      const plots = rows.reduce((sum, r) => sum + r.size, 0);
      head.grow = 1.02 + (area * 5 / width - layout.height) / plots;
      return true;
    }
    if (head.lines >= 6) return false;
    head.lines++;
    const names = box._fullData.map(trace => shortened(before(trace._input, trace.name), width / head.lines - 50, least));
    // Names that can no longer be told apart say nothing.
    if (new Set(names).size < new Set(box._fullData.map(trace => trace.name)).size) return false;
    box._fullData.forEach((trace, i) => { trace._input.name = names[i]; });
    return true;
  }

  // Text beside the outermost points gets room inside the plot, since labels of axes stand outside.
  function widen(p, plot, texts) {
    let widened = false;
    for (const id of plot.match(/[xy]\d*/g)) {
      const axis = full[axisName(id)], across = id[0] === 'x', [low, high] = across ? [p.px.left, p.px.right] : [p.px.top, p.px.bottom];
      const before = low - Math.min(...texts.map(t => across ? t.left : t.top)), after = Math.max(...texts.map(t => across ? t.right : t.bottom)) - high;
      if (!axis.autorange || (before < 0.5 && after < 0.5) || before + after > 0.8 * (high - low)) continue;
      const ends = [-Math.max(0, before) - 1, high - low + Math.max(0, after) + 1].map(px => axis.p2r(across ? px : axis._length - px)), turned = axis.range[0] > axis.range[1];
      Object.assign(layout[axisName(id)], { autorange: false, range: ends.sort((a, b) => (turned ? b - a : a - b)) });
      widened = true;
    }
    return widened;
  }

  function isText(axis) {
    return axis.type === 'category' || (axis.tickmode === 'array' && axis.type !== 'multicategory');
  }

  function touching(labels, upright) {
    const [from, to, space] = upright ? ['top', 'bottom', -0.3] : ['left', 'right', 4];
    const sorted = [...labels].sort((a, b) => a[from] - b[from]);
    return sorted.some((label, i) => i && sorted[i - 1][to] + space > label[from]);
  }

  // Fewer numbers on an axis or colour bar.
  function fewer(axis, count) {
    if (typeof axis.dtick === 'number') {
      const decade = 10 ** Math.floor(Math.log10(axis.dtick) + 1e-9);
      axis.dtick = [2, 5, 10, 20].map(n => n * decade).find(n => n > axis.dtick * 1.001);
    } else if (typeof axis.dtick === 'string') delete axis.dtick;
    else axis.nticks = Math.max(1, Math.min(axis.nticks || 99, count) - 1);
  }

  // Numbers are thinned; words stand upright where they do not fit side by side, and are thinned where that is not enough.
  function ticks(id, rects) {
    const name = axisName(id), axis = layout[name], drawn = full[name], upright = id[0] === 'y', labels = rects(`g.${id}tick text`);
    if (!labels.length || drawn.type === 'multicategory') return false;
    if (!isText(drawn)) {
      if (!touching(labels, upright)) return false;
      if (drawn.type === 'log' && typeof axis.dtick !== 'number') axis.dtick = 1;
      else if (drawn.type === 'log') axis.dtick++;
      else fewer(axis, labels.length);
      return true;
    }
    const all = before(axis, { angle: axis.tickangle, ticks: drawn.type === 'category' && !axis.tickvals ? drawn._categories.map((text, i) => [i, String(text)]) : (axis.tickvals || []).map((value, i) => [value, String((axis.ticktext || [])[i] ?? (drawn._vals.find(v => v.x === value) || { text: value }).text)]) });
    const size = axis.tickfont.size, line = size * 1.25, whole = all.ticks.every(([, text]) => /^[-−]?\d*$/.test(text));
    const at = value => drawn.c2p(drawn.type === 'category' && typeof value === 'string' ? drawn._categories.indexOf(value) : drawn.type === 'category' ? value : drawn.d2c(value));
    const range = [...drawn.range].sort((a, b) => a - b), inside = value => { const place = at(value); return place > -1 && place < drawn._length + 1; };
    let shown = all.ticks.filter(([value]) => range && inside(value)).map(([value, text]) => [value, text, at(value)]).sort((a, b) => a[2] - b[2]);
    const longest = upright ? 0.36 * width / (columns.length > 1 ? 1.5 : 1) : free ? 30 * mm : 0.35 * height;
    const texts = shown.map(([, text]) => text), widths = texts.map(text => textWidth(text, size));
    const nearest = Math.min(...shown.slice(1).map((tick, i) => tick[2] - shown[i][2]), 1e9);
    const fits = stride => { for (let i = 0, j = stride; j < shown.length; i = j, j += stride) if (shown[j][2] - shown[i][2] < (widths[i] + widths[j]) / 2 + 3) return false; return true; };
    let stride = 1, angle = 0;
    const stacked = Math.max(1, Math.ceil(line / nearest - 0.02));
    if (upright) { stride = stacked; texts.forEach((text, i) => { texts[i] = broken(text, longest, size, Math.max(1, Math.floor(nearest / line))); }); }
    else {
      const lines = fits(1) || all.angle ? [] : texts.map(text => broken(text, nearest - 4, size, 3));
      if (lines.length && !lines.some(text => text.endsWith('…') || text === '')) { texts.splice(0, texts.length, ...lines); widths.splice(0, widths.length, ...lines.map(text => textWidth(text, size))); }
      while (stride < shown.length && !fits(stride)) stride++;
      if (!whole && (stride > stacked || all.angle)) { [stride, angle] = [stacked, all.angle || -90]; texts.forEach((text, i) => { texts[i] = shortened(text, longest, size); }); }
    }
    const next = shown.map((tick, i) => [tick[0], texts[i]]).filter((_, i) => i % stride === 0);
    const same = axis.tickmode === 'array' && (axis.tickangle || 0) === angle && JSON.stringify([axis.tickvals, axis.ticktext]) === JSON.stringify([next.map(t => t[0]), next.map(t => t[1])]);
    Object.assign(axis, { tickmode: 'array', tickvals: next.map(t => t[0]), ticktext: next.map(t => t[1]), tickangle: angle });
    return !same;
  }

  // The width of a text of plotly.js, which has a little HTML in it.
  function textWidth(text, size) {
    const area = document.createElement('textarea'), pen = textWidth.pen = textWidth.pen || document.createElement('canvas').getContext('2d');
    pen.font = `${size}px ${full.font.family}`;
    return Math.max(...text.split(/<br\s*\/?>/i).map(line => { area.innerHTML = line.replace(/<[^>]*>/g, ''); return pen.measureText(area.value).width * (/<b>/.test(line) ? 1.1 : 1); }));
  }

  function shortened(text, room, size) {
    if (textWidth(text, size) <= room) return text;
    const letters = text.match(/<[^>]*>|&#?\w+;|./gsu) || [];
    while (letters.length > 1 && textWidth(letters.join('') + '…', size) > room) letters.splice(letters.findLastIndex(letter => letter[0] !== '<' || letter.length === 1), 1);
    return letters.join('') + '…';
  }

  // Breaks a text into as few lines as fit, of about equal length; what still is too long is shortened.
  function broken(text, room, size, most) {
    if (!text || textWidth(text, size) <= room) return text;
    const words = text.split(/(?:\s|<br\s*\/?>)+(?![^<]*>)/i).flatMap(word => most > 9 ? pieces(word, room, size) : [word]);
    const lines = limit => words.reduce((done, word) => {
      const longer = done.length ? done[done.length - 1] + ' ' + word : word;
      return done.length && textWidth(longer, size) <= limit ? [...done.slice(0, -1), longer] : [...done, word];
    }, []);
    let best = lines(room);
    if (best.length > most) best = [...best.slice(0, most - 1), best.slice(most - 1).join(' ')];
    else for (let limit = room * 0.95; limit > room / 4 && lines(limit).length === best.length; limit *= 0.95) best = lines(limit);
    return best.map(line => shortened(line, room, size)).join('<br>');
  }

  function pieces(word, room, size) {
    const found = [''];
    for (const letter of textWidth(word, size) > room ? word.match(/<[^>]*>|&#?\w+;|./gsu) : [word]) {
      if (found[found.length - 1] && textWidth(found[found.length - 1] + letter, size) > room) found.push('');
      found[found.length - 1] += letter;
    }
    return found;
  }

  async function finish() {
    const image = await Plotly.toImage(box, { format: 'svg', width, height: layout.height });
    const svg = new DOMParser().parseFromString(decodeURIComponent(image.replace(/^data:image\/svg\+xml,/, '')), 'image/svg+xml').documentElement;
    rectangles(svg);

    // plotly.js decodes entities once more on the way: what is drawn says what the texts are.
    const leaves = (root, within) => [...root.querySelectorAll(`${within} text, ${within} tspan`)].filter(e => !e.children.length);
    const [drawn, written] = [leaves(box, 'svg.main-svg'), leaves(svg, ':scope')];
    if (drawn.length === written.length) drawn.forEach((text, i) => { if (/&/.test(text.textContent)) written[i].textContent = text.textContent; });
    svg.querySelectorAll('.cell-text-holder').forEach(cell => cell.setAttribute('transform', cell.getAttribute('transform').replace(/,\s*8\)/, ',5)')));
    const size = value => +(value / mm).toFixed(3) + 'mm', caption = (layout.meta || {}).caption;
    svg.setAttribute('width', size(width)); svg.setAttribute('height', size(layout.height)); svg.setAttribute('viewBox', `0 0 ${width} ${layout.height}`);
    if (caption) {
      const title = document.createElementNS(svg.namespaceURI, 'title');
      title.textContent = caption;
      svg.prepend(title);
      svg.setAttribute('role', 'img');
      svg.setAttribute('aria-label', caption);
    }
    // Names that plotly.js chose by chance follow from the chart, so that the same chart gives the same file.
    const [, chance] = /id="defs-(\w+)"/.exec(svg.innerHTML) || [], name = [...JSON.stringify(data)].reduce((hash, letter) => Math.imul(hash ^ letter.codePointAt(0), 16777619) >>> 0, 2166136261).toString(16);
    const text = new XMLSerializer().serializeToString(svg).replace(new RegExp(`(id="|#)([a-z-]*)${chance}`, 'g'), (_, start, kind) => start + kind + name);
    return { svg: text, height: layout.height };
  }

  // plotly.js paints heat maps as pictures of the screen's resolution: their cells become rectangles, or one dot each where there are too many.
  function rectangles(svg) {
    for (const plot of full._subplots.cartesian || []) {
      const maps = box.calcdata.map(d => d[0]).filter(d => d.trace && /^(heatmap|histogram2d)$/.test(d.trace.type) && d.trace.visible === true && d.trace.xaxis + d.trace.yaxis === plot && !d.trace.zsmooth);
      const pictures = [...svg.querySelectorAll(`.subplot.${plot} g.hm image`)];
      if (maps.length !== pictures.length) continue;
      maps.forEach(({ trace, x, y, z }, i) => {
        const colors = trace.coloraxis ? full[trace.coloraxis] : trace, low = trace.coloraxis ? colors.cmin : trace.zmin, high = trace.coloraxis ? colors.cmax : trace.zmax;
        const stops = colors.colorscale.map(([place, color]) => [place, rgba(color)]);
        const at = value => {
          let place = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0.5, k = 0;
          if (colors.reversescale) place = 1 - place;
          while (k < stops.length - 2 && place > stops[k + 1][0]) k++;
          const part = (place - stops[k][0]) / (stops[k + 1][0] - stops[k][0] || 1);
          return stops[k][1].map((a, j) => Math.round(a + (stops[k + 1][1][j] - a) * part));
        };
        const edges = (list, axis) => list.map(v => axis.c2p(v)), [across, down] = [edges(x, full[axisName(trace.xaxis)]), edges(y, full[axisName(trace.yaxis)])];
        const cells = z.length * (across.length - 1) > 20000 ? dots(z, across, down, at) : svg.ownerDocument.createElementNS(svg.namespaceURI, 'g');
        if (cells.localName === 'g') {
          cells.setAttribute('shape-rendering', 'crispEdges');
          z.forEach((row, r) => row.forEach((value, c) => {
            if (typeof value !== 'number' || !Number.isFinite(value)) return;
            const cell = svg.ownerDocument.createElementNS(svg.namespaceURI, 'rect'), [x0, x1] = [across[c], across[c + 1]].sort((a, b) => a - b), [y0, y1] = [down[r], down[r + 1]].sort((a, b) => a - b);
            const [gx, gy] = [Math.min(trace.xgap || 0, (x1 - x0) * 0.12), Math.min(trace.ygap || 0, (y1 - y0) * 0.12)], [red, green, blue, alpha] = at(value);
            for (const [name, v] of Object.entries({ x: x0 + gx / 2, y: y0 + gy / 2, width: x1 - x0 - gx, height: y1 - y0 - gy })) cell.setAttribute(name, +v.toFixed(3));
            cell.setAttribute('fill', '#' + [red, green, blue].map(n => n.toString(16).padStart(2, '0')).join(''));
            if (alpha < 255) cell.setAttribute('fill-opacity', (alpha / 255).toFixed(3));
            cells.append(cell);
          }));
        }
        if (trace.opacity < 1) cells.setAttribute('opacity', trace.opacity);
        pictures[i].replaceWith(cells);
      });
    }

    function rgba(color) {
      const pen = new OffscreenCanvas(1, 1).getContext('2d');
      pen.fillStyle = color;
      pen.fillRect(0, 0, 1, 1);
      return [...pen.getImageData(0, 0, 1, 1).data];
    }

    function dots(z, across, down, at) {
      const [w, h] = [across.length - 1, down.length - 1], canvas = document.createElement('canvas'), [flipX, flipY] = [across[w] < across[0], down[h] < down[0]];
      Object.assign(canvas, { width: w, height: h });
      const pen = canvas.getContext('2d'), image = pen.createImageData(w, h);
      z.forEach((row, r) => row.forEach((value, c) => {
        if (typeof value === 'number' && Number.isFinite(value)) image.data.set(at(value), 4 * ((flipY ? h - 1 - r : r) * w + (flipX ? w - 1 - c : c)));
      }));
      pen.putImageData(image, 0, 0);
      const picture = svg.ownerDocument.createElementNS(svg.namespaceURI, 'image');
      for (const [name, value] of Object.entries({ x: Math.min(across[0], across[w]), y: Math.min(down[0], down[h]), width: Math.abs(across[w] - across[0]), height: Math.abs(down[h] - down[0]), preserveAspectRatio: 'none', style: 'image-rendering: pixelated', href: canvas.toDataURL() })) picture.setAttribute(name, value);
      return picture;
    }
  }
}
