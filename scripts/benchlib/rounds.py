"""One round over a shape: every command once, from a clean state, with the yardsticks before and after the others."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchlib import commands, registries
from benchlib.commands import ENV
from benchlib.content import Content
from benchlib.measure import Line, Meter, Sample
from benchlib.peers import Peer, clean_env
from benchlib.rows import Round
from benchlib.yardstick import copy_loop, pull_loop, push_loop

STARTS = 5
"""Starts of a process, of which the fastest counts: one is too short to mean anything."""


@dataclass(frozen=True, slots=True)
class World:
    """What all rounds of a shape have in common. `source` is the host of the registry that has the content."""

    folder: Path
    meter: Meter
    content: Content
    source: str
    peers: Sequence[Peer]


class Runner:
    """Runs one round. Every result is also told on stderr, as seconds."""

    def __init__(self, world: World, number: int) -> None:
        self._world, self._meter, self._number = world, world.meter, number
        self._round = Round()
        self._place = world.folder / "round"

    def run(self) -> Round:
        """All of it. The tools take turns at being the first, so that none always has the best moment."""
        self._place.mkdir()
        self._copy_loop()
        self._in_turn([self._pull, self._pull_loop, *(self._puller(peer) for peer in self._world.peers)])
        self._bundle()
        self._copy_loop()
        self._push_loop()
        self._in_turn([self._import, *(self._pusher(peer) for peer in self._world.peers)])
        self._push_loop()
        self._starts()
        shutil.rmtree(self._place)
        return self._round

    def _in_turn(self, steps: list[Callable[[], None]]) -> None:
        first = self._number % len(steps)
        for step in steps[first:] + steps[:first]:
            step()

    def _add(self, stage: str, what: str, sample: Sample) -> Sample:
        self._round.samples[stage, what] = sample
        print(f"bench:   {what}: {sample.seconds:.2f} s", file=sys.stderr)
        return sample

    # yardsticks

    def _pull_loop(self) -> None:
        world, folder = self._world, self._place / "loop"
        sample = self._meter.loop(lambda: pull_loop(world.content.places(), world.source, folder))
        shutil.rmtree(folder)
        self._add("pull", "bare loop: GET, hash, write, sync", sample)

    def _copy_loop(self) -> None:
        folder = self._place / "loop"
        sample = self._meter.loop(lambda: copy_loop(self._world.content.layers, folder))
        shutil.rmtree(folder)
        self._loop("copy", "copy", "bare loop: read, hash, write, sync", sample)

    def _push_loop(self) -> None:
        with registries.empty(self._world.folder) as bare:
            sample = self._meter.loop(lambda: push_loop(self._world.content.layers, bare.host, "bare/all"))
        self._loop("push", "send", "bare loop: read, hash, push", sample)

    def _loop(self, yardstick: str, stage: str, what: str, sample: Sample) -> None:
        self._add(stage, what, self._round.loop(yardstick, sample))

    # airgap

    def _pull(self) -> None:
        self._add("pull", "airgap pull", self._meter.commands([commands.pull()]))

    def _bundle(self) -> None:
        line = commands.bundle("media")
        bundled = self._add("bundle", "airgap bundle", self._meter.commands([line], env=ENV))
        pulled = self._round.samples["pull", "airgap pull"]
        self._add("out", "airgap pull and bundle", pulled + bundled)
        self._add("verify", "airgap verify", self._meter.commands([commands.verify()]))
        copy = [["cp", "-r", "round/store", "round/copy"], ["sync", "-f", "round/copy"]]
        self._add("bundle", "cp of the store, and sync", self._meter.commands(copy))
        shutil.rmtree(self._place / "copy")

    def _import(self) -> None:
        world, meter = self._world, self._meter
        with registries.empty(world.folder) as inside:
            commands.sovereign(self._place, world.source, inside.url)
            self._bad_signature()
            done = self._add("push", "airgap import", meter.commands([commands.bring()], env=ENV))
            registries.check(world.content.images, inside.host, f"{commands.PROJECT}/")
            again = meter.commands([commands.bring()], env=ENV)
            self._add("again", "airgap import again, nothing new", again)
            self._add("audit", "airgap audit", meter.commands([commands.audit()], env=ENV))
        out = self._round.samples["out", "airgap pull and bundle"]
        self._add("way", "airgap, the whole way", out + done)

    def _bad_signature(self) -> None:
        commands.spoil(self._place / "media", self._place / "bad")
        line = commands.bring("bad")
        sample = self._meter.commands([line], env=ENV, expect=(commands.REFUSED,))
        self._add("bad", "airgap import, bad signature", sample)

    def _starts(self) -> None:
        def fastest(line: list[str]) -> Sample:
            samples = [self._meter.commands([line]) for _ in range(STARTS)]
            return min(samples, key=lambda sample: sample.seconds)

        bare = fastest([sys.executable, "-c", "pass"])
        self._loop("start", "start", "python -c pass", bare)
        self._add("version", "airgap --version", fastest([commands.PROGRAM, "--version"]))

    # the others

    def _clean(self, lines: Sequence[Line]) -> Sample:
        data = self._place / "data"
        sample = self._meter.commands(lines, env=clean_env(data))
        shutil.rmtree(data, ignore_errors=True)
        return sample

    def _puller(self, peer: Peer) -> Callable[[], None]:
        def run() -> None:
            world, out = self._world, _media(peer)
            (world.folder / out).mkdir()
            lines = peer.pull(world.source, world.content.images, out)
            self._add("pull", f"{peer.name}: pull", self._clean(lines))

        return run

    def _pusher(self, peer: Peer) -> Callable[[], None]:
        def run() -> None:
            world, out = self._world, _media(peer)
            images = world.content.images
            with registries.empty(world.folder) as inside:
                sample = self._clean(peer.push(inside.host, images, out))
                if not peer.together:
                    registries.check(images, inside.host)
            pushed = self._add("push", f"{peer.name}: push", sample)
            pulled = self._round.samples["pull", f"{peer.name}: pull"]
            self._add("way", f"{peer.name}: the whole way", pulled + pushed)
            shutil.rmtree(world.folder / out)

        return run


def _media(peer: Peer) -> str:
    return f"round/{peer.name.replace(' ', '-').replace(',', '')}"
