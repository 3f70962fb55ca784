"""The relay's processes: `python -P -m relay pool` and, started by it, `… relay worker`."""

from __future__ import annotations

import argparse
import logging
import sys

from relay.control.watch import start_logging
from relay.handoff import EXIT_SETTINGS
from relay.settings import RelaySettings

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> int:
    """Run one of the two. Returns the exit code."""
    parser = argparse.ArgumentParser(prog="relay", description="Media relay of the border.")
    commands = parser.add_subparsers(dest="command", required=True)
    pool = commands.add_parser("pool", help="the supervisor and its workers")
    pool.add_argument("--settings", required=True, help="a file with RelaySettings as JSON")
    pool.add_argument("--lifeline-fd", type=int, default=-1)
    pool.add_argument("--ready-fd", type=int, default=-1)
    worker = commands.add_parser("worker", help="one worker, started by a pool")
    worker.add_argument("--fd", type=int, required=True)
    worker.add_argument("--lifeline-fd", type=int, required=True)
    options = parser.parse_args(arguments)
    start_logging()
    if options.command == "pool":
        return _pool(options)
    from relay.worker import main as worker_main  # the supervisor has no use for it

    return worker_main(options.fd, options.lifeline_fd)


def _pool(options: argparse.Namespace) -> int:
    from relay.pool import Pool  # and a worker none for this

    try:
        with open(options.settings, encoding="utf-8") as file:
            settings = RelaySettings.from_json(file.read())
    except OSError as error:
        logging.error("%s: %s", options.settings, error.strerror)
        return EXIT_SETTINGS
    except (ValueError, KeyError, TypeError) as error:
        logging.error("%s: expected relay settings as JSON: %s", options.settings, error)
        return EXIT_SETTINGS
    start_logging(settings.log_level, settings.log_json)
    return Pool(settings, options.lifeline_fd, options.ready_fd).run()


if __name__ == "__main__":
    sys.exit(main())
