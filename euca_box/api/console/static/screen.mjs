// The screen of a guest in the page, by VNC.
import RFB from "./vendor/novnc/core/rfb.js";

const place = document.getElementById("screen"), state = document.getElementById("terminal-state");
const rfb = new RFB(place, `wss://${location.host}/instances/${place.dataset.instance}/screen`, { wsProtocols: ["binary"] });
rfb.scaleViewport = true;
rfb.addEventListener("connect", () => { state.textContent = document.body.dataset.live; rfb.focus(); });
rfb.addEventListener("disconnect", () => { state.textContent = place.dataset.ended; });
document.getElementById("cad").addEventListener("click", () => rfb.sendCtrlAltDel());
document.getElementById("full").addEventListener("click", () => place.requestFullscreen());
