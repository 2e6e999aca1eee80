// The serial line of a guest in the page.
import { Terminal } from "./vendor/xterm/xterm.mjs";
import { FitAddon } from "./vendor/xterm/addon-fit.mjs";

const place = document.getElementById("terminal"), state = document.getElementById("terminal-state");
const terminal = new Terminal({ screenReaderMode: true, scrollback: 5000 });
const fit = new FitAddon();
terminal.loadAddon(fit);
terminal.open(place);
fit.fit();
new ResizeObserver(() => fit.fit()).observe(place);

const socket = new WebSocket(`wss://${location.host}/instances/${place.dataset.instance}/serial`);
socket.binaryType = "arraybuffer";
socket.onopen = () => { state.textContent = document.body.dataset.live; terminal.focus(); };
socket.onmessage = (event) => terminal.write(typeof event.data === "string" ? event.data : new Uint8Array(event.data));
socket.onclose = () => { state.textContent = place.dataset.ended; };
const bytes = new TextEncoder();
terminal.onData((text) => socket.readyState === WebSocket.OPEN && socket.send(bytes.encode(text)));
document.getElementById("full").addEventListener("click", () => place.requestFullscreen());
