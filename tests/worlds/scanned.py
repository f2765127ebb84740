"""A store whose records have verdicts about scans, made by hand: any number of findings, of any kind, with any name."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path

from airgap.base.digest import Digest
from airgap.content.lock import Lock
from airgap.content.scan_finding import FindingKind, ScanFinding, Severity
from airgap.content.scan_result import Database, ScannerIdentity, ScanResult
from airgap.statements.gate import Effect, Gate, GateRule
from airgap.statements.scans import FindingName, Scan, sort_scans
from airgap.statements.verdict import CheckResult, CountedVex, JudgedItem, Named, PassedBy, UsedWaiver, Verdict
from airgap.station.files import store_records
from airgap.station.scans import ScanRecords
from airgap.store.layout import LAYOUT_FILE
from tests.worlds.trust import DAY, HOUR, NOW, SOVEREIGN, World, image, signed

HOSTILE = '<script>alert(1)</script>"><img src=x onerror=alert(2)>'
"""The name of a package that tries to be markup."""
RIGHT_TO_LEFT = "חבילה"
TRIVY = ScannerIdentity(
    "trivy",
    "0.74.0",
    Digest.of(b"trivy"),
    (Database("trivy-db", Digest.of(b"trivy-db"), NOW - DAY),),
)
MALWARE = ScannerIdentity("clamav", "1.4.3", Digest.of(b"clamd"))
KINDS = frozenset(FindingKind)
GATE = Gate(
    rules=(
        GateRule(
            label="findings: default",
            match=("**",),
            kinds=(),
            findings=KINDS,
            severity={
                Severity.CRITICAL: Effect.BLOCK,
                Severity.HIGH: Effect.WARN,
                Severity.MEDIUM: Effect.INFORM,
                Severity.LOW: Effect.INFORM,
                Severity.UNKNOWN: Effect.INFORM,
            },
        ),
    )
)
OFFICER = "Amina al-Harthy"


def vulnerability(number: int, severity: Severity = Severity.MEDIUM, package: str = "openssl") -> ScanFinding:
    """One with everything that a finding may have."""
    return ScanFinding(
        FindingKind.VULNERABILITY,
        f"CVE-2026-{number:05}",
        severity,
        title="heap overflow in a parser",
        source="debian",
        severities={"debian": severity, "nvd": Severity.HIGH},
        aliases=(f"GHSA-{number:04}-xxxx-yyyy",),
        package=package,
        purl=f"pkg:deb/debian/openssl@3.0.{number}",
        installed=f"3.0.{number}",
        fixed="" if number % 3 else "3.0.99",
        status="affected",
        layer=Digest.of(b"layer"),
        reference="javascript:alert(3)" if number == 2 else f"https://example.org/CVE-2026-{number:05}",
    )


SECRET = ScanFinding(
    FindingKind.SECRET, "aws-access-key-id", Severity.CRITICAL, title="AWS access key", path="root/.env", line=3
)


@dataclass
class ScannedWorld:
    """Three images in a lock, and what two scanners found in them. Change it, then `write`."""

    names: tuple[str, ...] = ("alpine:3.20", "postgres:16", "demo:1")
    findings: dict[str, tuple[ScanFinding, ...]] = field(default_factory=dict)
    waived: tuple[ScanFinding, ...] = ()
    lifted: tuple[ScanFinding, ...] = ()
    not_run: dict[str, str] = field(default_factory=dict)
    """By name, the code for which ClamAV gave no answer."""
    coverage: dict[str, str] = field(default_factory=dict)
    """By name, why not everything was looked at."""
    listed: int = 50
    """How many findings with one end the verdict names; the rest share a check."""
    trust: World = field(default_factory=World)

    def __post_init__(self) -> None:
        self.lock = Lock.of("platform", [image(name) for name in self.names])
        self.root = {item.name: item.root.digest for item in self.lock.items if item.root is not None}

    def waiver(self) -> bytes:
        """The file of the waiver."""
        head = "apiVersion: airgap.openova.io/v1alpha1\nkind: Waiver\nmetadata: {name: until-friday}\n"
        digests = ", ".join(f"'{one}'" for one in self.root.values())
        return (
            f"{head}spec: {{digests: [{digests}], checks: [signature], approver: {OFFICER}, reason: patched by hand, "
            f"expires: '2026-11-27T00:00:00Z'}}\n"
        ).encode()

    def results(self) -> list[ScanResult]:
        """Every scanner's answer about every image."""
        made = []
        for name, root in self.root.items():
            made.append(ScanResult(root, TRIVY, self.findings.get(name, ()), packages=7, sbom=Digest.of(b"sbom")))
            code = self.not_run.get(name, "")
            answer = ScanResult(root, MALWARE) if not code else ScanResult.failed(root, MALWARE, code, "start clamd")
            made.append(answer)
        return made

    def verdict(self) -> Verdict:
        """What the station's judge says of it."""
        results, used = self.results(), Digest.of(self.waiver())
        scans = [Scan(one.subject, one.scanner.own_digest, one.digest) for one in results]
        waivers = (UsedWaiver(used, NOW + 4 * DAY),) if self.waived else ()
        vex = (CountedVex(Digest.of(b"vex"), PassedBy(key="vendor")),) if self.lifted else ()
        return Verdict(
            policy=Named("bank", Digest.of(b"policy")),
            trust_roots=(),
            waivers=waivers,
            items={name: self._item(name, root, used) for name, root in self.root.items()},
            scanners=(MALWARE, TRIVY),
            scans=sort_scans(scans, (MALWARE, TRIVY)),
            vex=vex,
            gate=GATE,
        )

    def _item(self, name: str, root: Digest, waiver: Digest) -> JudgedItem:
        checks = [CheckResult("rule", "pass", None, "rule 1"), CheckResult("scan", "pass", root, "rule 1")]
        for one in self.findings.get(name, ()):
            said = CheckResult(str(one.kind), "fail", root, "findings: default", finding=FindingName.of(one))
            if one in self.waived:
                checks.append(replace(said, outcome="waived", waiver=waiver, by=PassedBy(approver=OFFICER)))
            elif one in self.lifted:
                reason = "vulnerable_code_not_in_execute_path: not built in"
                checks.append(replace(said, outcome="pass", reason=reason, vex=(Digest.of(b"vex"),)))
            elif one.severity is Severity.CRITICAL:
                checks.append(said)
        named = [one for one in checks if one.finding is not None]
        rest = [replace(one, finding=None) for one in named[self.listed : self.listed + 1]]
        checks = [one for one in checks if one not in named[self.listed :]] + rest
        if name in self.coverage:
            no = FindingName("no-packages") if "no-packages" in self.coverage[name] else None
            checks.append(CheckResult("coverage", "fail", root, "findings", reason=self.coverage[name], finding=no))
        if name in self.not_run:
            checks.append(
                CheckResult(
                    "scan", "not-run", root, "findings: default", reason=f"{self.not_run[name]}: clamav: start clamd"
                )
            )
        bad = any(one.outcome in ("fail", "not-run") for one in checks)
        return JudgedItem(root, "fail" if bad else "pass", "vulnerability: stops it" if bad else None, tuple(checks))

    def bundle(self, *, at: timedelta = HOUR) -> bytes:
        """The signed verdict."""
        return signed(self.trust.signers["station"], self.lock.digest, self.verdict(), "station", at=NOW - at)

    def write(self, folder: Path) -> Path:
        """The store, the lock and the Trust resource; returns the path of the verdict."""
        store = folder / "store"
        store.mkdir()
        (store / "oci-layout").write_bytes(LAYOUT_FILE)
        (store / "index.json").write_text('{"schemaVersion":2,"manifests":[]}')
        (store / "airgap").mkdir()
        records = store_records(store)
        kept = ScanRecords(store / "airgap")
        for one in self.results():
            kept.save(one)
        if self.waived:
            records.save_waiver(self.waiver())
        (folder / "platform.lock.json").write_bytes(self.lock.encode())
        self._write_trust(folder)
        return records.save_statement("verdict", self.lock.digest, self.bundle())

    def _write_trust(self, folder: Path) -> None:
        lines = ["apiVersion: airgap.openova.io/v1alpha1", "kind: Trust", f"metadata: {{name: {SOVEREIGN}}}"]
        lines += ["spec:", f"  sovereign: {SOVEREIGN}", "  require: [pull, delivery]", "  keys:"]
        for key in self.trust.trust.keys:
            (folder / f"{key.name}.pub").write_bytes(key.public_key_pem)
            lines += [f"  - {{name: {key.name}, role: {key.role}, publicKeyFile: {key.name}.pub,"]
            lines += ["     notBefore: '2026-01-01T00:00:00Z', notAfter: '2027-01-01T00:00:00Z'}"]
        (folder / "trust.yaml").write_text("\n".join(lines) + "\n")


def usual() -> ScannedWorld:
    """Some findings of each effect."""
    critical, high = vulnerability(1, Severity.CRITICAL), vulnerability(3, Severity.HIGH)
    waived, lifted = vulnerability(4, Severity.CRITICAL, "curl"), vulnerability(5, Severity.CRITICAL, "zlib")
    return ScannedWorld(
        findings={
            "alpine:3.20": (high, vulnerability(2, Severity.LOW, HOSTILE), vulnerability(6, package=RIGHT_TO_LEFT)),
            "postgres:16": (critical, SECRET),
            "demo:1": (waived, lifted),
        },
        waived=(waived,),
        lifted=(lifted,),
        not_run={"postgres:16": "clamd-unreachable"},
    )
