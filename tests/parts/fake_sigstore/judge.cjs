// Judges bundles with Sigstore's verifier in JavaScript: one process for many.
// stdin: {root, cases: [{bundle, artifact?, identity?, issuer?, key?, tlog, times}]}, bytes in base64.
// stdout: for each case "" where it verifies, else why not.
"use strict";
const { createPublicKey } = require("node:crypto");
const { bundleFromJSON } = require("@sigstore/bundle");
const { TrustedRoot } = require("@sigstore/protobuf-specs");
const { Verifier, toSignedEntity, toTrustMaterial } = require("@sigstore/verify");

const bytes = (text) => Buffer.from(text, "base64");

function verify(root, each) {
  const finder = each.key && (() => ({ publicKey: createPublicKey(each.key), validFor: () => true }));
  const material = toTrustMaterial(root, finder);
  const verifier = new Verifier(material, {
    tlogThreshold: each.tlog,
    timestampThreshold: each.times,
    ctlogThreshold: each.key ? 0 : 1,
  });
  const bundle = bundleFromJSON(JSON.parse(bytes(each.bundle).toString()));
  const entity = toSignedEntity(bundle, each.artifact && bytes(each.artifact));
  const wanted = each.identity && {
    subjectAlternativeName: each.identity,
    extensions: { issuer: each.issuer },
  };
  verifier.verify(entity, wanted);
}

const { root, cases } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const trusted = TrustedRoot.fromJSON(root);
const answers = cases.map((each) => {
  try {
    verify(trusted, each);
    return "";
  } catch (error) {
    return String(error && error.message) || "refused";
  }
});
process.stdout.write(JSON.stringify(answers));
