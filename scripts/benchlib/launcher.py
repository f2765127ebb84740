"""Starts commands and tells what they used. Run by `benchlib.measure` as a process of its own, without our libraries.

A process inherits the peak memory of the one that it was forked from, so that one has to be tiny: peaks below its own
(about 9 MiB) cannot be seen. One JSON document a line comes in, one goes out.
"""

import json
import os
import signal
import sys
import time

CANNOT_START = 127


def run(argv: list[str], folder: str, environ: dict[str, str], errors: str) -> dict[str, object]:
    """One command from its start to its end; its stderr goes to the file `errors`."""
    begin = time.perf_counter()
    pid = os.fork()
    if pid == 0:
        become(argv, folder, environ, errors)
    # The process has ended, but is not collected yet: the kernel still knows its bytes, its threads' included.
    os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
    seconds = time.perf_counter() - begin
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        io = {name: int(value) for name, value in (line.split(":") for line in file)}
    _, status, usage = os.wait4(pid, 0)
    return {
        "code": os.waitstatus_to_exitcode(status),
        "seconds": seconds,
        "cpu": usage.ru_utime + usage.ru_stime,
        "peak": usage.ru_maxrss * 1024,
        "io": io,
    }


def become(argv: list[str], folder: str, environ: dict[str, str], errors: str) -> None:
    """In the child: becomes the command."""
    try:
        os.chdir(folder)
        # Python ignores it, and that would be inherited.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        null = os.open(os.devnull, os.O_RDWR)
        err = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for source, target in ((null, 0), (null, 1), (err, 2)):
            os.dup2(source, target)
        os.execvpe(argv[0], argv, environ)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error}\n".encode())
    finally:
        os._exit(CANNOT_START)


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(run(**json.loads(line))), flush=True)
