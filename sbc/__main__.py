"""`sbc` and `python -m sbc`."""

from __future__ import annotations

from sbc.cli.app import app

__all__ = ["main"]


def main() -> None:
    """Run the command line; never returns."""
    app(prog_name="sbc")


if __name__ == "__main__":
    main()
