"""The orders of this mechanism's values: users, resource limits, file mode masks, OOM scores and cgroup ceilings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from hardening.base.text import nearest
from hardening.base.values import frozen
from hardening.errors import ProfileError
from hardening.mechanism.kinds import Ceiling, Kind
from hardening.profile.source import Node

MAX_ID = 2**32 - 2
MAX_LIMIT = 2**63 - 1
CPU_PERIOD = 100_000
_NAME = r"[A-Za-z0-9_.][A-Za-z0-9_.-]*\$?"
#: The most digits that an id is read of: an image may say thousands.
ID_DIGITS = 10
_CPU = r"(\d{1,6})(?:\.(\d{1,5}))?(%?)"


@frozen
class User:
    """A user and group as said, each a decimal id or a name of the root's files; empty: what is natural there."""

    user: str = ""
    group: str = ""

    @property
    def is_root(self) -> bool:
        """Whether this is uid 0."""
        return self.user == "0"

    def __str__(self) -> str:
        return f"{self.user}:{self.group}" if self.group else self.user


@frozen
class UserKind(Kind[User]):
    """A named user is stricter than that user in group 0, and than the natural user, who may be the caller.

    Two named users cannot be compared, nor can two groups. Root is one of them: where the user namespace maps it to an id of
    its own, the caller's files are another's to it, and those of that id are another's to everybody else.
    """

    def parse(self, node: Node) -> User:
        text = str(node.integer(0, MAX_ID)) if isinstance(node.raw, int) else node.string()
        user, colon, group = text.partition(":")
        if not text:
            return User()
        for part, what in ((user, "user"), *(((group, "group"),) if colon else ())):
            if not re.fullmatch(_NAME, part) or not _is_possible(part):
                raise node.error(
                    f'"{part[:40]}" is not a {what}', hint='write "1000", "1000:1000", "name" or "name:group"'
                )
        user = _plain(user)
        return User(user, _plain(group) if colon else "0" if user == "0" else "")

    def is_no_looser_than(self, a: User, b: User) -> bool:
        if a == b:
            return True
        if a.is_root or b.is_root or not a.user:
            return False
        return not b.user or (a.user == b.user and b.group == "0")

    def intersect(self, a: User, b: User) -> User | None:
        if self.is_no_looser_than(a, b):
            return a
        return b if self.is_no_looser_than(b, a) else None

    def grammar(self) -> str:
        return '`"1000"`, `"1000:1000"`, `"name"`, `"name:group"`, or `""` for the natural user'

    def json_schema(self) -> Mapping[str, object]:
        return {"type": ["string", "integer"]}

    def samples(self) -> Sequence[User]:
        return (
            User(), User("0", "0"), User("0", "5"), User("0", "6"), User("1000"), User("1000", "0"), User("1000", "5"),
            User("1000", "6"), User("nobody"), User("nobody", "nogroup"),
        )  # fmt: skip

    def show(self, value: User) -> str:
        return str(value) or "natural"

    def dump(self, value: User) -> object:
        return str(value)


def _is_possible(part: str) -> bool:
    """Whether text is no number, or one that can be an id."""
    return not part.isdecimal() or (len(part) <= ID_DIGITS and int(part) <= MAX_ID)


def _plain(part: str) -> str:
    """An id or name in the one way that it is compared: ``root`` is 0 wherever it is said."""
    return "0" if part == "root" else str(int(part)) if part.isdecimal() else part


@frozen
class ResourceLimit:
    """A resource limit, setrlimit(2); None is no ceiling: the caller's own limit stays."""

    soft: int | None
    hard: int | None


UNLIMITED = ResourceLimit(None, None)


def below(a: int | None, b: int | None) -> bool:
    """Whether ceiling ``a`` is at most ceiling ``b``; None is no ceiling."""
    return b is None or (a is not None and a <= b)


def lower(a: int | None, b: int | None) -> int | None:
    """The smaller of two ceilings; None is no ceiling."""
    return a if below(a, b) else b


@frozen
class RlimitKind(Kind[ResourceLimit]):
    """Soft and hard limit, each the smaller the stricter."""

    parts = "soft:hard"

    def parse(self, node: Node) -> ResourceLimit:
        if isinstance(node.raw, dict):
            for key, member in node.members():
                if key not in ("soft", "hard"):
                    raise member.error("unknown key", hint="a limit has `soft` and `hard`")
            soft, hard = (node.get(key) for key in ("soft", "hard"))
            if hard is None:
                raise node.error("a limit needs `hard`", hint="the process can raise its soft limit to the hard one")
            most = _limit(hard)
            return self._checked(node, _limit(soft) if soft is not None else most, most)
        if isinstance(node.raw, str) and ":" in node.raw:
            first, _, second = node.raw.partition(":")
            soft, hard = (Node(part, node.path, node.document) for part in (first, second))
            return self._checked(node, _limit(soft), _limit(hard))
        value = _limit(node)
        return ResourceLimit(value, value)

    def _checked(self, node: Node, soft: int | None, hard: int | None) -> ResourceLimit:
        if not below(soft, hard):
            raise node.error(
                f"the soft limit {_show(soft)} is above the hard limit {_show(hard)}",
                hint="write SOFT:HARD, the lower one first",
            )
        return ResourceLimit(soft, hard)

    def is_no_looser_than(self, a: ResourceLimit, b: ResourceLimit) -> bool:
        return below(a.soft, b.soft) and below(a.hard, b.hard)

    def intersect(self, a: ResourceLimit, b: ResourceLimit) -> ResourceLimit:
        return ResourceLimit(lower(a.soft, b.soft), lower(a.hard, b.hard))

    def grammar(self) -> str:
        return 'number, size such as `"64M"`, `"unlimited"`, `"soft:hard"` or `{soft = …, hard = …}`'

    def json_schema(self) -> Mapping[str, object]:
        return {"type": ["integer", "string", "object"]}

    def samples(self) -> Sequence[ResourceLimit]:
        return (
            UNLIMITED,
            ResourceLimit(0, 0),
            ResourceLimit(64, 64),
            ResourceLimit(64, 4096),
            ResourceLimit(1024, 2048),
            ResourceLimit(1024, None),
        )

    def show(self, value: ResourceLimit) -> str:
        soft, hard = _show(value.soft), _show(value.hard)
        return soft if soft == hard else f"{soft}:{hard}"

    def dump(self, value: ResourceLimit) -> object:
        return self.show(value)


def _limit(node: Node) -> int | None:
    if node.raw in ("unlimited", "-1", -1):
        return None
    if isinstance(node.raw, int):
        return node.integer(0, MAX_LIMIT)
    with _misspelt(node):
        return Ceiling(high=MAX_LIMIT, size=True).parse(node)


@contextmanager
def _misspelt(node: Node) -> Iterator[None]:
    """Have the error of what is no number say where its word was probably meant."""
    try:
        yield
    except ProfileError as error:
        error.hint = nearest(str(node.raw), ("unlimited",)) or error.hint
        raise


def _show(value: int | None) -> str:
    return "unlimited" if value is None else str(value)


@frozen
class UmaskKind(Kind[int]):
    """A file mode mask, umask(2): more bits are stricter."""

    def parse(self, node: Node) -> int:
        # TOML has no octal without `0o`, and a bare 22 would quietly mean 026.
        if not isinstance(node.raw, str):
            raise node.error("a mask is written as a string of octal digits", hint='write "027"')
        if not re.fullmatch(r"0?[0-7]{1,3}", node.raw):
            raise node.error(f'"{node.raw}" is not an octal mask of at most 777', hint='write "027"')
        return int(node.raw, 8)

    def is_no_looser_than(self, a: int, b: int) -> bool:
        return a & b == b

    def intersect(self, a: int, b: int) -> int:
        return a | b

    def grammar(self) -> str:
        return 'octal digits in a string: `"027"`'

    def json_schema(self) -> Mapping[str, object]:
        return {"type": "string"}

    def samples(self) -> Sequence[int]:
        return (0, 0o022, 0o027, 0o070, 0o077)

    def candidates(self, value: int) -> Sequence[int]:
        """One permission more: the group's before those of others, and reading before writing."""
        return [value & ~bit for bit in (0o040, 0o010, 0o020, 0o004, 0o001, 0o002, 0o400, 0o100, 0o200)]

    def show(self, value: int) -> str:
        return f"{value:03o}"

    def dump(self, value: int) -> object:
        return self.show(value)


@frozen
class OomKind(Kind[int]):
    """The OOM score adjustment, proc_pid_oom_score_adj(5): the higher, the sooner the kernel kills the process."""

    def parse(self, node: Node) -> int:
        return number(node).integer(-1000, 1000)

    def is_no_looser_than(self, a: int, b: int) -> bool:
        return a >= b

    def intersect(self, a: int, b: int) -> int:
        return max(a, b)

    def grammar(self) -> str:
        return "number, -1000 to 1000"

    def json_schema(self) -> Mapping[str, object]:
        return {"type": "integer"}

    def samples(self) -> Sequence[int]:
        return (-1000, 0, 1, 500, 1000)

    def candidates(self, value: int) -> Sequence[int]:
        return (max(value - 1, -1000),)


def number(node: Node) -> Node:
    """The node of a number that the command line gave as text."""
    if node.document.typed and isinstance(node.raw, str) and re.fullmatch(r"-?\d{1,18}", node.raw):
        return Node(int(node.raw), node.path, node.document)
    return node


#: The value of a cgroup's ceiling that sets none.
NO_CEILING = MAX_LIMIT


@frozen
class Bound(Ceiling):
    """A cgroup's ceiling, `NO_CEILING` being the loosest."""

    def json_schema(self) -> Mapping[str, object]:
        return {"type": ["integer", "string"]}

    def parse(self, node: Node) -> int:
        if node.raw in ("unlimited", "max"):
            return NO_CEILING
        with _misspelt(node):
            return super().parse(number(node))

    def grammar(self) -> str:
        size = ', a size such as `"64M"`' if self.size else ""
        return f'{self.unit}{size}, or `"unlimited"`'

    def samples(self) -> Sequence[int]:
        return (self.low, self.low + 1, self.low + (1 << 20), NO_CEILING)

    def show(self, value: int) -> str:
        return "unlimited" if value == NO_CEILING else super().show(value)

    def dump(self, value: int) -> object:
        return "unlimited" if value == NO_CEILING else value


@frozen
class CpuBound(Bound):
    """Processor time as microseconds in each `CPU_PERIOD`, written as a number of cores or a percentage of one."""

    low: int = 1000  # microseconds: the kernel gives no less
    unit: str = 'number of cores such as `1.5`, a percentage of one core such as `"50%"`'

    def json_schema(self) -> Mapping[str, object]:
        return {"type": ["number", "string"]}

    def parse(self, node: Node) -> int:
        raw = node.raw
        if raw in ("unlimited", "max"):
            return NO_CEILING
        if isinstance(raw, bool) or not isinstance(raw, int | float | str):
            raise node.wrong_type("a number of cores")
        match = re.fullmatch(_CPU, str(raw))
        if match is None:
            raise node.error(f'"{raw}" is not a number of cores', hint='write 1.5, or "50%" for half a core')
        whole, fraction, percent = match[1], (match[2] or "").ljust(5, "0"), match[3]
        quota = (int(whole) * CPU_PERIOD + int(fraction)) // (100 if percent else 1)
        if quota < self.low:
            raise node.error(f"{raw} is less than the kernel can give", hint='the least is 0.01, or "1%"')
        return quota

    def show(self, value: int) -> str:
        return "unlimited" if value == NO_CEILING else f"{value / CPU_PERIOD:.5f}".rstrip("0").rstrip(".")

    def dump(self, value: int) -> object:
        return self.show(value)
