"""`python -P -m sbc.launcher`, with a fake worker and a fake signalling process."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path

from relay.settings import RelaySettings
from sbc.launcher import LauncherSettings, launch

_HERE = Path(__file__).resolve().parent
_RUN_POOL = _HERE.parent / "relay" / "pool" / "run_pool.py"


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(name)s %(message)s", stream=sys.stderr)
    path = sys.argv[1]
    relay = RelaySettings.from_json(json.loads(Path(path).read_text())["relay"])
    return launch(
        LauncherSettings(
            settings_path=path,
            relay=relay,
            drain_s=float(os.environ.get("DRAIN_S", "5")),
            signalling=(str(_HERE / "fake_signalling.py"),),
            pool=(str(_RUN_POOL),),
        )
    )


if __name__ == "__main__":
    sys.exit(main())
