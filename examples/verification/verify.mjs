// Asks Handset whether somebody has a phone, with Node.js 20 and no package.
//
//   ISSUER=… CLIENT_ID=… CLIENT_SECRET=… node verify.mjs +819012345678
import { createInterface } from "node:readline";

const issuer = (process.env.ISSUER ?? "http://localhost:3000").replace(/\/$/, "");
const [number] = process.argv.slice(2);
const typed = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

const answer = await fetch(`${issuer}/oauth/token`, {
  method: "POST",
  body: new URLSearchParams({
    grant_type: "client_credentials",
    client_id: process.env.CLIENT_ID,
    client_secret: process.env.CLIENT_SECRET,
    audience: `${issuer}/verifications`,
  }),
});
const { access_token, error, error_description } = await answer.json();
if (error) fail(`token: ${error}: ${error_description}`);

async function post(path, body) {
  const res = await fetch(issuer + path, {
    method: "POST",
    headers: { authorization: `Bearer ${access_token}`, "content-type": "application/json" },
    body: JSON.stringify(body),
  });
  const said = await res.json();
  if (!res.ok) fail(said.detail);
  return said;
}

function fail(why) {
  console.error(`verify: error: ${why}`);
  process.exit(1);
}

const started = await post("/verifications", { phone_number: number, purpose: "example" });
console.log(`A code was sent to ${started.phone_number}`);
let verification = started;
while (verification.status === "pending") {
  console.log("Code?");
  const { value: code, done } = await typed.next();
  if (done) fail("no code was typed");
  verification = await post(`/verifications/${started.id}/answers`, { code });
  if (verification.status === "pending") console.log(`Wrong. Tries left: ${verification.attempts_left}`);
}
if (verification.status !== "approved") fail(`the verification is ${verification.status}`);
// A front end would hand the result to its back end, which does this.
const proof = await post("/verifications/results", { result: verification.result });
console.log(`Verified ${proof.phone_number}`);
process.exit(0);
