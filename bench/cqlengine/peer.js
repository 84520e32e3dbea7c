// The CQL engine over Bundles, one a line, one a member: who has an open gap, and how many members a second of CPU time.
//   node peer.js BUNDLES ELM AS-OF      prints `answer RULE ID ...` for each rule, then `ready`; then, for each line with a
//   number of seconds on standard input, `COUNT CPU-SECONDS` of a pass over the members that takes at least so long.
'use strict';

const fs = require('fs');
const path = require('path');
const readline = require('readline');
const cql = require('cql-execution');
const fhir = require('cql-exec-fhir');

const RULES = ['G01', 'G07', 'G28'];
const [bundlesPath, elmPath, asOf] = process.argv.slice(2);
const elm = (name) => JSON.parse(fs.readFileSync(path.join(elmPath, `${name}.json`), 'utf8'));
const at = cql.DateTime.parse(asOf);
const codes = new cql.CodeService({});
const library = new cql.Library(elm('gaps'), new cql.Repository({ FHIRHelpers: elm('FHIRHelpers') }));
const bundles = fs.readFileSync(bundlesPath, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));

// The three answers about one member, and no other definition of the library
async function answers(bundle) {
  const source = fhir.PatientSource.FHIRv401();
  source.loadBundles([bundle]);
  const patient = source.currentPatient();
  const context = new cql.PatientContext(library, patient, codes, { AsOf: at }, at);
  const found = [];
  for (const rule of RULES) found.push(await library.expressions[rule].execute(context));
  return [patient.id.value ?? patient.id, found];
}

async function pass(seconds) {
  const began = process.cpuUsage();
  let count = 0;
  for (;;) {
    for (const bundle of bundles) await answers(bundle);
    count += bundles.length;
    const used = process.cpuUsage(began);
    if ((used.user + used.system) / 1e6 >= seconds) return `${count} ${(used.user + used.system) / 1e6}`;
  }
}

async function main() {
  const open = RULES.map(() => []);
  for (const bundle of bundles) {
    const [id, found] = await answers(bundle);
    found.forEach((one, n) => {
      if (one === true) open[n].push(id);
      else if (one !== false) throw new Error(`${RULES[n]} of ${id} is neither true nor false`);
    });
  }
  RULES.forEach((rule, n) => console.log(['answer', rule, ...open[n]].join(' ')));
  console.log('ready');
  for await (const line of readline.createInterface({ input: process.stdin })) console.log(await pass(Number(line)));
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
