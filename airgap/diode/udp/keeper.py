"""The thread behind the receiver: checks what a session says of itself, mends blocks, and writes them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue

from airgap.base.digest import Digest
from airgap.base.errors import AirgapError, InputError, StoreError, TrustError, UpstreamError
from airgap.diode.assembly import Assembly
from airgap.diode.events import RoadListener
from airgap.diode.head import decode_signatures
from airgap.diode.inbox import Inbox
from airgap.diode.udp.hello import INDEX, SIGNATURES
from airgap.diode.udp.incoming import Blocks, DeliveryBlocks, UdpSession
from airgap.diode.udp.slots import Slot


class Keeper:
    """Does what takes time, in the order in which it came."""

    def __init__(self, inbox: Inbox, listener: RoadListener, remember: Callable[[int, bytes], None]) -> None:
        """`remember` keeps which session is the newest, durably; it raises `StoreError`."""
        self._inbox, self.listener, self._remember = inbox, listener, remember
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._work: Future[None] = Future()
        # A daemon: a receiver that was opened and never run must not keep the process from ending.
        self._thread = threading.Thread(target=self._work_on, name="keeper", daemon=True)
        self._thread.start()

    def check(self) -> None:
        """Raises what ended the thread, if it ended: a bug, after which nothing would be kept."""
        if self._work.done():
            self._work.result()

    def close(self) -> None:
        """Does what is left to do, and ends. Raises what ended the thread before."""
        self._queue.put(None)
        self._thread.join()
        self._work.result()

    def _work_on(self) -> None:
        try:
            self._run()
        except BaseException as error:  # noqa: BLE001  (raised where the receiver runs)
            self._work.set_exception(error)
        else:
            self._work.set_result(None)

    def _run(self) -> None:
        while (task := self._queue.get()) is not None:
            try:
                task()
            except AirgapError as error:
                self.listener.trouble(error)

    # what the receiver hands over

    def put_head(self, now: UdpSession, slot: Slot) -> None:
        """A block of the head is whole."""
        blocks = now.head
        self._queue.put(lambda: self._head(now, blocks, slot))

    def put_block(self, files: DeliveryBlocks, slot: Slot) -> None:
        """A block of a file is whole."""
        self._queue.put(lambda: self._block(files, slot))

    def put_parts(self, blocks: Blocks, slot: Slot) -> None:
        """A block is given up for now: keeps what is there of it."""
        if isinstance(blocks, DeliveryBlocks):
            self._queue.put(lambda: self._parts(blocks, slot))
        else:
            blocks.give_back(slot)

    def put_end(self, now: UdpSession) -> None:
        """Nothing more comes of this session now: says so, once all else is done."""
        self._queue.put(lambda: self._end(now))

    def put_unusable(self, now: UdpSession | None, why: str) -> None:
        """A session has a shape that this receiver does not take."""
        hint = "use one version of airgap on both sides, and fewer --passes or a smaller --mtu if it says so"
        error = InputError("diode-session", f"a session cannot be received: {why}", hint)
        digest = None if now is None else _digest(now)
        self._queue.put(lambda: self.listener.turned_away(digest, error))

    def put_warning(self, error: AirgapError) -> None:
        """Says what somebody should know, without stopping."""
        self._queue.put(lambda: self.listener.trouble(error))

    def put_alive(self) -> None:
        """The sender sends, though nothing may be new."""
        self._queue.put(self.listener.alive)

    def put_newest(self, started: int, name: bytes) -> None:
        """Remembers the newest session."""
        self._queue.put(lambda: self._remember(started, name))

    # the thread

    def _head(self, now: UdpSession, blocks: Blocks, slot: Slot) -> None:
        slot.mend()
        block = slot.block
        now.pieces[block.file, block.number] = bytes(slot.view[: block.size])
        blocks.give_back(slot)
        file = SIGNATURES if not now.signatures else INDEX
        if now.over or block.file != file or 0 in blocks.done[file]:
            return
        found = [now.pieces.get((file, number)) for number in range(len(blocks.done[file]))]
        data = b"".join(piece for piece in found if piece is not None)
        if None in found:
            return  # the last of them is still in the queue
        try:
            if file == SIGNATURES:
                self._claim(now, decode_signatures(data))
            else:
                self._admit(now, data)
        except AirgapError as error:
            now.over = True
            self.listener.turned_away(_digest(now), error)

    def _claim(self, now: UdpSession, signatures: list[bytes]) -> None:
        digest = self._inbox.claimed(signatures)
        if digest != _digest(now):
            what = f"a signature is about {digest}, and the session about {_digest(now)}"
            raise TrustError("index-mismatch", what, "send the delivery again")
        now.claim(signatures)

    def _admit(self, now: UdpSession, index: bytes) -> None:
        found = self._inbox.admit(index, now.signatures)
        if not isinstance(found, Assembly):
            now.over = True
            self.listener.already(found)
            return
        try:
            now.admit(found)
        except ValueError as error:
            now.over = True
            self.put_unusable(now, str(error))
        else:
            self.listener.began(found)

    def _end(self, now: UdpSession) -> None:
        if now.files is None or now.over:
            return
        if now.finished:
            sink = now.files.sink
            self.listener.pass_over(sink)
            if not sink.missing():
                now.over, now.files = True, None  # gives the memory back
        else:
            what = f"nothing came for a while in the middle of a delivery ({_digest(now)})"
            hint = "what came is kept; if the sender has ended, send the delivery again"
            self.listener.trouble(UpstreamError("sender-silent", what, hint))

    def _block(self, files: DeliveryBlocks, slot: Slot) -> None:
        block = slot.block
        try:
            slot.mend()
            files.sink.write(block.file, block.offset, slot.view[: block.size])
        except StoreError:
            files.again(slot)
            raise
        finally:
            files.give_back(slot)

    def _parts(self, files: DeliveryBlocks, slot: Slot) -> None:
        block = slot.block
        try:
            for begin, end in slot.runs():
                files.sink.write(block.file, block.offset + begin, slot.view[begin:end])
        finally:
            files.give_back(slot)


def _digest(now: UdpSession) -> Digest:
    return Digest(f"sha256:{now.hello.digest.hex()}")
