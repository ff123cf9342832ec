"""A server on loopback in a folder of its own: what the tools that start one have in common.

A server's folder, in $XDG_CACHE_HOME/tallyline or ~/.cache/tallyline, holds its ports, its data, its log and the number
of its process, which leads a process group. It listens on 127.0.0.1 only, and ends by itself after a time.
"""

import argparse
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tallyline"

START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 20


class Trouble(Exception):
    """What went wrong, in one line."""


class Server:
    """One server. A subclass says how to create its folder, with what command to start it, and when it serves."""

    def __init__(self, kind, name):
        self.kind = kind
        self.home = CACHE / f"{kind}s" / name
        self.log = self.home / "log"
        self.pid_file = self.home / "pid"
        self.ports_file = self.home / "ports"

    def create(self, args):
        """Makes the folder anew."""
        raise NotImplementedError

    def command(self):
        """What to run; the folder's path is in it."""
        raise NotImplementedError

    def serves(self):
        """Whether it is up."""
        raise NotImplementedError

    def addresses(self):
        """NAME=VALUE, a line each."""
        raise NotImplementedError

    def ports(self):
        return self.ports_file.read_text().split()

    def fresh_folder(self, port_count):
        """An empty folder, and free ports."""
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir(parents=True, mode=0o700)
        ports = free_ports(port_count)
        self.ports_file.write_text(" ".join(map(str, ports)) + "\n")
        return ports

    def remove(self):
        """Takes the folder away."""
        shutil.rmtree(self.home, ignore_errors=True)

    def pid(self):
        """The number of the running process; it leads a process group of its own."""
        try:
            pid = int(self.pid_file.read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            return None
        return pid if str(self.home).encode() in command else None

    def launch(self, seconds):
        """Starts the process and waits until it serves."""
        command = ["timeout", "--foreground", str(seconds)] + self.command()
        with open(self.log, "wb") as log:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True, cwd=self.home)
        self.pid_file.write_text(f"{process.pid}\n")
        for _ in waiting(START_SECONDS_MAX):
            if process.poll() is not None:
                raise Trouble(f"the {self.kind} ended: {last_line(self.read_log())}; see {self.log}")
            if self.serves():
                return
        self.end(signal.SIGKILL)
        raise Trouble(f"the {self.kind} did not come up within {START_SECONDS_MAX} s; see {self.log}")

    def signal_all(self, number):
        """Tells every process of the server."""
        try:
            os.killpg(int(self.pid_file.read_text()), number)
        except ProcessLookupError:
            pass

    def read_log(self):
        return self.log.read_text(errors="replace")

    def end(self, how):
        """Ends the process group, by force if it does not go; whether there was one."""
        pid = self.pid()
        if pid is None:
            return False
        for number in (how, signal.SIGKILL):
            try:
                os.killpg(pid, number)
            except ProcessLookupError:
                pass
            # One that is frozen would not hear of it.
            self.signal_all(signal.SIGCONT)
            for _ in waiting(STOP_SECONDS_MAX):
                if not group_exists(pid):
                    self.pid_file.unlink(missing_ok=True)
                    return True
        raise Trouble(f"process group {pid} does not end")


def waiting(seconds):
    """Ticks ten times a second, for so many seconds."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        yield
        time.sleep(0.1)


def group_exists(pid):
    """Whether a live process of the group is left; zombies, whom nobody may wait for, are none."""
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, group = stat.read_text().rpartition(")")[2].split()[:3]
        except (OSError, ValueError):
            continue
        if int(group) == pid and state != "Z":
            return True
    return False


def free_ports(count):
    """Ports that nobody listens on now, all different."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [open_socket.getsockname()[1] for open_socket in sockets]
    for open_socket in sockets:
        open_socket.close()
    return ports


def last_line(text):
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it said nothing"


def main(make, program, description, add_arguments=None):
    """Does what the command line says with the server that `make` makes of a name; returns the exit status."""
    parser = argparse.ArgumentParser(
        prog=program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["start", "kill", "restart", "freeze", "thaw", "status", "stop"])
    parser.add_argument("--name", default="default", help="which one; each has its own ports and data")
    parser.add_argument("--for", type=int, default=3 * 3600, dest="seconds", metavar="SECONDS",
                        help="it ends by itself after that time (default: three hours)")
    if add_arguments:
        add_arguments(parser)
    args = parser.parse_args()
    if not args.name.replace("-", "").isalnum():
        parser.error(f"--name {args.name}: give letters, digits and dashes")
    try:
        act(make(args.name), args)
    except (Trouble, subprocess.TimeoutExpired) as trouble:
        print(f"{program}: {trouble}", file=sys.stderr)
        return 1
    return 0


def act(server, args):
    if args.what == "start":
        if server.pid() is None:
            server.create(args)
            server.launch(args.seconds)
        print(server.addresses())
    elif args.what == "restart":
        if not server.ports_file.exists():
            raise Trouble(f"there is no {server.kind} to restart; start one")
        server.end(signal.SIGTERM)
        server.launch(args.seconds)
        print(server.addresses())
    elif args.what == "kill":
        if not server.end(signal.SIGKILL):
            raise Trouble(f"there is no {server.kind} to kill")
    elif args.what in ("freeze", "thaw"):
        if server.pid() is None:
            raise Trouble(f"there is no {server.kind} to {args.what}")
        server.signal_all(signal.SIGSTOP if args.what == "freeze" else signal.SIGCONT)
    elif args.what == "status":
        if server.pid() is None:
            raise Trouble(f"no {server.kind} is running")
        print(server.addresses())
    else:
        server.end(signal.SIGTERM)
        server.remove()
