// Shows what /api/stream sends: one status a second (StatusSnapshot in src/observe/status.ts).

const history = 90;
const series = { freshness: [], latency: [], rate: [], lag: [] };
const stateOrder = ['stopped', 'copying', 'pending', 'streaming'];
const rows = new Map();
const byId = id => document.getElementById(id);

connect();

function connect() {
  const stream = new EventSource('api/stream');
  stream.onmessage = ({ data }) => {
    byId('disconnected').hidden = true;
    show(JSON.parse(data));
  };
  stream.onerror = () => {
    byId('disconnected').hidden = false;
    byId('phase').dataset.phase = 'retrying';
    byId('phase').textContent = 'no connection';
    // The browser tries again by itself unless the answer was an error.
    if (stream.readyState === EventSource.CLOSED) setTimeout(connect, 3000);
  };
}

function show(status) {
  const {
    freshnessMs,
    commitToQueryableMs: latency,
    rowsPerSecond,
    lagBytes,
    retainedWalBytes,
    safeWalBytes,
  } = status;
  setText('pipeline', status.pipeline);
  setText('mode', status.mode);
  byId('mode').hidden = false;
  setText('phase', status.phase);
  byId('phase').dataset.phase = status.phase;
  document.title = `${status.phase === 'streaming' ? plain(duration(freshnessMs)) : status.phase} · ${status.pipeline} · wal-cdc`;

  showProblem(status.problem);

  const late = status.freshnessObjectiveMs !== undefined && freshnessMs > status.freshnessObjectiveMs;
  byId('freshness-tile').classList.toggle('late', late);
  setNumber('freshness', duration(freshnessMs));
  setText(
    'freshness-note',
    late
      ? `above the objective of ${plain(duration(status.freshnessObjectiveMs))}`
      : 'age of the oldest unseen change',
  );
  setNumber('p50', latency.p50 === undefined ? ['–', ''] : duration(latency.p50));
  setText(
    'p99',
    latency.p99 === undefined
      ? 'no commit in the last minute'
      : `median; p99 ${plain(duration(latency.p99))}`,
  );
  setNumber('rate', [count(rowsPerSecond), 'rows/s']);
  setText('rows-total', `${count(status.rowsTotal)} rows since the start`);
  setNumber('lag', lagBytes === undefined ? ['–', ''] : bytes(lagBytes));
  setText('retained', retainedText(retainedWalBytes, safeWalBytes));
  byId('wal-tile').classList.toggle('late', safeWalBytes != null && safeWalBytes < (retainedWalBytes ?? 0));

  draw('freshness', freshnessMs);
  draw('latency', latency.p50 ?? 0);
  draw('rate', rowsPerSecond);
  draw('lag', lagBytes ?? 0);

  showTables(status.tables);
  setText('position', status.position ?? '–');
  setText('checkpoint', status.checkpoint ?? '–');
  setText('source-position', status.sourcePosition ?? '–');
  setText('dead-letters', count(status.deadLetters));
  setText('uptime', span((Date.now() - Date.parse(status.startedAt)) / 1000));
}

function showProblem(problem) {
  byId('problem').hidden = !problem;
  if (!problem) return;
  setText('problem-message', problem.message);
  setText('problem-hint', problem.hint);
  setText('problem-code', `${problem.code}, since ${new Date(problem.since).toLocaleTimeString()}`);
}

function retainedText(retained, safe) {
  if (retained === undefined) return 'no slot';
  const kept = `slot keeps ${plain(bytes(retained))} of WAL`;
  return safe == null ? kept : `${kept}; ${plain(bytes(safe))} to its loss`;
}

function showTables(tables) {
  const sorted = tables.toSorted(
    (a, b) => stateOrder.indexOf(a.state) - stateOrder.indexOf(b.state) || a.name.localeCompare(b.name),
  );
  byId('no-tables').hidden = tables.length > 0;
  setText('table-count', tables.length > 0 ? String(tables.length) : '');
  for (const [name, row] of rows)
    if (!tables.some(table => table.name === name)) {
      row.element.remove();
      rows.delete(name);
    }
  const list = byId('tables');
  sorted.forEach((table, i) => {
    if (!rows.has(table.name)) rows.set(table.name, makeRow());
    const row = rows.get(table.name);
    showRow(row, table);
    if (list.children[i] !== row.element) list.insertBefore(row.element, list.children[i] ?? null);
  });
}

function makeRow() {
  const row = {
    element: make('li', 'row'),
    name: make('b'),
    target: make('span'),
    state: make('span', 'state'),
    progress: make('progress'),
    copy: make('span'),
    count: make('span', 'rows'),
    reason: make('p', 'reason'),
    message: make('b'),
    hint: make('span'),
  };
  row.progress.max = 100;
  const name = make('div', 'name');
  name.append(row.name, row.target);
  const copy = make('div', 'copy');
  copy.append(row.progress, row.copy);
  row.reason.append(row.message, row.hint);
  row.element.append(name, row.state, copy, row.count, row.reason);
  return row;
}

function showRow(row, table) {
  setContent(row.name, table.name);
  row.name.title = table.name;
  setContent(row.target, `→ ${table.target}`);
  setContent(row.state, table.state);
  row.state.dataset.phase = table.state;
  const copying = table.state === 'copying';
  row.element.classList.toggle('copied', copying || table.copiedRows > 0 || table.deadLetters > 0);
  row.progress.hidden = !copying;
  row.progress.value = table.copyPercent ?? 0;
  setContent(row.copy, copyText(table, copying));
  setContent(row.count, count(table.rows));
  row.reason.hidden = !table.reason;
  if (table.reason) {
    setContent(row.message, table.reason.message);
    const since = table.since ? ` Stopped at ${table.since}.` : '';
    const skipped = table.skippedChanges ? ` ${count(table.skippedChanges)} changes left out since.` : '';
    setContent(row.hint, `${table.reason.hint}${since}${skipped}`);
  }
}

function copyText(table, copying) {
  const letters = table.deadLetters > 0 ? [`${count(table.deadLetters)} dead letters`] : [];
  if (!copying)
    return [...(table.copiedRows > 0 ? [`${count(table.copiedRows)} rows copied`] : []), ...letters].join(
      ' · ',
    );
  const parts = [`${Math.floor(table.copyPercent ?? 0)} %`];
  if (table.copiedRows !== undefined)
    parts.push(
      table.estimatedRows > 0
        ? `${count(table.copiedRows)} of ~${count(table.estimatedRows)}`
        : `${count(table.copiedRows)} rows`,
    );
  if (table.copyRemainingSeconds !== undefined) parts.push(`${span(table.copyRemainingSeconds)} left`);
  return [...parts, ...letters].join(' · ');
}

function draw(name, value) {
  const values = series[name];
  values.push(value);
  if (values.length > history) values.shift();
  const svg = byId(`${name}-spark`);
  const top = Math.max(...values) * 1.15 || 1;
  const points = values.map(
    (each, i) => `${history - values.length + i},${(100 - (each / top) * 96).toFixed(1)}`,
  );
  if (!svg.firstChild) {
    svg.setAttribute('viewBox', `0 0 ${history - 1} 100`);
    for (const shape of ['polygon', 'polyline'])
      svg.append(document.createElementNS('http://www.w3.org/2000/svg', shape));
  }
  svg.children[0].setAttribute(
    'points',
    `${history - values.length},100 ${points.join(' ')} ${history - 1},100`,
  );
  svg.children[1].setAttribute('points', points.join(' '));
}

/** Number and unit. */
function duration(ms) {
  if (ms < 1000) return [ms < 10 ? ms.toFixed(1).replace('.0', '') : Math.round(ms).toString(), 'ms'];
  if (ms < 60_000) return [(ms / 1000).toFixed(1).replace('.0', ''), 's'];
  return [span(ms / 1000), ''];
}

function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`;
  if (whole < 86_400) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return `${Math.floor(whole / 86_400)} d ${Math.floor((whole % 86_400) / 3600)} h`;
}

function bytes(value) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let i = 0;
  let scaled = value;
  while (scaled >= 1024 && i < units.length - 1) {
    scaled /= 1024;
    i++;
  }
  return [i > 0 && scaled < 10 ? scaled.toFixed(1) : Math.round(scaled).toString(), units[i]];
}

function count(value) {
  return Math.round(value).toLocaleString('en');
}

function plain([number, unit]) {
  return unit === '' ? number : `${number} ${unit}`;
}

function setNumber(id, [number, unit]) {
  const text = unit === '' ? number : `${number} ${unit}`;
  const element = byId(id);
  if (element.dataset.shown === text) return;
  element.dataset.shown = text;
  const small = make('small');
  small.textContent = unit;
  element.replaceChildren(number, small);
}

function setText(id, text) {
  setContent(byId(id), text);
}

function setContent(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function make(tag, className = '') {
  const element = document.createElement(tag);
  element.className = className;
  return element;
}
