"""What every run of git gets, whatever the user has set: variables, and the settings file.

Source: git(1) "Environment Variables", git-config(1).
"""

from __future__ import annotations

INHERITED = frozenset({"PATH", "TMPDIR", "LD_LIBRARY_PATH"})
"""The variables of the user that every run gets."""
ENVIRONMENT = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ALLOW_PROTOCOL": "https:http:file",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_PROTOCOL_FROM_USER": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    # If HOME is unset, libcurl takes the home folder from the password file, and reads its .netrc.
    "HOME": "/dev/null",
    "XDG_CONFIG_HOME": "/dev/null",
    "LANGUAGE": "C",
    "LC_ALL": "C",
}
"""The variables that every run gets beside them."""
TOLERATED = (
    "badDate",
    "badDateOverflow",
    "badEmail",
    "badFilemode",
    "badName",
    "badTimezone",
    "missingEmail",
    "missingNameBeforeEmail",
    "missingSpaceBeforeDate",
    "missingSpaceBeforeEmail",
    "missingTaggerEntry",
    "multipleAuthors",
    "nulInCommit",
    "zeroPaddedDate",
    "zeroPaddedFilemode",
)
"""Faults of old but sound histories, which importers and editors of commits have made: names, addresses, dates, time
zones, and modes in another spelling. Nobody can correct a history without changing every commit after it, and none of
these faults harms a reader. Every fault that could (.git, `.` and `..` in trees, tricks in .gitmodules, unsorted or
doubled entries, …) stays an error. This list counts wherever git checks objects: for fetching, receiving and unpacking.
Source: git-fsck(1), "FSCK MESSAGES"; each of them is known to git 2.32."""

CONFIG = """\
[core]
	hooksPath = /dev/null
	askPass =
	fsync = committed,loose-object
	bigFileThreshold = 512m
	deltaBaseCacheLimit = 96m
[credential]
	helper =
[safe]
	directory = *
[transfer]
	fsckObjects = true
	bundleURI = false
	unpackLimit = 1
[fetch]
	unpackLimit = 1
	writeCommitGraph = false
[receive]
	unpackLimit = 1
	autogc = false
	shallowUpdate = false
[gc]
	auto = 0
[maintenance]
	auto = false
[pack]
	threads = 1
	windowMemory = 64m
	deltaCacheSize = 16m
[http]
	sslVerify = true
	lowSpeedLimit = 1
	lowSpeedTime = 300
[init]
	defaultBranch = main
[advice]
	detachedHead = false
""" + "".join(
    f'[{section} "fsck"]\n' + "".join(f"\t{fault} = ignore\n" for fault in TOLERATED)
    for section in ("fetch", "receive")
)
"""The settings file. They are no options of the command, because git starts upload-pack and receive-pack of a local
repository without these. safe.directory may be `*` here: the runs touch only repositories that were named."""
