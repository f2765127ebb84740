"""An independent reader of deltas and selections, written from docs/format.md alone, as `reader.py` is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.golden.reader import Delivery, digest, need, read_statement


class Delta(Delivery):
    """A delivery that leaves something out: what its baselines brought is read from them, and compared."""

    def __init__(
        self,
        folder: Path,
        keys: Mapping[str, bytes],
        sovereign: str,
        now: datetime,
        baselines: Sequence[Delivery],
        receipts: Sequence[bytes] = (),
    ) -> None:
        self.baselines = baselines
        super().__init__(folder, keys, sovereign, now)
        self.omitted: Mapping[str, Any] = self.contents.get("omitted", {})
        # The baselines, each with the receipts that prove it.
        based_on = self.journey["basedOn"] or []
        need([one["delivery"] for one in based_on] == [one.digest for one in baselines], "baselines")
        need([one for each in based_on for one in each["receipts"]] == list(map(digest, receipts)), "receipts")
        placed: dict[str, set[str]] = {}
        for receipt in receipts:
            kind, subject, said = read_statement(receipt, keys)
            need(kind == "receipt", kind)
            for line in (line for place in said["destinations"] for line in place["items"]):
                if line["outcome"] in ("written", "present"):
                    placed.setdefault(subject, set()).add(line["item"])
        # What is left out: in no volume, of this size, and brought with this item.
        need("omitted" not in self.contents or bool(self.omitted), "nothing is omitted")
        need(bool(self.omitted) == bool(based_on), "omitted without a baseline, or the other way round")
        roots = {root["digest"] for root in self.contents["roots"]}
        for name, (size, number, item) in self.omitted.items():
            need(name not in self.contents["blobs"] and name not in roots, f"{name} is carried")
            baseline = baselines[number - 1]
            need(len(self.blob(name)) == size, f"{name}: size")
            brought = {root["item"] for root in baseline.contents["roots"]}
            need(item in placed.get(baseline.digest, brought), f"{item} was not brought")

    def blob(self, name: str) -> bytes:
        """A blob, out of the volumes or of a baseline."""
        left = self.contents.get("omitted", {})
        return self.baselines[left[name][1] - 1].blob(name) if name in left else super().blob(name)

    def items(self) -> Iterator[tuple[str, str, list[str]]]:
        """Kind, name and all blobs of each item that it brings."""
        if self.contents.get("only"):
            names = {root["item"] for root in self.contents["roots"]}
            self.locks = [
                {**lock, "items": [one for one in lock["items"] if one["name"] in names]} for lock in self.locks
            ]
        return super().items()
