// Runs a published SDK for the tests in Go: each line of its input is a piece of
// code that uses the package, and for each it prints one line with what the code
// returned or threw.
//
// The code sees: sdk, the package; it, an object to keep things in; and the
// arguments of the call by their names.
import { createInterface } from 'node:readline';

const loaded = await import(process.argv[2]);
const sdk = { ...loaded.default, ...loaded };
const it = {};
const AsyncFunction = (async () => {}).constructor;

// What a caller of an SDK can read of an error, whatever its class.
function thrown(err, depth = 0) {
  if (!err || typeof err !== 'object' || depth > 3) return err;
  const out = { class: err.constructor?.name, name: err.name, message: err.message };
  for (const key of Object.keys(err)) {
    if (key !== 'rawResponse' && typeof err[key] !== 'function') out[key] = err[key];
  }
  if (err.cause) out.cause = thrown(err.cause, depth + 1);
  return out;
}

function print(line) {
  const seen = new WeakSet();
  process.stdout.write(JSON.stringify(line, (_, value) => {
    if (typeof value === 'object' && value !== null) {
      if (seen.has(value)) return undefined;
      seen.add(value);
    }
    return value;
  }) + '\n');
}

for await (const line of createInterface({ input: process.stdin })) {
  const { code, args } = JSON.parse(line);
  try {
    const run = new AsyncFunction('sdk', 'it', ...Object.keys(args), code);
    print({ returned: await run(sdk, it, ...Object.values(args)) });
  } catch (err) {
    print({ thrown: thrown(err) });
  }
}
process.exit(0); // SDKs keep timers and connections
