// A server and a client of Node's http and http2, standard library only, for the conformance cases.
//
//   node peer.mjs serve h1|h2 [CERT KEY]          prints "listening ADDRESS"
//   node peer.mjs ask h1|h2 URL [CA]              asks such a server through whatever is between; fails at the first wrong answer
import assert from "node:assert";
import crypto from "node:crypto";
import fs from "node:fs";
import http from "node:http";
import http2 from "node:http2";
import https from "node:https";

const [what, version, ...rest] = process.argv.slice(2);
const sha = () => crypto.createHash("sha256");

// ---- server: the compatible interface is the same for both versions ----
function handle(req, res) {
  const path = req.url.split("?")[0];
  if (path === "/echo") {
    res.writeHead(200, { "content-type": "application/octet-stream", trailer: "x-digest" });
    const h = sha();
    req.on("data", (b) => h.update(b));
    req.on("end", () => res.addTrailers({ "x-digest": h.digest("hex"), "x-seen": req.trailers["x-sent"] ?? "none" }));
    req.pipe(res); // with back-pressure
  } else if (path === "/hints") {
    res.writeEarlyHints({ link: "</a.css>; rel=preload" });
    setTimeout(() => res.end("hinted"), 20);
  } else if (path === "/events") {
    res.writeHead(200, { "content-type": "text/event-stream" });
    let n = 0;
    const timer = setInterval(() => (n < 5 ? res.write(`data: ${n++}\n\n`) : (clearInterval(timer), res.end())), 10);
  } else if (path === "/empty") {
    res.writeHead(204).end();
  } else if (path === "/large-head") {
    for (let i = 0; i < 25; i++) res.setHeader(`x-large-${i}`, "v".repeat(500));
    res.end("ok");
  } else if (path === "/cut") {
    res.write("x".repeat(1000));
    setTimeout(() => (version === "h2" ? res.stream.close(http2.constants.NGHTTP2_INTERNAL_ERROR) : res.socket.destroy()), 20);
  } else {
    res.writeHead(404).end("nothing here");
  }
}

function serve() {
  const pair = rest.length ? { cert: fs.readFileSync(rest[0]), key: fs.readFileSync(rest[1]) } : null;
  const s = version === "h2" ? (pair ? http2.createSecureServer(pair, handle) : http2.createServer(handle))
    : pair ? https.createServer(pair, handle) : http.createServer(handle);
  s.listen(0, "127.0.0.1", () => console.log("listening", `127.0.0.1:${s.address().port}`));
}

// ---- client: {status, headers, body, trailers, interim} of one request ----
function asker1(url, ca) {
  const lib = url.startsWith("https") ? https : http;
  const agent = new lib.Agent({ keepAlive: true, maxSockets: 5 });
  const ask = (method, path, { body, headers = {}, trailers } = {}) => new Promise((done, failed) => {
    const interim = [];
    const req = lib.request(url + path, { method, agent, ca, servername: ca && "shop.example",
      headers: { ...headers, ...(trailers ? { trailer: Object.keys(trailers).join(), te: "trailers" } : {}) } }, (res) => {
      const parts = [];
      res.on("data", (b) => parts.push(b));
      res.on("end", () => done({ status: res.statusCode, headers: res.headers, body: Buffer.concat(parts), trailers: res.trailers, interim }));
      res.on("error", failed);
    });
    req.on("information", (i) => interim.push([i.statusCode, i.headers.link]));
    req.on("error", failed);
    if (body) req.write(body);
    if (trailers) req.addTrailers(trailers);
    req.end();
  });
  return { ask, end: () => agent.destroy() };
}

function asker2(url, ca) {
  const session = http2.connect(url, { ca, servername: ca && "shop.example" });
  const ask = (method, path, { body, headers = {}, trailers } = {}) => new Promise((done, failed) => {
    const r = { interim: [], trailers: {} }, parts = [];
    const s = session.request({ ":method": method, ":path": path, ...headers }, { endStream: !body && !trailers, waitForTrailers: Boolean(trailers) });
    s.on("headers", (h) => r.interim.push([h[":status"], h.link]));
    s.on("response", (h) => { r.headers = h; r.status = h[":status"]; });
    s.on("trailers", (h) => (r.trailers = h));
    s.on("data", (b) => parts.push(b));
    s.on("wantTrailers", () => s.sendTrailers(trailers));
    s.on("error", failed);
    s.on("close", () => (s.rstCode ? failed(new Error("reset " + s.rstCode)) : done({ ...r, body: Buffer.concat(parts) })));
    if (body || trailers) s.end(body);
  });
  return { ask, end: () => session.close() };
}

async function ask() {
  const ca = rest[1] && fs.readFileSync(rest[1]);
  const c = (version === "h2" ? asker2 : asker1)(rest[0], ca);
  for (const n of [0, 1, 100000, 5000000]) {
    const body = crypto.randomBytes(n), want = sha().update(body).digest("hex");
    const r = await c.ask("POST", "/echo", { body, headers: n % 2 ? { "content-length": n } : {}, trailers: n % 2 ? undefined : { "x-sent": "yes" } });
    assert.equal(r.status, 200);
    assert.ok(r.body.equals(body), `body of ${n}`);
    assert.equal(r.trailers["x-digest"], want);
    assert.equal(r.trailers["x-seen"], n % 2 ? "none" : "yes");
  }
  const hinted = await c.ask("GET", "/hints");
  assert.deepEqual([hinted.body.toString(), hinted.interim], ["hinted", [[103, "</a.css>; rel=preload"]]]);
  assert.equal((await c.ask("GET", "/events")).body.toString(), [0, 1, 2, 3, 4].map((n) => `data: ${n}\n\n`).join(""));
  const empty = await c.ask("GET", "/empty");
  assert.deepEqual([empty.status, empty.body.length], [204, 0]);
  const large = await c.ask("GET", "/large-head");
  assert.equal(large.headers["x-large-24"], "v".repeat(500));
  assert.equal((await c.ask("GET", "/nothing")).status, 404);
  await assert.rejects(c.ask("GET", "/cut"), "a cut answer looks whole");
  const all = await Promise.all(Array.from({ length: 60 }, (_, i) => c.ask("POST", "/echo", { body: Buffer.alloc(i * 1000, "x") })));
  all.forEach((r, i) => assert.equal(r.body.length, i * 1000));
  c.end();
}

if (what === "serve") serve();
else await ask();
