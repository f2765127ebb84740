"""Those who judge the instance's output: real cosign, sigstore's library, its verifier in JavaScript."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.parts.need import require_part

from .bundles import COSIGN_SIGN
from .ca import ISSUER, SAN
from .goods import OWNER
from .keys import b64, public_pem

SCRIPT = Path(__file__).with_name("judge.cjs")
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, slots=True)
class Case:
    """A bundle, and what is asked about it."""

    bundle: bytes
    keyed: bool = False
    """By OWNER's key; otherwise by SAN and ISSUER."""
    logged: bool = True
    stamped: bool = False
    data: bytes | None = None
    """The file that was signed; without one it is an envelope."""
    key: bytes = b""
    """The public key's PEM, where it is not OWNER's; only `javascript` is asked about another."""


class Cosign:
    """Real cosign, without a way to a network, with one trusted root and OWNER's public key."""

    def __init__(self, folder: Path, root: bytes) -> None:
        self.folder = folder
        self.root, self.key = folder / "root.json", folder / "owner.pub"
        self.root.write_bytes(root)
        self.key.write_bytes(public_pem(OWNER.key))

    def blob(self, case: Case, *, subject: str = "", predicate_type: str = COSIGN_SIGN) -> str:
        """ "" where it verifies a bundle, else why not; an envelope must be about `subject`."""
        bundle = self.folder / "bundle.json"
        bundle.write_bytes(case.bundle)
        if case.data is not None:
            file = self.folder / "file"
            file.write_bytes(case.data)
            return self._run(case, "verify-blob", "--bundle", bundle, file)
        about = ("--digest", subject.removeprefix("sha256:"), "--digestAlg", "sha256")
        kind = ("--type", predicate_type)
        return self._run(case, "verify-blob-attestation", "--bundle", bundle, *kind, *about)

    def image(self, case: Case, reference: str, *, predicate_type: str = "", experiment: bool = False) -> str:
        """The same for what is attached to an image, `host/name@digest`; the bundle is not used.

        `experiment` has it look for its older signatures among the referrers.
        """
        if experiment:
            return self._run(case, "verify", "--experimental-oci11", reference)
        if predicate_type:
            return self._run(case, "verify-attestation", "--type", predicate_type, reference)
        return self._run(case, "verify", reference)

    def _run(self, case: Case, command: str, *args: str | Path) -> str:
        who: list[str | Path] = ["--certificate-identity", SAN, "--certificate-oidc-issuer", ISSUER]
        if case.keyed:
            who = ["--key", self.key]
        argv = [require_part("cosign"), command, "--trusted-root", self.root, *who, *args]
        if case.stamped:
            argv.append("--use-signed-timestamps")
        if not case.logged:
            argv.append("--insecure-ignore-tlog")
        env = {"HOME": str(self.folder), "PATH": os.environ["PATH"], "HTTPS_PROXY": NOWHERE}
        env["COSIGN_EXPERIMENTAL"] = "1"  # the experiment asks for it, and nothing else does
        done = subprocess.run(list(map(str, argv)), env=env, capture_output=True, text=True, check=False)
        return "" if done.returncode == 0 else done.stderr or "refused"


def javascript(root: bytes, cases: Sequence[Case]) -> list[str]:
    """What @sigstore/verify says about each: "" where it verifies, else why not."""
    modules = require_part("sigstore-verify") / "node_modules"
    done = subprocess.run(
        [str(require_part("node")), str(SCRIPT)],
        input=json.dumps({"root": json.loads(root), "cases": [_asked(each) for each in cases]}),
        env={**os.environ, "NODE_PATH": str(modules)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise AssertionError(done.stderr)
    return list(json.loads(done.stdout))


def _asked(case: Case) -> Mapping[str, Any]:
    who: dict[str, Any] = {"identity": SAN, "issuer": ISSUER, "times": 1}
    if case.keyed:
        key = case.key or public_pem(OWNER.key)
        who = {"key": key.decode(), "times": int(case.logged)}
    artifact = b64(case.data) if case.data is not None else None
    return {"bundle": b64(case.bundle), "artifact": artifact, "tlog": int(case.logged), **who}


class Library:
    """sigstore's own library, with one trusted root. It knows no keys."""

    def __init__(self, folder: Path, root: bytes) -> None:
        from sigstore.models import TrustedRoot
        from sigstore.verify import Verifier, policy

        path = folder / "root-of-the-library.json"
        path.write_bytes(root)
        self._verifier = Verifier(trusted_root=TrustedRoot.from_file(str(path)))
        self._policy = policy.Identity(identity=SAN, issuer=ISSUER)

    def verify(self, case: Case) -> str:
        """ "" where it verifies a bundle, else why not."""
        from sigstore.models import Bundle

        try:
            bundle = Bundle.from_json(case.bundle)
            if case.data is None:
                self._verifier.verify_dsse(bundle, self._policy)
            else:
                self._verifier.verify_artifact(case.data, bundle, self._policy)
        except Exception as error:  # noqa: BLE001  (it lets others through than its own)
            return str(error) or "refused"
        return ""
