// Verifies a peer and stores files at it with dcmjs-dimse, and prints what was answered as JSON:
//
//     node scu.js '{"port": 104, "called": "NODE", "calling": "DCMJS", "files": […], "sent": "…"}'
//
// dcmjs-dimse encodes every dataset anew. What it sends goes into the folder `sent` as well, one
// file for each, named by its SOP Instance UID.

const fs = require("fs");
const path = require("path");
const { Client, Dataset, requests } = require("dcmjs-dimse");

const told = JSON.parse(process.argv[2]);
const answers = { echo: null, stores: told.files.map(() => null), errors: [] };
const client = new Client();

const echo = new requests.CEchoRequest();
echo.on("response", (response) => {
  answers.echo = response.getStatus();
});
client.addRequest(echo);

const encode = Dataset.prototype.getDenaturalizedDataset;
Dataset.prototype.getDenaturalizedDataset = function (...options) {
  const encoded = encode.apply(this, options);
  fs.writeFileSync(path.join(told.sent, this.getElement("SOPInstanceUID")), encoded);
  return encoded;
};

told.files.forEach((file, number) => {
  const store = new requests.CStoreRequest(file);
  store.on("response", (response) => {
    answers.stores[number] = response.getStatus();
  });
  client.addRequest(store);
});

for (const event of ["networkError", "associationRejected"]) {
  client.on(event, (error) => {
    answers.errors.push(`${event}: ${error && error.message ? error.message : ""}`);
  });
}
client.on("closed", () => {
  console.log(JSON.stringify(answers));
});

const options = { associationLingerTimeout: 0 };
if (told.tls) {
  const [cert, key, ca] = told.tls.map((file) => fs.readFileSync(file));
  options.securityOptions = { cert, key, ca, rejectUnauthorized: true };
}
client.send("127.0.0.1", told.port, told.calling, told.called, options);
