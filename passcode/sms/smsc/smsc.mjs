// SMSCs for the tests of the SMPP sender, any number of them in one process. They
// speak the protocol by a library that has nothing to do with ours, and decide
// nothing: each PDU that arrives is a line of JSON on standard output, and each line
// on standard input says what to do:
//
//   {"server": ID, "listen": {"key": PEM, "cert": PEM} or {}}
//   {"server": ID, "session": N, "send": COMMAND, "options": {…}}
//   {"server": ID, "session": N, "raw": HEX, "zeros": COUNT}
//   {"server": ID, "session": N, "destroy": true}
//   {"server": ID, "close": true}
//
// A value {"hex": "…"} in options is octets. The process ends with its input.

import { createInterface } from "node:readline";
import smpp from "smpp";

const servers = new Map();

function say(event) {
  process.stdout.write(JSON.stringify(event, (_, value) => octets(value) ?? value) + "\n");
}

// octets writes what JSON.stringify makes of a Buffer as hex.
function octets(value) {
  if (value?.type === "Buffer" && Array.isArray(value.data)) return Buffer.from(value.data).toString("hex");
}

function listen(id, options) {
  const sessions = new Map();
  const server = smpp.createServer(options, (session) => {
    const number = sessions.size + 1;
    sessions.set(number, session);
    session.socket.setNoDelay(true);
    say({ server: id, session: number, event: "opened" });
    session.on("pdu", (pdu) => say({ server: id, session: number, event: "pdu", pdu }));
    session.on("close", () => say({ server: id, session: number, event: "closed" }));
    session.on("error", (error) => {
      say({ server: id, session: number, event: "error", error: error.message });
      session.destroy();
    });
  });
  server.on("tlsClientError", (error) => say({ server: id, event: "error", error: error.message }));
  servers.set(id, { server, sessions });
  server.listen(0, "127.0.0.1", () => say({ server: id, event: "listening", port: server.address().port }));
}

function close({ server, sessions }) {
  server.close();
  for (const session of sessions.values()) session.destroy();
}

function act(line) {
  const { server, session: number, ...order } = JSON.parse(line, (_, value) =>
    typeof value?.hex === "string" ? Buffer.from(value.hex, "hex") : value,
  );
  if (order.listen) return listen(server, order.listen);
  const there = servers.get(server);
  if (order.close) return close(there);
  const session = there.sessions.get(number);
  if (order.destroy) return session.destroy();
  if (order.send) return session.send(new smpp.PDU(order.send, order.options));
  session.socket.write(Buffer.from(order.raw, "hex"));
  // A block at a time, until the other end has had enough.
  for (let left = order.zeros ?? 0; left > 0 && session.socket.writable; left -= 65536) {
    session.socket.write(Buffer.alloc(Math.min(left, 65536)));
  }
}

createInterface({ input: process.stdin })
  .on("line", act)
  .on("close", () => process.exit(0));
