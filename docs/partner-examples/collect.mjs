// Collects operations, applies each once, and acknowledges it. Needs Node.js 18 or newer, and no package.
//
// DESK=https://desk.example.com TOKEN=... node collect.mjs
import { setTimeout as sleep } from "node:timers/promises";

const outbox = `${process.env.DESK}/api/v1/outbox/`;
const headers = { Authorization: `Bearer ${process.env.TOKEN}`, "Content-Type": "application/json" };
const records = new Map(); // the ids that were applied, with our record's id; a real desk keeps this in its database

function apply({ operation, sequence, change }) {
  console.log(operation, sequence, change.number, change.title);
  return `D-${change.number}`;
}

async function call(url, options = {}) {
  const answer = await fetch(url, { headers, signal: AbortSignal.timeout(60_000), ...options });
  if (answer.status === 401 || answer.status === 403) {
    console.error("Ask the service desk:", await answer.text());
    process.exit(1);
  }
  if (!answer.ok) throw new Error(await answer.text());
  return answer.json();
}

let cursor = "";
for (;;) {
  try {
    const said = await call(`${outbox}?after=${encodeURIComponent(cursor)}&wait=30`);
    for (const operation of said.results) {
      if (!records.has(operation.id)) records.set(operation.id, apply(operation));
    }
    const operations = said.results.map(({ id }) => ({ id, external_id: records.get(id) }));
    if (operations.length) {
      const answer = await call(`${outbox}acknowledge/`, { method: "POST", body: JSON.stringify({ operations }) });
      for (const one of answer.results) if (one.error) console.log("Not acknowledged:", one);
    }
    cursor = said.cursor ?? "";
  } catch (error) {
    console.log("Trying again:", error.message);
    cursor = ""; // begins as a new reader, in case the cursor is not known any more
    await sleep(5_000);
  }
}
