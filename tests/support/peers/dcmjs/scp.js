// Answers C-ECHO and takes what is stored, with dcmjs-dimse, until it is stopped:
//
//     node scp.js '{"port": 11112, "folder": "…"}'
//
// It says `listening`. What has come is in `folder`, the dataset of each as it came, named by its
// SOP Instance UID.

const fs = require("fs");
const path = require("path");
const { Scp, Server, constants, responses } = require("dcmjs-dimse");

const told = JSON.parse(process.argv[2]);
const { PresentationContextResult, SopClass, Status } = constants;

class Peer extends Scp {
  associationRequested(association) {
    association.getPresentationContexts().forEach(({ id }) => {
      const context = association.getPresentationContext(id);
      context.setResult(PresentationContextResult.Accept, context.getTransferSyntaxUids()[0]);
    });
    this.sendAssociationAccept();
  }

  createStoreWritableStream() {
    const parts = [];
    const { Writable } = require("stream");
    const stream = new Writable({
      write(part, _, done) {
        parts.push(part);
        done();
      },
    });
    stream.parts = parts;
    return stream;
  }

  createDatasetFromStoreWritableStream(stream, context, callback) {
    callback({ bytes: Buffer.concat(stream.parts) });
  }

  cEchoRequest(request, callback) {
    const response = responses.CEchoResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }

  cStoreRequest(request, callback) {
    const uid = request.getAffectedSopInstanceUid();
    fs.writeFileSync(path.join(told.folder, uid), request.getDataset().bytes);
    const response = responses.CStoreResponse.fromRequest(request);
    response.setStatus(Status.Success);
    callback(response);
  }

  associationReleaseRequested() {
    this.sendAssociationReleaseResponse();
  }
}

const server = new Server(Peer);
server.on("networkError", (error) => console.log(`network error: ${error.message}`));
const options = {};
if (told.tls) {
  const [cert, key, ca] = told.tls.map((file) => fs.readFileSync(file));
  options.securityOptions = { cert, key, ca, requestCert: true, rejectUnauthorized: true };
}
server.listen(told.port, options);
console.log("listening");
