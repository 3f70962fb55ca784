"""`sbc hangup`: end a call, or all of them."""

from __future__ import annotations

import click

from sbc.cli.admin_client import AdminClient
from sbc.cli.calls import find
from sbc.cli.options import USAGE, config_option, fail, json_option
from sbc.cli.output import print_json
from sbc.config.load import load

__all__ = ["hangup"]


@click.command()
@click.argument("call", required=False)
@click.option("--all", "everything", is_flag=True, help="End every call that is up now.")
@config_option
@json_option
def hangup(call: str | None, everything: bool, config: str, as_json: bool) -> None:
    """End a call on both of its legs.

    CALL is as in `sbc calls`. The call's record says that the operator ended it.
    """
    if (call is None) != everything:
        fail("expected CALL or --all, one of them", USAGE)
    with AdminClient(load(config).run_dir) as border:
        if call is not None:
            wanted = [find(border, call)]
        else:
            wanted = [str(one.get("call")) for one in border.calls()]
        ended = [one for one in wanted if border.hangup(one)]
    if as_json:
        print_json({"ended": ended})
    elif call is None:
        click.echo(f"ended {len(ended)} call{'' if len(ended) == 1 else 's'}")
    elif ended:
        click.echo(f"{ended[0]}: ended")
    else:
        fail(f"{call}: the call has just ended by itself")
