"""Print the settings table of a mechanism's reference page: tools/reference.py MECHANISM"""

from __future__ import annotations

import sys

from hardening.mechanism.schema import Scalar
from hardening.plugin import plugins


def main() -> int:
    mechanism = plugins.load().mechanism(sys.argv[1]) if len(sys.argv) == 2 else None
    if mechanism is None:
        print(__doc__, file=sys.stderr)
        return 2
    print("| setting | written as | default | meaning |\n| --- | --- | --- | --- |")
    for setting in mechanism.schema.fields.values():
        default = setting.default if isinstance(setting, Scalar) else setting.rest
        shown = setting.kind.show(default)
        name = f"`{setting.name}`" if setting.name else "members"
        print(f"| {name} | {setting.kind.grammar()} | `{shown or chr(34) * 2}` | {setting.help} |")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
