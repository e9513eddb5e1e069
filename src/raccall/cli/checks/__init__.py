"""What `raccall doctor` looks at. A check is a function that returns findings; `HERE`, `THERE` and
`SOUND` list them."""

from raccall.cli.checks.findings import Finding, Status
from raccall.cli.checks.here import HERE, Machine
from raccall.cli.checks.sound import SOUND
from raccall.cli.checks.there import THERE

__all__ = ["HERE", "SOUND", "THERE", "Finding", "Machine", "Status"]
