// What a text takes up on paper, where it is broken, what is left of it where room is short, and which labels of an axis stay. Sizes are CSS pixels, 96 an inch.
const paperPoint = 96 / 72, paperFont = { least: 6 * paperPoint, normal: 7 * paperPoint, most: 8 * paperPoint };
const paperAxis = id => id[0] + 'axis' + id.slice(1);

function paperLabels(family) {
  const area = document.createElement('textarea'), pen = document.createElement('canvas').getContext('2d');
  const split = text => text.match(/<[^>]*>|&#?\w+;|./gsu) || [];

  // The width of a text of plotly.js, which has a little HTML in it.
  function width(text, size) {
    pen.font = `${size}px ${family}`;
    return Math.max(...text.split(/<br\s*\/?>/i).map(line => { area.innerHTML = line.replace(/<[^>]*>/g, ''); return pen.measureText(area.value).width * (/<b>/.test(line) ? 1.1 : 1); }));
  }

  function shortened(text, room, size, within) {
    if (width(text, size) <= room) return text;
    const letters = split(text), isText = letter => letter[0] !== '<' || letter.length === 1;
    let cut = letters.length;
    const left = () => [...letters.slice(0, cut), '…', ...letters.slice(cut)].join('');
    while (letters.length > 1 && width(left(), size) > room) {
      cut = within ? letters.length >> 1 : letters.findLastIndex(isText);
      letters.splice(cut, 1);
    }
    return left();
  }

  // What a name has that others have not: it is without the words that all begin or end with.
  function differing(names) {
    const all = [...new Set(names)].map(name => name.split(' ')), shared = at => all.length > 1 && all.every(words => words.length > 1 && at(words) === at(all[0]));
    let [start, end] = [0, 0];
    while (shared(words => words[start]) && all.every(words => words.length > start + 1)) start++;
    while (shared(words => words.at(-1 - end)) && all.every(words => words.length > start + end + 1)) end++;
    return (name, mark) => (start ? mark : '') + name.split(' ').slice(start, name.split(' ').length - end).join(' ') + (end ? mark : '');
  }

  // Breaks a text into as few lines as fit, of about equal length; what still is too long is shortened, or broken inside words where lines are many.
  function broken(text, room, size, most) {
    if (!text || width(text, size) <= room) return text;
    const filled = (parts, space, limit) => parts.reduce((lines, part) => {
      const longer = lines.length ? lines.at(-1) + space + part : part;
      return lines.length && width(longer, size) <= limit ? [...lines.slice(0, -1), longer] : [...lines, part];
    }, []);
    const words = text.split(/(?:\s|<br\s*\/?>)+(?![^<]*>)/i).flatMap(word => most > 9 && width(word, size) > room ? filled(split(word), '', room) : [word]);
    let lines = filled(words, ' ', room);
    if (lines.length > most) lines = [...lines.slice(0, most - 1), lines.slice(most - 1).join(' ')];
    else for (let limit = room * 0.95, next; limit > room / 4 && (next = filled(words, ' ', limit)).length === lines.length; limit *= 0.95) lines = next;
    return lines.map(line => shortened(line, room, size)).join('<br>');
  }

  function touching(labels, upright) {
    const [from, to, space] = upright ? ['top', 'bottom', -0.3] : ['left', 'right', 4];
    const sorted = [...labels].sort((a, b) => a[from] - b[from]);
    return sorted.some((label, i) => i && sorted[i - 1][to] + space > label[from]);
  }

  // Fewer numbers on an axis or colour bar.
  function fewer(axis, count, log) {
    if (log) axis.dtick = typeof axis.dtick === 'number' ? axis.dtick + 1 : 1;
    else if (typeof axis.dtick === 'number') {
      const decade = 10 ** Math.floor(Math.log10(axis.dtick) + 1e-9);
      axis.dtick = [2, 5, 10, 20].map(n => n * decade).find(n => n > axis.dtick * 1.001);
    } else if (typeof axis.dtick === 'string') delete axis.dtick;
    else axis.nticks = Math.max(1, Math.min(axis.nticks || 99, count) - 1);
  }

  // The words at an axis: all that there are.
  function named(axis, drawn) {
    const ticks = drawn.type === 'category' && !axis.tickvals ? drawn._categories.map((text, i) => [i, text])
      : (axis.tickvals || []).map((value, i) => [value, (axis.ticktext || [])[i] ?? (drawn._vals.find(v => v.x === value) || { text: value }).text]);
    return { angle: axis.tickangle, ticks: ticks.map(([value, text]) => ({ value, text: String(text) })) };
  }

  // Words beside an axis are broken, and thinned where lines are too many. Those below it stand upright where they do not fit side by side, and are thinned
  // where that is not enough. Says whether anything is another than before.
  function words(axis, drawn, all, upright, longest) {
    const size = axis.tickfont.size, line = size * 1.25;
    const shown = all.ticks.map(tick => ({ ...tick, at: drawn.l2p((drawn.d2l_noadd || drawn.d2l)(tick.value)), wide: width(tick.text, size) })).filter(tick => tick.at > -1 && tick.at < drawn._length + 1).sort((a, b) => a.at - b.at);
    const nearest = Math.min(...shown.slice(1).map((tick, i) => tick.at - shown[i].at), 1e9), stacked = Math.max(1, Math.ceil(line / nearest - 0.02));
    const fits = stride => shown.every((tick, i) => i < stride || i % stride || tick.at - shown[i - stride].at >= (tick.wide + shown[i - stride].wide) / 2 + 3);
    const lines = Math.max(1, Math.floor(nearest / line)), within = text => text.split(/<br/i).length > lines ? text.replace(/<br\s*\/?>/gi, ' ') : text;
    let stride = 1, angle = 0;
    if (upright) {
      stride = stacked;
      for (const tick of shown) tick.text = broken(within(tick.text), longest, size, lines);
    } else {
      const side = fits(1) || all.angle ? [] : shown.map(tick => broken(tick.text, nearest - 4, size, 3));
      if (side.length && !side.some(text => text.endsWith('…') || text === '')) shown.forEach((tick, i) => Object.assign(tick, { text: side[i], wide: width(side[i], size) }));
      while (stride < shown.length && !fits(stride)) stride++;
      if ((stride > stacked || all.angle) && !all.ticks.every(({ text }) => /^[-−]?\d*$/.test(text))) {
        [stride, angle] = [stacked, all.angle || -90];
        for (const tick of shown) tick.text = shortened(within(tick.text), longest, size);
      }
    }
    // What the chart has in bold stays.
    const clear = (a, b) => Math.abs(a.at - b.at) >= (upright || angle ? 0.97 * line : (a.wide + b.wide) / 2 + 3);
    const marked = shown.filter(tick => /<b>/.test(tick.text)).reduce((kept, tick) => kept.every(one => clear(one, tick)) ? [...kept, tick] : kept, []);
    const next = shown.filter((tick, i) => marked.includes(tick) || (i % stride === 0 && marked.every(one => clear(one, tick)))), [tickvals, ticktext] = [next.map(tick => tick.value), next.map(tick => tick.text)];
    const same = axis.tickmode === 'array' && (axis.tickangle || 0) === angle && JSON.stringify([axis.tickvals, axis.ticktext]) === JSON.stringify([tickvals, ticktext]);
    Object.assign(axis, { tickmode: 'array', tickvals, ticktext, tickangle: angle });
    return !same;
  }

  return { width, shortened, differing, broken, touching, fewer, named, words };
}
