// Queries a peer and has it send with dcmjs-dimse, one association for each, and prints as JSON what
// came of it:
//
//     node ask.js '{"port": 104, "called": "NODE", "calling": "DCMJS", "find": {…}, "move": […], "get": "…"}'
//
// `find` are the keys of a C-FIND at level STUDY, `move` the destination and the study, `get` the study.
// What comes by C-GET is said as the base64 of its pixel data: dcmjs-dimse keeps no encoded dataset.

const fs = require("fs");
const { Client, constants, requests, responses } = require("dcmjs-dimse");

const told = JSON.parse(process.argv[2]);
const answers = { matches: [], find: null, move: null, get: null, images: {}, errors: [] };
const options = { associationLingerTimeout: 0 };
if (told.tls) {
  const [cert, key, ca] = told.tls.map((file) => fs.readFileSync(file));
  options.securityOptions = { cert, key, ca, rejectUnauthorized: true };
}

const { Status } = constants;
const asked = {
  find: requests.CFindRequest.createStudyFindRequest(told.find),
  move: requests.CMoveRequest.createStudyMoveRequest(...told.move),
  get: requests.CGetRequest.createStudyGetRequest(told.get),
};
asked.find.on("response", (response) => {
  if (response.getStatus() === Status.Pending && response.hasDataset()) {
    answers.matches.push(response.getDataset().getElements());
  }
});

function ask(names) {
  const [name, ...others] = names;
  if (!name) {
    console.log(JSON.stringify(answers));
    return;
  }
  const client = new Client();
  asked[name].on("response", (response) => {
    if (response.getStatus() !== Status.Pending) {
      answers[name] = response.getStatus();
    }
  });
  client.on("cStoreRequest", (request, callback) => {
    const pixels = request.getDataset().getElement("PixelData");
    const parts = pixels.map((part) => Buffer.from(part));
    answers.images[request.getAffectedSopInstanceUid()] = Buffer.concat(parts).toString("base64");
    const response = responses.CStoreResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  });
  for (const event of ["networkError", "associationRejected"]) {
    client.on(event, (error) => {
      answers.errors.push(`${event}: ${error && error.message ? error.message : ""}`);
    });
  }
  client.on("closed", () => ask(others));
  client.addRequest(asked[name]);
  client.send("127.0.0.1", told.port, told.calling, told.called, options);
}

ask(Object.keys(asked));
