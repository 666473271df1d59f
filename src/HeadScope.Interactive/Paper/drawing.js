// What is drawn for paper: sizes that were meant for a screen become those of a page, and the picture of the browser an SVG of millimetres.

// Everything that is measured in pixels of a screen becomes smaller.
function paperSizes({ data, layout, _fullData, _fullLayout }, scale) {
  const each = (value, change) => Array.isArray(value) ? value.map(v => each(v, change)) : typeof value === 'number' ? change(value) : value;
  const smaller = size => size * scale, thinner = width => width && Math.max(0.4, width * 0.7), { least, most } = paperFont;
  (function shrink(node) {
    for (const [key, value] of Object.entries(node)) {
      if (!value || typeof value !== 'object' || /^([xyzr]|text|hovertext|customdata|tickvals|ticktext|meta|colorscale|args|ids|labels|parents|values|node|dimensions)$/.test(key)) continue;
      if (/font$/.test(key)) value.size = each(value.size, size => Math.min(most, Math.max(least, size * scale)));
      if (key === 'marker') {
        value.size = each(value.size, value.sizemode === 'area' ? size => size * scale * scale : smaller);
        value.standoff = each(value.standoff, smaller);
      }
      if (key === 'line') value.width = each(value.width, thinner);
      if (/^error_/.test(key)) Object.assign(value, { thickness: Math.max(0.5, (value.thickness || 2) * 0.6), width: (value.width ?? 4) * scale });
      shrink(value);
    }
  })({ data, layout });
  for (const { type, mode, marker, line, xaxis, yaxis, cliponaxis, _input: input } of _fullData) {
    if (!/scatter|splom/.test(type) || type === 'scatter3d') continue;
    if (/markers/.test(mode || 'markers')) (input.marker ||= {}).size ??= each(marker && marker.size, smaller);
    if (/lines/.test(mode || '')) (input.line ||= {}).width ??= each(line && line.width, w => w * 0.7);
    // Text beside the outermost points is not cut, unless the axis was made to leave points out.
    if (/text/.test(mode || '') && xaxis && cliponaxis && [xaxis, yaxis].every(id => _fullLayout[paperAxis(id)].autorange)) input.cliponaxis = false;
  }
  for (const note of layout.annotations || []) {
    note.font = { size: paperFont.normal, ...note.font };
    if (note.showarrow !== false) Object.assign(note, { arrowwidth: Math.max(0.5, (note.arrowwidth || 1) * 0.7) }, note.ax === undefined && note.ay === undefined && { ax: -10, ay: -30 });
    for (const key of ['ax', 'ay', 'standoff', 'startstandoff']) if (typeof note[key] === 'number' && !/^[xy]/.test(note[key + 'ref'] || '')) note[key] *= scale;
  }
}

// plotly.js writes superscripts and some numbers of logarithmic axes smaller or larger than the text around them: they too have 6 to 8 points.
function paperLegible(root) {
  for (const text of root.querySelectorAll('text')) {
    const size = Math.min(paperFont.most, Math.max(paperFont.least, parseFloat(text.style.fontSize))), share = Math.max(0.7, paperFont.least / size);
    if (Math.abs(size - parseFloat(text.style.fontSize)) > 0.01) text.style.fontSize = `${size}px`;
    for (const part of text.querySelectorAll('tspan')) if (part.style.fontSize === '70%') {
      part.style.fontSize = `${100 * share}%`;
      part.setAttribute('dy', `${parseFloat(part.getAttribute('dy')) * 0.7 / share}em`);
    }
  }
}

// The SVG of a chart that is drawn.
async function paperSvg(box, width, height, mm) {
  const { data, layout, _fullLayout: full, calcdata } = box;
  const image = await Plotly.toImage(box, { format: 'svg', width, height });
  const svg = new DOMParser().parseFromString(decodeURIComponent(image.replace(/^data:image\/svg\+xml,/, '')), 'image/svg+xml').documentElement;
  const put = (element, attributes) => { for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value); return element; };
  const create = (name, attributes) => put(document.createElementNS(svg.namespaceURI, name), attributes);
  for (const plot of full._subplots.cartesian || []) maps(plot);

  paperLegible(svg);
  // plotly.js decodes entities once more on the way: what is drawn says what the texts are.
  const leaves = (root, within) => [...root.querySelectorAll(`${within} text, ${within} tspan`)].filter(e => !e.children.length);
  const [drawn, written] = [leaves(box, 'svg.main-svg'), leaves(svg, ':scope')];
  if (drawn.length === written.length) drawn.forEach((text, i) => { if (/&/.test(text.textContent)) written[i].textContent = text.textContent; });
  // Text of a cell begins 8 px below its line.
  for (const cell of svg.querySelectorAll('.cell-text-holder')) put(cell, { transform: cell.getAttribute('transform').replace(/,\s*8\)/, ',5)') });
  const size = value => +(value / mm).toFixed(3) + 'mm', { caption } = layout.meta || {};
  put(svg, { width: size(width), height: size(height), viewBox: `0 0 ${width} ${height}` });
  if (caption) {
    const title = create('title', {});
    title.textContent = caption;
    svg.prepend(title);
    put(svg, { role: 'img', 'aria-label': caption });
  }
  // Names that plotly.js chose by chance follow from the chart, so that the same chart gives the same file.
  const [, chance] = /id="defs-(\w+)"/.exec(svg.innerHTML) || [], name = [...JSON.stringify(data)].reduce((hash, letter) => Math.imul(hash ^ letter.codePointAt(0), 16777619) >>> 0, 2166136261).toString(16);
  return new XMLSerializer().serializeToString(svg).replace(new RegExp(`(id="|#)([a-z-]*)${chance}`, 'g'), (_, start, kind) => start + kind + name);

  // plotly.js paints heat maps as pictures of the screen's resolution: their cells become rectangles, or one dot each where there are too many.
  function maps(plot) {
    const drawn = calcdata.map(d => d[0]).filter(d => d.trace && /^(heatmap|histogram2d)$/.test(d.trace.type) && d.trace.visible === true && d.trace.xaxis + d.trace.yaxis === plot && !d.trace.zsmooth);
    const pictures = [...svg.querySelectorAll(`.subplot.${plot} g.hm image`)];
    if (drawn.length === pictures.length) drawn.forEach(({ trace, x, y, z }, i) => {
      const color = scaleOf(trace), [across, down] = [[x, trace.xaxis], [y, trace.yaxis]].map(([edges, id]) => edges.map(v => full[paperAxis(id)].c2p(v)));
      const cells = z.flatMap((row, r) => row.flatMap((value, c) => typeof value === 'number' && Number.isFinite(value) ? { r, c, color: color(value) } : []));
      const map = (z.length * (across.length - 1) > 20000 ? dots : rectangles)(cells, across, down, trace);
      if (trace.opacity < 1) put(map, { opacity: trace.opacity });
      pictures[i].replaceWith(map);
    });
  }

  function scaleOf(trace) {
    const { colorscale, reversescale, ...from } = trace.coloraxis ? full[trace.coloraxis] : trace, [low, high] = trace.coloraxis ? [from.cmin, from.cmax] : [from.zmin, from.zmax];
    const pen = new OffscreenCanvas(1, 1).getContext('2d');
    const stops = colorscale.map(([place, color]) => {
      Object.assign(pen, { fillStyle: color }).clearRect(0, 0, 1, 1);
      pen.fillRect(0, 0, 1, 1);
      return [place, [...pen.getImageData(0, 0, 1, 1).data]];
    });
    return value => {
      let place = high > low ? Math.min(1, Math.max(0, (value - low) / (high - low))) : 0.5;
      if (reversescale) place = 1 - place;
      const k = stops.findLastIndex(([at], i) => i < stops.length - 1 && (at < place || i === 0)), [[from, start], [to, end]] = stops.slice(k, k + 2);
      const part = (place - from) / (to - from || 1);
      return start.map((a, j) => Math.round(a + (end[j] - a) * part));
    };
  }

  function rectangles(cells, across, down, { xgap, ygap }) {
    const map = create('g', { 'shape-rendering': 'crispEdges' }), part = (edges, i, gap) => {
      const [from, to] = [edges[i], edges[i + 1]].sort((a, b) => a - b), space = Math.min(gap || 0, (to - from) * 0.12);
      return [from + space / 2, to - from - space].map(v => +v.toFixed(3));
    };
    for (const { r, c, color: [red, green, blue, alpha] } of cells) {
      const [x, width] = part(across, c, xgap), [y, height] = part(down, r, ygap);
      map.append(create('rect', { x, y, width, height, fill: '#' + [red, green, blue].map(n => n.toString(16).padStart(2, '0')).join(''), ...(alpha < 255 && { 'fill-opacity': (alpha / 255).toFixed(3) }) }));
    }
    return map;
  }

  function dots(cells, across, down) {
    const [w, h] = [across.length - 1, down.length - 1], canvas = Object.assign(document.createElement('canvas'), { width: w, height: h });
    const pen = canvas.getContext('2d'), image = pen.createImageData(w, h);
    for (const { r, c, color } of cells) image.data.set(color, 4 * ((down[h] < down[0] ? h - 1 - r : r) * w + (across[w] < across[0] ? w - 1 - c : c)));
    pen.putImageData(image, 0, 0);
    return create('image', {
      x: Math.min(across[0], across[w]), y: Math.min(down[0], down[h]), width: Math.abs(across[w] - across[0]), height: Math.abs(down[h] - down[0]),
      preserveAspectRatio: 'none', style: 'image-rendering: pixelated', href: canvas.toDataURL(),
    });
  }
}
