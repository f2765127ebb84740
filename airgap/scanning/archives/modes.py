"""What a layer gives away by modes: setuid, file capabilities, devices, and system files that everybody may write.

The rules do not speak of what every distribution has. Set-user-ID programs and capabilities that distributions ship, in
the folders of a system, are usual; an unknown one there is said (`low`). One of root anywhere else, where no package
manager puts any, is a surprise (`medium`). Sources: Debian's and Fedora's lists of set-user-ID programs;
capabilities(7); linux/capability.h; linux/devices.txt.
"""

from __future__ import annotations

import re

from airgap.base.untar import TarEntry
from airgap.content.scan_finding import Severity
from airgap.scanning.archives.notes import Notes

_SYSTEM = re.compile(r"(usr/(local/)?)?(s?bin|lib(32|64|x32|exec)?)/|usr/games/")
"""Folders in which package managers put programs."""
_WRITTEN = re.compile(
    r"etc/(passwd|shadow|group|gshadow|sudoers|ld\.so|pam\.d|profile|crontab|cron\.|ssh/)|(usr/)?s?bin(/|\Z)"
)
"""What decides who becomes root: it must not be writable by everybody."""
_SHIPPED = (
    "su sudo sudoedit passwd mount umount newgrp gpasswd chsh chfn chage expiry wall write write.ul ssh-agent "
    "ssh-keysign unix_chkpwd unix2_chkpwd pam_timestamp_check pam_extrausers_chkpwd userhelper usernetctl pkexec "
    "polkit-agent-helper-1 dbus-daemon-launch-helper crontab at fusermount fusermount3 ping ping4 ping6 arping "
    "clockdiff traceroute6.iputils mtr-packet newuidmap newgidmap bbsuid busybox doas exim4 sendmail procmail "
    "lockfile postdrop postqueue locate mlocate plocate utempter screen ntfs-3g Xorg.wrap bwrap chrome-sandbox "
    "ksu staprun lxc-user-nic snap-confine mount.nfs mount.cifs mount.ecryptfs_private umount.nfs dotlockfile "
    "bsd-write ssh-keysign2 suexec sg sperl gnome-pty-helper dumpcap gst-ptp-helper pppd sudo-rs su-rs dma "
    "dma-mbox-create mail-lock mail-touchlock mail-unlock mlock camel-lock-helper-1.2 vmware-user-suid-wrapper"
)
_USUAL = frozenset(_SHIPPED.split())
_DEVICE_NAMES = "null zero full random urandom tty console ptmx kmsg ram ram0 fuse net/tun pts/ptmx tty0 tty1 tty2 tty3"
_DEVICES = frozenset(_DEVICE_NAMES.split())
"""Devices below /dev that tools which make root file systems put there."""
_DANGEROUS = {
    0: "chown", 1: "dac_override", 2: "dac_read_search", 3: "fowner", 4: "fsetid", 6: "setgid", 7: "setuid",
    8: "setpcap", 16: "sys_module", 17: "sys_rawio", 19: "sys_ptrace", 21: "sys_admin", 22: "sys_boot", 27: "mknod",
    31: "setfcap", 39: "bpf",
}  # fmt: skip
"""Capabilities that are as good as root, by number."""


def look_at_mode(one: TarEntry, path: str, notes: Notes) -> None:
    """Says what is unusual about the type and the mode of a member of a layer."""
    if one.type == "other":
        _special(one, path, notes)
        return
    if one.type == "file":
        if one.mode & 0o6000:
            _set_id(one, path, notes)
        if one.capability:
            _capability(one, path, notes)
    if one.mode & 0o002 and one.type in ("file", "folder") and not one.mode & 0o1000 and _writable(path):
        severity = Severity.MEDIUM if _WRITTEN.match(path) else Severity.LOW
        notes.add("world-writable", severity, f"everybody may write a path of the system (mode {one.mode:o})", path)


def _writable(path: str) -> bool:
    return bool(_WRITTEN.match(path) or path.startswith("etc/") or _SYSTEM.match(path) or path in ("etc", "usr", ""))


def _special(one: TarEntry, path: str, notes: Notes) -> None:
    if one.flag == "6":
        notes.add("pipe", Severity.LOW, "a named pipe", path)
        return
    number = f"{one.device[0]}:{one.device[1]}"
    if one.flag == "3" and one.device == (0, 0):
        title = "a device 0:0: on overlayfs it removes what is below it, and OCI layers have whiteouts for that"
        notes.add("whiteout-device", Severity.HIGH, title, path)
    elif one.flag == "3" and path.startswith("dev/") and path.removeprefix("dev/") in _DEVICES:
        return
    elif one.flag in ("3", "4"):
        block = one.flag == "4"
        title = f"a {'block' if block else 'character'} device, number {number}"
        notes.add("device", Severity.HIGH if block else Severity.MEDIUM, title, path)


def _set_id(one: TarEntry, path: str, notes: Notes) -> None:
    which = "set-user-ID" if one.mode & 0o4000 else "set-group-ID"
    inside = bool(_SYSTEM.match(path))
    if path.rpartition("/")[2] in _USUAL and (inside or path.startswith("opt/")):
        return
    surprise = bool(one.mode & 0o4000) and not one.uid and not inside and bool(one.mode & 0o111)
    owner = "root" if not one.uid else f"user {one.uid}"
    title = f"a {which} program of {owner} that no distribution ships (mode {one.mode:o})"
    notes.add("set-id", Severity.MEDIUM if surprise else Severity.LOW, title, path)


def _capability(one: TarEntry, path: str, notes: Notes) -> None:
    if path.rpartition("/")[2] in _USUAL and _SYSTEM.match(path):
        return
    bits = int.from_bytes(one.capability[4:8], "little") | int.from_bytes(one.capability[12:16], "little") << 32
    found = [name for number, name in _DANGEROUS.items() if bits >> number & 1]
    title = f"a file with the capabilities {bits:#x}"
    if found:
        title += f", which include cap_{' and cap_'.join(found)}"
    notes.add("capability", Severity.MEDIUM if found else Severity.LOW, title, path)
