// What pages do besides being pages: ask before what cannot be taken back, renew what has changed, upload.

const body = document.body;

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-ask]");
  if (button && !window.confirm(`${button.textContent.trim()}: ${body.dataset.sure}`)) event.preventDefault();
});

for (const button of document.querySelectorAll("[data-save]")) {
  button.addEventListener("click", () => {
    const text = document.getElementById(button.dataset.save).textContent;
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "application/octet-stream" }));
    link.download = button.dataset.name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  });
}

// News: the server says how often each kind of thing has changed. A page watches some kinds.

const main = document.querySelector("main[data-watch]");
if (main) watch(main.dataset.watch.split(" "));

function watch(kinds) {
  const badge = document.getElementById("live");
  const SILENCE = 25000; // the server says something every ten seconds
  let source, timer, seen = null;

  const show = (isLive) => {
    badge.hidden = false;
    badge.textContent = isLive ? body.dataset.live : body.dataset.lost;
    badge.classList.toggle("lost", !isLive);
  };
  const connect = () => {
    source?.close();
    source = new EventSource("/live");
    source.onmessage = heard;
    source.onerror = () => show(false);
    alive();
  };
  const alive = () => {
    clearTimeout(timer);
    timer = setTimeout(() => { show(false); connect(); }, SILENCE);
  };
  const heard = async (event) => {
    alive();
    show(true);
    const versions = JSON.parse(event.data);
    const now = kinds.map((kind) => versions[kind] ?? 0).join();
    if (!Object.keys(versions).length || seen === now) return;
    seen = now; // also at the first news: something may have changed since the page was made
    await renew();
  };
  // A browser opens six connections to a host: tabs that nobody sees keep none.
  document.addEventListener("visibilitychange", () => {
    if (document.hidden) {
      clearTimeout(timer);
      source?.close();
    } else {
      connect();
    }
  });
  if (!document.hidden) connect();
}

// The page anew, without what somebody is just doing in it.
async function renew() {
  const answer = await fetch(location.href, { headers: { accept: "text/html" } });
  if (!answer.ok || answer.redirected) return location.reload();
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  const tables = document.querySelectorAll("main table tbody, main dl, main .tiles");
  const renewed = fresh.querySelectorAll("main table tbody, main dl, main .tiles");
  if (tables.length !== renewed.length) {
    if (!document.activeElement?.closest("main form")) location.reload();
    return;
  }
  const ticked = new Set([...document.querySelectorAll("main tbody input:checked")].map((box) => box.value));
  tables.forEach((table, n) => {
    if (!table.contains(document.activeElement) || document.activeElement.type === "checkbox") {
      const focused = table.contains(document.activeElement) ? document.activeElement.value : null;
      table.replaceWith(document.adoptNode(renewed[n]));
      if (focused !== null) renewed[n].querySelector(`input[value="${CSS.escape(focused)}"]`)?.focus();
    }
  });
  for (const box of document.querySelectorAll("main tbody input[type=checkbox]")) {
    if (ticked.has(box.value)) box.checked = true;
  }
}

// Uploads: one file after the other, each with its progress.

const upload = document.getElementById("upload");
upload?.addEventListener("submit", async (event) => {
  event.preventDefault();
  const { bucket, prefix, done } = upload.dataset;
  let failed = false;
  for (const file of upload.elements.files.files) {
    const row = document.createElement("li"), bar = document.createElement("progress");
    bar.max = Math.max(file.size, 1);
    bar.setAttribute("aria-label", file.name);
    row.append(`${file.name} `, bar);
    document.getElementById("uploads").append(row);
    const key = (prefix + file.name).split("/").map(encodeURIComponent).join("/");
    const said = await put(`/buckets/${encodeURIComponent(bucket)}/${key}`, file, bar);
    bar.remove();
    row.append(said ?? done);
    failed ||= said !== null;
  }
  if (!failed) location.reload();
});

function put(url, file, bar) {
  return new Promise((resolve) => {
    const request = new XMLHttpRequest();
    request.open("PUT", url);
    request.setRequestHeader("x-csrf-token", body.dataset.csrf);
    request.upload.onprogress = (event) => { bar.value = event.loaded; };
    request.onload = () => resolve(request.status < 300 ? null : request.responseText || String(request.status));
    request.onerror = () => resolve("×");
    request.send(file);
  });
}
