"""A signalling process that holds one UDP port and tells a journal what happens to it.

Started by a launcher in place of `-m sbc.runtime`. Its settings file is JSON: address, port,
journal. FAKE_SIGNALLING in its environment says what it is to do wrong.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import socket
import sys
import time

from relay.control import lifeline
from relay.control.run_directory import SIGNALLING_SOCKET
from relay.control.watch import Signals


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", required=True)
    parser.add_argument("--settings-hash", required=True)
    parser.add_argument("--lifeline-fd", type=int, required=True)
    parser.add_argument("--ready-fd", type=int, required=True)
    options = parser.parse_args()
    with open(options.settings, encoding="utf-8") as file:
        settings = json.load(file)
    fault = os.environ.get("FAKE_SIGNALLING", "")

    def note(text: str) -> None:
        with open(settings["journal"], "a", encoding="utf-8") as journal:
            journal.write(f"{os.getpid()} {text}\n")

    note("start")
    if fault == "settings":
        return lifeline.EXIT_SETTINGS
    if fault == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "machine":
        sys.stderr.write("udp:127.0.0.1:5060: the address is in use\n")
        return 1
    path = os.path.join(settings["run_dir"], SIGNALLING_SOCKET)
    child = lifeline.Child(options.lifeline_fd, path, options.settings_hash, settings["grace_s"])
    signals = Signals((signal.SIGTERM, signal.SIGHUP))
    sip = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sip.bind((settings["address"], settings["port"]))
    except OSError:
        child.close()
        return 1
    listening = f"udp {settings['address']}:{settings['port']}"
    child.facts = {"ready": True, "listening": listening}
    os.write(options.ready_fd, f"ready {listening}\n".encode())
    os.close(options.ready_fd)
    try:
        return serve(child, signals, note, stubborn=fault == "stubborn")
    finally:
        child.close()


def serve(child: lifeline.Child, signals: Signals, note, *, stubborn: bool) -> int:
    poll = select.poll()
    poll.register(child.fileno(), select.POLLIN)
    poll.register(signals.fileno(), select.POLLIN)
    while True:
        left_s = 60.0 if child.deadline is None else child.deadline - time.monotonic()
        poll.poll(max(0.0, left_s) * 1000 + 1)
        for event in child.handle(time.monotonic()):
            note(event.name.lower())
            if event is lifeline.Event.ADOPTED:
                line = child.take_adopter()
                assert line is not None
                line.close()
            if event is lifeline.Event.GRACE_OVER:
                return 0
        taken = signals.taken()
        if signal.SIGHUP in taken:
            note("hangup")
        if signal.SIGTERM in taken:
            note("term")
            if not stubborn:
                time.sleep(0.05)
                note("drained")
                return 0


if __name__ == "__main__":
    sys.exit(main())
