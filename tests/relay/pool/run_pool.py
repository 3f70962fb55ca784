"""`python -P -m relay pool`, with the fake worker in place of the real one."""

from __future__ import annotations

import argparse
import logging
import os
import sys

from relay.pool import Pool
from relay.settings import RelaySettings

_FAKE_WORKER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "fake_worker.py")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", required=True)
    parser.add_argument("--lifeline-fd", type=int, default=-1)
    parser.add_argument("--ready-fd", type=int, default=-1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s", stream=sys.stderr)
    with open(options.settings, encoding="utf-8") as file:
        settings = RelaySettings.from_json(file.read())
    return Pool(settings, options.lifeline_fd, options.ready_fd, worker=[_FAKE_WORKER]).run()


if __name__ == "__main__":
    sys.exit(main())
