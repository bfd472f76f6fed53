"""Print the settings table of a mechanism's reference page, or the page of all rules: tools/reference.py MECHANISM|rules"""

from __future__ import annotations

import sys

from hardening.compose.rules import RuleRegistry
from hardening.mechanism.schema import Scalar
from hardening.plugin import plugins
from hardening.report.lint import page


def main() -> int:
    installed = plugins.load()
    if sys.argv[1:] == ["rules"]:
        print(page(RuleRegistry(installed.mechanisms)), end="")
        return 0
    mechanism = installed.mechanism(sys.argv[1]) if len(sys.argv) == 2 else None
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
