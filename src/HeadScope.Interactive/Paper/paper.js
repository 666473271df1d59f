// Lays a chart out for paper and draws it. plotly.js draws; where panels, colour bars, the legend and titles stand is decided here, from what labels measure:
// draw, measure, place anew, until nothing moves.
async function headscopePaper(json, width, height, mm) {
  const { least, normal, most } = paperFont, pad = 2, tallest = 230 * mm, gap = 1.5 * mm, free = !height;
  // What XML has no place for shows as a replacement character.
  const { data, layout } = JSON.parse(json, (_, value) => typeof value === 'string' ? value.toWellFormed().replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '\ufffd') : value);
  const hints = layout.meta?.paper || {}, box = document.body.appendChild(document.createElement('div'));
  const written = new Map(); // What titles, notes and ticks said before they were broken, shortened or thinned.
  const before = (holder, value) => { if (!written.has(holder)) written.set(holder, value); return written.get(holder); };
  const axisOf = id => layout[paperAxis(id)], sum = (list, of) => list.reduce((total, one) => total + of(one), 0), fraction = value => Math.min(1, Math.max(0, value));
  const head = { title: 0, legend: 0, grow: 1, lines: 0 }, extra = { l: 0, r: 0, t: 0, b: 0 };
  let full, labels, panels, columns, rows, bars, reflowed = false;

  try {
    // What only a screen has goes, and titles with it: a paper has captions.
    for (const key of Object.keys(layout).filter(key => /^[xy]axis\d*$/.test(key))) for (const name of ['rangeslider', 'rangeselector']) delete layout[key][name];
    const menu = (layout.updatemenus || []).find(m => m.buttons && m.buttons.length), chosen = menu && menu.buttons[menu.active || 0];
    layout.title = chosen && { text: chosen.label, font: { size: most }, x: pad / width, xref: 'container', xanchor: 'left', y: 1, yref: 'container', yanchor: 'top', pad: { t: pad } };
    for (const name of ['updatemenus', 'sliders', 'autosize']) delete layout[name];
    await draw();
    paperSizes(box, normal / (layout.font?.size || layout.template?.layout?.font?.size || 12));
    labels = paperLabels(full.font.family);
    survey();
    settings();
    if (free) height = Math.min(tallest, width);
    for (let round = 0, moved = true; moved && round < 24; round++) {
      stack();
      place();
      await draw();
      moved = measure(round);
    }
    return { svg: await paperSvg(box, width, layout.height, mm), height: layout.height };
  } finally {
    Plotly.purge(box);
    box.remove();
  }

  async function draw() {
    await Plotly.newPlot(box, data, layout, { staticPlot: true });
    full = box._fullLayout;
    paperLegible(box);
  }

  // Finds the panels: rectangles that axes, pies, tables and other kinds of plots have to themselves.
  function survey() {
    panels = [];
    const panel = ({ x, y }, more) => panels.push({ left: x[0], right: x[1], top: 1 - y[1], bottom: 1 - y[0], over: { l: 0, r: 0, t: 0, b: 0 }, highest: Infinity, plots: [], axes: new Set(), ...more });
    for (const plot of full._subplots.cartesian || []) {
      const ids = plot.match(/[xy]\d*/g), [{ domain: x }, { domain: y }] = ids.map(id => full[paperAxis(full[paperAxis(id)].overlaying || id)]);
      const near = panels.find(p => Math.abs(p.left - x[0]) + Math.abs(p.right - x[1]) + Math.abs(p.top - (1 - y[1])) + Math.abs(p.bottom - (1 - y[0])) < 0.004);
      if (near) { near.plots.push(plot); ids.forEach(id => near.axes.add(id)); }
      else panel({ x, y }, { plots: [plot], axes: new Set(ids) });
    }
    for (const kind of ['polar', 'ternary', 'smith', 'gl3d', 'geo', 'mapbox']) for (const id of full._subplots[kind] || []) panel(full[id].domain, { holder: layout[id] ||= {} });
    for (const trace of box._fullData) if (trace.visible === true && trace.domain) panel(trace.domain, { holder: trace._input, table: trace.type === 'table' && trace._input });
    if (!panels.length) panel({ x: [0, 1], y: [0, 1] });
    // A map of few cells is not as large as it may be.
    const cells = p => box._fullData.some(({ type, xaxis, yaxis, _input }) => type === 'heatmap' && !_input.y && p.plots.includes(xaxis + yaxis));
    for (const p of panels) {
      p.ratio = hints.Rows ? 0 : hints.Ratio || Math.min(1.2, Math.max(0.35, (p.bottom - p.top) * full._size.h / ((p.right - p.left) * full._size.w)));
      p.host = panels.find(q => q !== p && q.left <= p.left && q.right >= p.right && q.top <= p.top && q.bottom >= p.bottom);
      const [x, y] = ['x', 'y'].map(letter => full[paperAxis([...p.axes].find(id => id[0] === letter) || '')] || {}), spans = [x, y].map(({ range: [from, to] = [] }) => Math.abs(to - from));
      if (y.scaleanchor === x._id && x.constrain === 'domain' && y.constrain === 'domain') Object.assign(p, { aspect: spans[0] / spans[1] / y.scaleratio, highest: cells(p) ? spans[1] * 5.5 * mm : Infinity });
      for (const id of p.axes) {
        const { anchor, ...from } = full[paperAxis(id)], axis = layout[paperAxis(id)] ||= {};
        for (const key of ['side', 'overlaying']) if (from[key]) axis[key] = from[key];
        // One that stands at an axis of another panel would stay there when its own panel moves; one that stands free finds its place beside the others.
        axis.anchor = anchor === 'free' || panels.some(q => q.axes.has(id) && q.axes.has(anchor)) ? anchor : [...p.axes].find(other => other[0] !== id[0]);
        if (anchor === 'free' && id[0] === 'y') axis.autoshift = true;
      }
    }
    delete layout.grid;
    [columns, rows] = [tracks('columns', 'left', 'right'), tracks('rows', 'top', 'bottom')];
    notes();
    bars = [];
    const panelOf = trace => panels.find(p => p.axes.size ? p.plots.includes((trace.xaxis || '') + (trace.yaxis || '')) : p.holder === trace._input || layout[trace.subplot || trace.scene || trace.geo] === p.holder) || panels[0];
    const bar = (input, { colorbar: { orientation, title } }, of, name) => {
      const own = input.colorbar || {}, text = title && title.text !== full._dfltTitle.colorbar ? title.text : '';
      input.colorbar = {
        ...own, orientation, thickness: 7, thicknessmode: 'pixels', lenmode: 'pixels', xref: 'paper', yref: 'paper', xpad: 0, ypad: 0, outlinewidth: 0, ticklen: 2, tickwidth: 0.7,
        tickfont: { ...own.tickfont, size: least }, title: { text, side: orientation === 'h' ? 'top' : 'right', font: { ...own.title?.font, size: normal } },
      };
      bars.push({ holder: input.colorbar, flat: orientation === 'h', of, name: '.cb' + name, over: 0 });
    };
    const parts = trace => [[trace, trace._input], [trace.marker, trace._input.marker], [trace.line, trace._input.line]].filter(([part]) => part), seen = box._fullData.filter(trace => trace.visible === true);
    for (const trace of seen) for (const [part, input] of parts(trace)) if (part.showscale && part.colorbar && !part.coloraxis) bar(input, part, [panelOf(trace)], 't' + trace.index);
    for (const id of Object.keys(full._colorAxes || {})) if (full[id].showscale) bar(layout[id] ||= {}, full[id], box._fullData.filter(trace => parts(trace).some(([part]) => part.coloraxis === id)).map(panelOf), id);
    // A colour bar that is alone serves all maps.
    const colored = [...new Set(seen.filter(trace => /heatmap|contour/.test(trace.type)).map(panelOf))];
    if (bars.length === 1 && colored.includes(bars[0].of[0])) bars[0].of = colored;
  }

  // Panels stand in columns and rows; a wide one may span several.
  function tracks(key, low, high) {
    const own = panels.filter(p => !p.host), found = [], meet = (t, p) => Math.min(t.high, p[high]) - Math.max(t.low, p[low]) > 0.1 * (t.high - t.low);
    for (const p of [...own].sort((a, b) => (a[high] - a[low]) - (b[high] - b[low]) || a[low] - b[low])) if (!found.some(t => meet(t, p))) found.push({ low: p[low], high: p[high] });
    found.sort((a, b) => a.low - b.low);
    for (const p of own) p[key] = [found.findIndex(t => meet(t, p)), found.findLastIndex(t => meet(t, p))];
    return found.map(t => ({ weight: t.high - t.low, before: 0, after: 0 }));
  }

  // Notes that are placed on the page belong to the panel that they stand in, above or below.
  function notes() {
    for (const note of layout.annotations || []) {
      Object.assign(note, { xshift: note.xshift || 0, yshift: note.yshift || 0 });
      const own = [note.xref, note.yref].map(ref => /^[xy]\d*( domain)?$/.test(ref || '') ? panels.find(p => p.axes.has(ref.split(' ')[0])) : undefined);
      const paper = [note.xref, note.yref].map(ref => !ref || ref === 'paper'), x = +note.x, y = 1 - note.y;
      const far = p => (paper[0] ? Math.max(0, p.left - x, x - p.right) : 0) + (paper[1] ? Math.max(0, p.top - y, y - p.bottom) : 0);
      const at = own[0] || own[1] || [...panels].sort((a, b) => far(a) - far(b))[0];
      before(note, { text: note.text, panel: at, paper, x: (x - at.left) / (at.right - at.left), y: (y - at.top) / (at.bottom - at.top) });
    }
  }

  // How lines, labels, the legend and tables look on every paper.
  function settings() {
    data.forEach((trace, i) => { trace.uid = 't' + i; });
    layout.bargap ??= full.bargap;
    Object.assign(layout, { width, autosize: false, hovermode: false, uniformtext: { minsize: least, mode: 'hide' }, font: { ...layout.font, size: normal } });
    for (const id of new Set(panels.flatMap(p => [...p.axes]))) {
      const axis = axisOf(id), drawn = full[paperAxis(id)], title = typeof axis.title === 'string' ? { text: axis.title } : axis.title;
      Object.assign(axis, {
        automargin: false, ticklen: 3, tickwidth: 0.7, gridwidth: 0.5, title: { ...title, standoff: /<su[bp]>/.test(title?.text) ? 6 : 4, font: { ...title?.font, size: normal } },
        tickfont: { ...axis.tickfont, size: Math.min(normal, Math.max(least, axis.tickfont?.size || normal)) },
      });
      if (!isText(drawn) && drawn.type !== 'multicategory') axis.tickangle = 0;
      if (id[0] === 'x') axis.rangeslider = { visible: false };
    }
    for (const { holder } of panels) for (const key of ['radialaxis', 'angularaxis', 'aaxis', 'baxis', 'caxis']) {
      const text = full[Object.keys(layout).find(name => holder && layout[name] === holder)]?.[key]?.title?.text;
      if (text) holder[key] = { ...holder[key], title: { text, font: { size: normal } } };
    }
    layout.legend = { ...layout.legend, orientation: 'h', xref: 'paper', yref: 'paper', xanchor: 'left', yanchor: 'bottom', itemwidth: 30, tracegroupgap: 2, borderwidth: 0, font: { ...layout.legend?.font, size: least } };
    if (layout.legend.title) layout.legend.title = { ...layout.legend.title, side: 'left', font: { size: least } };
    for (const { table } of panels.filter(p => p.table)) for (const part of ['header', 'cells']) {
      const font = { ...table[part]?.font }, size = typeof font.size === 'number' ? font.size : normal;
      table[part] = { ...table[part], font: { ...font, size }, height: Math.ceil(size * 1.25) + 10, line: { ...table[part]?.line, width: 0.4 } };
    }
  }

  // Panels side by side go below each other where a column would be narrower than 32 mm.
  function stack() {
    if (columns.length < 2 || panels.some(p => p.host || p.columns[0] !== p.columns[1] || p.rows[0] !== p.rows[1])) return;
    const around = sum(columns, c => c.before + c.after) / columns.length || 6 * mm, wide = n => (width - 2 * pad - n * around - (n - 1) * gap) / n;
    const high = n => (hints.Rows ? hints.Rows * (hints.RowHeight || 3) * mm : wide(n) * panels[0].ratio) + 8 * mm;
    let abreast = columns.length;
    while (abreast > 1 && wide(abreast) < 32 * mm) abreast--;
    while (abreast < columns.length && Math.ceil(panels.length / abreast) * high(abreast) > tallest) abreast++;
    if (abreast === columns.length) return;
    panels.sort((a, b) => a.rows[0] - b.rows[0] || a.columns[0] - b.columns[0]);
    const shared = separate();
    // Labels that only the outer panels had stay with the outer panels.
    const outer = letter => shared.has(letter) || panels.some(p => [...p.axes].some(id => id[0] === letter && (axisOf(id).showticklabels === false || axisOf(id).visible === false)));
    const main = (p, letter) => axisOf([...p.axes].find(id => id[0] === letter) || '') || {};
    const model = panels.map(p => ({ y: { ...main(panels.find(q => q.rows[0] === p.rows[0]), 'y') }, x: { ...main(panels.findLast(q => q.columns[0] === p.columns[0]), 'x') } }));
    const sides = [['y', i => i % abreast === 0], ['x', i => i + abreast >= panels.length]].filter(([letter]) => outer(letter));
    panels.forEach((p, i) => {
      Object.assign(p, { columns: Array(2).fill(i % abreast), rows: Array(2).fill(Math.floor(i / abreast)) });
      for (const [letter, shown] of sides) if (p.axes.size) {
        const { showticklabels, title } = model[i][letter];
        Object.assign(main(p, letter), shown(i) ? { showticklabels, title: { ...title, text: written.get(title) ?? title?.text } } : { showticklabels: false, title: { text: '' } });
      }
    });
    const fresh = (n, old) => Array.from({ length: n }, () => ({ weight: 1, before: Math.max(...old.map(t => t.before)), after: Math.max(...old.map(t => t.after)) }));
    [columns, rows, reflowed] = [fresh(abreast, columns), fresh(Math.ceil(panels.length / abreast), rows), true];
  }

  // Each panel gets axes of its own, tied to the one that it shared.
  function separate() {
    const taken = new Set(), shared = new Set();
    for (const p of panels) {
      const renamed = {}, rename = ref => { const [id, ...rest] = (ref || '').split(' '); return renamed[id] ? [renamed[id], ...rest].join(' ') : ref; };
      for (const id of p.axes) {
        if (!taken.has(id)) { taken.add(id); continue; }
        let n = 2;
        while (axisOf(id[0] + n)) n++;
        const axis = axisOf(id), copy = renamed[id] = id[0] + n;
        layout[paperAxis(copy)] = { ...axis, title: { ...axis.title, text: before(axis.title, axis.title.text) }, matches: axis.matches || id };
        taken.add(copy);
        shared.add(id[0]);
      }
      for (const trace of data) if (p.plots.includes((trace.xaxis || 'x') + (trace.yaxis || 'y'))) for (const key of ['xaxis', 'yaxis']) trace[key] = rename(trace[key] || key[0]);
      const own = ref => p.axes.has((ref || '').split(' ')[0]) && rename(ref) === ref;
      for (const item of [...(layout.annotations || []), ...(layout.shapes || [])]) if (own(item.xref) || own(item.yref)) for (const key of ['xref', 'yref', 'axref', 'ayref']) if (item[key]) item[key] = rename(item[key]);
      p.axes = new Set([...p.axes].map(rename));
      p.plots = p.plots.map(plot => plot.match(/[xy]\d*/g).map(rename).join(''));
      for (const id of p.axes) {
        const axis = axisOf(id);
        if (axis.anchor !== 'free' && !p.axes.has(axis.anchor)) axis.anchor = [...p.axes].find(other => other[0] !== id[0]);
        if (axis.overlaying) axis.overlaying = rename(axis.overlaying);
      }
    }
    return shared;
  }

  // Decides where everything stands, from what labels took at the last drawing.
  function place() {
    // A legend that is too high becomes lower yet, or is refused.
    const above = (head.title && head.title + 3) + (head.legend && Math.min(head.legend, free ? Infinity : 0.3 * height) + 3), spaces = tracks => sum(tracks, t => t.before + t.after) + gap * (tracks.length - 1);
    const across = width - 2 * pad - spaces(columns), around = 2 * pad + above + spaces(rows);
    if (across < 5 * mm * columns.length) throw new Error(`The figure is too small: labels leave ${(across / mm).toFixed(0)} mm of ${(width / mm).toFixed(0)} mm for the plot; ask for more width`);
    for (const c of columns) c.size = across * c.weight / sum(columns, one => one.weight);
    const spans = p => sum(columns.slice(p.columns[0], p.columns[1] + 1), c => c.size);
    rows.forEach((row, i) => {
      const own = panels.filter(p => !p.host && p.rows[0] === i && p.rows[1] === i);
      row.tables = Math.max(0, ...own.filter(p => p.table).map(p => p.need && Math.abs(p.needAt - spans(p)) < 0.5 ? p.need : 30000));
      row.wanted = row.tables || (hints.Rows ? hints.Rows * (hints.RowHeight || 3) * mm : Math.max(0, ...own.map(p => Math.min(spans(p) * p.ratio, p.highest))));
      for (const p of own.filter(p => p.table)) { p.span = spans(p); cellWidths(p); }
    });
    // Rows of unlike height, such as a histogram above a map, keep their proportions.
    if (!rows.some(r => r.tables) && !hints.Rows && !reflowed && rows.length > 1) {
      const unit = Math.max(...rows.map(r => r.wanted / r.weight));
      for (const r of rows) r.wanted = unit * r.weight;
    }
    const tables = sum(rows, r => r.tables), plots = rows.filter(r => !r.tables), wanted = sum(plots, r => r.wanted);
    if (free) {
      const room = Math.max(tallest - around - tables, plots.length * 10 * mm);
      for (const r of rows) r.size = r.tables || r.wanted * head.grow * Math.min(1, room / (wanted * head.grow));
      height = around + sum(rows, r => r.size);
    } else {
      const room = height - around - (tables < 30000 ? tables : 0);
      if (tables < 30000 && (room < -0.5 || room < 5 * mm * plots.length)) throw new Error(`The figure needs a height of at least ${Math.ceil((around + tables + 5 * mm * plots.length) / mm)} mm at this width, and ${+(height / mm).toFixed(1)} mm are given`);
      for (const r of rows) r.size = r.tables || room * r.wanted / wanted;
    }
    const start = (tracks, at) => { for (const one of tracks) { one.start = at + one.before; at = one.start + one.size + one.after + gap; } };
    // Where scales are tied, a plot is as wide as its height has it, and what is left stands at both sides.
    columns.forEach((c, i) => {
      const own = panels.filter(p => !p.host && p.columns[0] === i);
      if (own.every(p => p.aspect)) c.size = Math.min(c.size, Math.max(...own.map(p => p.aspect * rows[p.rows[0]].size)));
    });
    start(columns, pad + Math.max(0, across - sum(columns, c => c.size)) / 2);
    start(rows, pad + above);
    const drawn = Math.max(height, around + sum(rows, r => r.size)), span = (tracks, [first, last] = [0, tracks.length - 1]) => [tracks[first].start, tracks[last].start + tracks[last].size];
    // The paper of plotly.js is all of the page, since it takes no colour bar that is far outside of it.
    const onPage = { x: px => fraction(px / width), y: px => fraction(1 - px / drawn) };
    Object.assign(layout, { height: drawn, margin: { l: 0, t: 0, r: 0, b: 0, pad: 0, autoexpand: false } });
    for (const p of [...panels].sort((a, b) => !!a.host - !!b.host)) {
      const inset = (side, low, high) => p.host.px[low] + (p.host.px[high] - p.host.px[low]) * (p[side] - p.host[low]) / (p.host[high] - p.host[low]);
      const [left, right] = p.host ? [inset('left', 'left', 'right'), inset('right', 'left', 'right')] : span(columns, p.columns);
      const [top, bottom] = p.host ? [inset('top', 'top', 'bottom'), inset('bottom', 'top', 'bottom')] : span(rows, p.rows);
      p.px = { left, right, top, bottom };
      const domain = { x: [left, right].map(onPage.x), y: [bottom, top].map(onPage.y) };
      if (p.holder) p.holder.domain = domain;
      for (const id of p.axes) {
        const axis = axisOf(id);
        axis.domain = domain[id[0]];
        if (axis.anchor === 'free') axis.position = id[0] === 'y' ? domain.x[axis.side === 'right' ? 1 : 0] : domain.y[axis.side === 'top' ? 1 : 0];
        const text = before(axis.title, axis.title.text || '');
        const lines = labels.broken(text, id[0] === 'x' ? right - left + Math.min(8, columns[0].before) : bottom - top + 6, normal, 3);
        axis.title.text = lines.includes('…<br>') ? '' : lines; // One that is cut within says nothing.
      }
    }
    for (const note of layout.annotations || []) {
      const { text, panel: p, paper, x, y } = written.get(note);
      if (paper[0]) note.x = onPage.x(p.px.left + (p.px.right - p.px.left) * fraction(x));
      if (paper[0] && x > 1.001) note.xshift = 4 + (p.axisRight || 0);
      if (paper[1]) note.y = onPage.y(p.px.top + (p.px.bottom - p.px.top) * fraction(y));
      if (paper[1] && y < 0) note.yshift = 2 + (p.axisTop || 0);
      if (paper[1] && y > 1.001) Object.assign(note, { yanchor: 'top', yshift: -2 - (p.axisBottom || 0) });
      note.text = labels.broken(text, Math.max(60, paper[0] ? (p.px.right - p.px.left) + Math.min(p.over.l, 10) : width - 8), note.font.size, 4);
    }
    bars.forEach((bar, i) => {
      const far = (side, sign) => bar.of.reduce((a, b) => sign * a.px[side] >= sign * b.px[side] ? a : b), { holder, flat } = bar, [first, last, right] = [far('top', -1), far('bottom', 1), far('right', 1)];
      const beside = sum(bars.slice(0, i).filter(b => b.of[0] === bar.of[0] && b.flat === flat), b => b.over);
      Object.assign(holder, { xanchor: 'left' }, flat
        ? { x: onPage.x(last.px.left), len: last.px.right - last.px.left, y: onPage.y(last.px.bottom + (last.axisBottom || 0) + 4 + beside), yanchor: 'top' }
        : { x: onPage.x(right.px.right + (right.axisRight || 0) + 5 + beside), len: last.px.bottom - first.px.top, y: onPage.y((first.px.top + last.px.bottom) / 2), yanchor: 'middle' });
      bar.side = flat ? last : right;
      holder.title.text = labels.broken(before(bar, holder.title.text), flat ? holder.len : holder.len + 4, normal, flat ? 1 : 3);
    });
    // Shapes and pictures that are placed on the page are placed on all panels together.
    const all = { x: span(columns), y: [...span(rows)].reverse() }, among = (v, [from, to]) => from + (to - from) * v;
    for (const item of [...(layout.shapes || []), ...(layout.images || [])]) {
      const was = before(item, { ...item });
      for (const key of ['x', 'y', 'x0', 'x1', 'y0', 'y1']) if (was[key[0] + 'ref'] === 'paper' && typeof was[key] === 'number') item[key] = onPage[key[0]](among(was[key], all[key[0]]));
    }
    Object.assign(layout.legend, { x: onPage.x(pad), y: onPage.y(pad + above - 2) });
  }

  // A table's columns are as wide as what they hold, the widest less so where that is too much; words longer than their column are broken.
  function cellWidths({ table, span }) {
    const { header, cells } = table, { size } = cells.font, room = 18, said = part => before(part, part.values || []), widest = list => Math.max(...list.map(text => labels.width(text, size)));
    const texts = said(cells).map((column, i) => [said(header)[i], column].flat().map(value => String(value ?? '')));
    const natural = texts.map(column => widest(column) + room), words = texts.map(column => Math.min(span / texts.length, widest(column.flatMap(text => text.split(/\s+/))) + room));
    const sizes = limit => natural.map((wide, i) => Math.max(Math.min(wide, limit), words[i])), all = list => sum(list, one => one);
    let limit = Math.max(...natural);
    while (all(sizes(limit)) > span && limit > room) limit *= 0.97;
    table.columnwidth = sizes(limit).map(wide => wide * (span / all(sizes(limit))));
    const cut = (value, i) => Array.isArray(value) ? value.map(one => cut(one, i)) : typeof value === 'string' ? labels.broken(value, table.columnwidth[i] - room, size, 99) : value;
    for (const part of [header, cells]) part.values = said(part).map(cut);
  }

  // Where elements were drawn. Text that plotly.js hides has no place.
  function rects(selector, root = box) {
    const origin = box.querySelector('svg.main-svg').getBoundingClientRect();
    return [...root.querySelectorAll(selector)].filter(e => (e.localName === 'rect' || e.textContent.trim()) && e.getClientRects().length).map(e => {
      const { left, right, top, bottom } = e.getBoundingClientRect();
      return { left: left - origin.left, right: right - origin.left, top: top - origin.top, bottom: bottom - origin.top };
    });
  }

  // Looks at what was drawn. Says whether something has to move.
  function measure(round) {
    let moved = false;
    const settle = (holder, key, value) => {
      // At first labels are as long as they were on the screen; late nothing shrinks any more, so that it comes to an end.
      value = Math.max(round > 16 ? holder[key] : 0, Math.min(round < 3 ? 0.3 * width / Math.sqrt(columns.length) : Infinity, Math.ceil(value * 2) / 2));
      if (Math.abs(value - holder[key]) > 0.3) { holder[key] = value; moved = true; }
    };
    const [title] = rects('.g-gtitle'), key = rects('g.legend rect.bg')[0] || { left: 0, right: 0, top: 0, bottom: 0 };
    settle(head, 'title', title ? title.bottom - title.top : 0);
    settle(head, 'legend', key.bottom - key.top);
    for (const p of panels) {
      const over = { l: 0, r: 0, t: 0, b: 0 };
      const reach = r => Object.assign(over, { l: Math.max(over.l, p.px.left - r.left), r: Math.max(over.r, r.right - p.px.right), t: Math.max(over.t, p.px.top - r.top), b: Math.max(over.b, r.bottom - p.px.bottom) });
      for (const id of p.axes) if (axisOf(id).anchor === 'free' || p.axes.has(axisOf(id).anchor)) rects(`g.${id}tick text, g.${id}tick2 text, .g-${id}title`).forEach(reach);
      Object.assign(p, { axisRight: over.r, axisTop: over.t, axisBottom: over.b });
      for (const plot of p.plots) {
        const texts = rects(`.subplot.${plot} .textpoint`);
        if (round && texts.length) moved = widen(p, plot, texts) || moved;
        texts.forEach(reach);
      }
      for (const bar of bars.filter(b => b.side === p)) for (const r of rects(bar.name)) {
        bar.over = (bar.flat ? r.bottom - r.top : r.right - r.left) + 5;
        if (bar.flat) over.b = Math.max(over.b, r.bottom - p.px.bottom);
        else over.r = Math.max(over.r, r.right - p.px.right);
      }
      (layout.annotations || []).forEach((note, i) => { if (written.get(note).panel === p) rects(`g.annotation[data-index="${i}"]`).forEach(reach); });
      if (p.table && p.needAt !== p.span) {
        const drawn = rects('.cell-rect', box.querySelectorAll('.table')[panels.filter(q => q.table).indexOf(p)]);
        Object.assign(p, { need: Math.max(...drawn.map(r => r.bottom)) - p.px.top + 1, needAt: p.span });
        moved = true;
      }
      for (const side of 'lrtb') settle(p.over, side, over[side]);
    }
    for (const [tracks, key, from, to] of [[columns, 'columns', 'l', 'r'], [rows, 'rows', 't', 'b']]) tracks.forEach((one, i) => {
      const most = (end, side) => Math.max(0, ...panels.filter(p => !p.host && p[key][end] === i).map(p => p.over[side]));
      Object.assign(one, { before: most(0, from) + (i ? 0 : extra[from]), after: most(1, to) + (i < tracks.length - 1 ? 0 : extra[to]) });
    });
    if (round) for (const id of new Set(panels.flatMap(p => [...p.axes]))) moved = ticks(id) || moved;
    if (round) for (const { name, holder, flat } of bars) {
      const numbers = rects(`${name} .cbaxis text`);
      if (labels.touching(numbers, !flat)) { labels.fewer(holder, numbers.length); moved = true; }
    }
    if (!moved) moved = tooMuchLegend((key.right - key.left) * (key.bottom - key.top), key.right > width);
    if (moved) return true;
    const texts = rects('svg.main-svg text'), [left, right, top, bottom] = [['left', -1], ['right', 1], ['top', -1], ['bottom', 1]].map(([side, sign]) => Math.max(...texts.map(r => sign * r[side])));
    for (const [side, out, size, track, end] of [['l', pad / 2 + left, width, columns[0], 'before'], ['r', right - width + pad / 2, width, columns.at(-1), 'after'], ['t', top, layout.height, rows[0], 'before'], ['b', bottom - layout.height, layout.height, rows.at(-1), 'after']]) {
      if (out > 0.3 && extra[side] < 0.4 * size) { extra[side] += Math.ceil(out); track[end] += Math.ceil(out); moved = true; }
    }
    return moved;
  }

  // A legend takes a fifth of the figure at most: the figure grows, else names are shortened so that more stand in a line. It takes more only where the
  // figure is as high as a page.
  function tooMuchLegend(area, wide) {
    const little = area / (width * layout.height) <= 0.2;
    if (little && !wide) return false;
    if (!wide && free && layout.height < tallest - 1 && head.grow === 1) {
      head.grow = 1.02 + (area * 5 / width - layout.height) / sum(rows, r => r.size);
      return true;
    }
    // Names that can no longer be told apart say nothing: those that begin alike are cut in the middle, or lose the words that all have.
    const named = box._fullData.map(trace => before(trace._input, trace.name)), differ = labels.differing(named), entries = box.querySelectorAll('g.legend .traces').length, line = 19;
    const cut = abreast => [name => name, name => name, name => differ(name, '…'), name => differ(name, '')]
      .map((of, i) => named.map(name => labels.shortened(of(name), width / abreast - 50, least, i === 1))).find(all => new Set(all).size === new Set(named).size);
    const needed = abreast => 5 * line * Math.ceil(entries / abreast), possible = [...Array(12).keys()].filter(abreast => abreast > head.lines && (abreast === 1 || width / abreast > 58) && cut(abreast));
    const abreast = possible.find(n => needed(n) <= layout.height) || (free && possible.at(-1));
    if (!abreast && (free || little)) return false;
    if (!abreast) throw new Error(`The legend of ${entries} names takes more than a fifth of the figure; ask for a height of at least ${Math.ceil(Math.min(area * 5 / width, ...possible.map(needed)) / mm)} mm, or leave names out`);
    head.lines = abreast;
    cut(abreast).forEach((name, i) => { box._fullData[i]._input.name = name; });
    return true;
  }

  // Text beside the outermost points gets room inside the plot, since labels of axes stand outside.
  function widen(p, plot, texts) {
    let widened = false;
    for (const id of plot.match(/[xy]\d*/g)) {
      const axis = full[paperAxis(id)], [from, to] = id[0] === 'x' ? ['left', 'right'] : ['top', 'bottom'], length = p.px[to] - p.px[from];
      const before = p.px[from] - Math.min(...texts.map(t => t[from])), after = Math.max(...texts.map(t => t[to])) - p.px[to];
      if (!axis.autorange || (before < 0.5 && after < 0.5) || before + after > 0.8 * length) continue;
      const ends = [-Math.max(0, before) - 1, length + Math.max(0, after) + 1].map(px => axis.p2r(id[0] === 'x' ? px : axis._length - px)), turned = axis.range[0] > axis.range[1];
      Object.assign(axisOf(id), { autorange: false, range: ends.sort((a, b) => (turned ? b - a : a - b)) });
      widened = true;
    }
    return widened;
  }

  function isText(axis) {
    return axis.type === 'category' || (axis.tickmode === 'array' && axis.type !== 'multicategory');
  }

  // Numbers are thinned; words are broken, turned and thinned.
  function ticks(id) {
    const axis = axisOf(id), drawn = full[paperAxis(id)], upright = id[0] === 'y', shown = rects(`g.${id}tick text`);
    if (!shown.length || drawn.type === 'multicategory') return false;
    if (isText(drawn)) return labels.words(axis, drawn, before(axis, labels.named(axis, drawn)), upright, upright ? 0.36 * width / (columns.length > 1 ? 1.5 : 1) : free ? 30 * mm : 0.35 * height);
    if (!labels.touching(shown, upright)) return false;
    labels.fewer(axis, shown.length, drawn.type === 'log');
    return true;
  }
}
