// Receives operations, checks their signature, and applies each once. Needs Node.js 18 or newer, and no package.
//
// SIGNING_SECRET=whsec_... PORT=9333 node receive.mjs
import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";

const key = Buffer.from(process.env.SIGNING_SECRET.replace(/^whsec_/, ""), "base64");
const answers = new Map(); // what was answered to each id; a real desk keeps this in its database

function isGenuine(headers, body) {
  const timestamp = headers["webhook-timestamp"] ?? "";
  // A timestamp that is no number is as bad as an old one.
  if (!(Math.abs(Date.now() / 1000 - Number(timestamp)) < 300)) return false;
  const expected = createHmac("sha256", key).update(`${headers["webhook-id"]}.${timestamp}.`).update(body).digest();
  // There are two signatures while the secret is being replaced.
  return (headers["webhook-signature"] ?? "").split(" ").some((signature) => {
    const received = Buffer.from(signature.replace(/^v1,/, ""), "base64");
    return signature.startsWith("v1,") && received.length === expected.length && timingSafeEqual(received, expected);
  });
}

function apply({ operation, sequence, change }) {
  console.log(operation, sequence, change.number, change.title);
  return { external_id: `D-${change.number}`, external_status: "Received" };
}

createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  const body = Buffer.concat(chunks);
  if (!isGenuine(request.headers, body)) {
    response.writeHead(401).end("The signature is wrong, or too old.");
    return;
  }
  const message = JSON.parse(body);
  if (!answers.has(message.id)) answers.set(message.id, apply(message));
  response.writeHead(200, { "Content-Type": "application/json" }).end(JSON.stringify(answers.get(message.id)));
}).listen(process.env.PORT ?? 9333, "127.0.0.1");
