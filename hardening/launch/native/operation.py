"""What a launch does, as a flat list of small frozen values: each operation says what it does, does it, and by its class in
which process and when. No operation says anything of the command: its words, variables, working directory and terminal are
taken from `config.json` at each launch (`hardening.launch.config.model.Invocation`).
"""

from __future__ import annotations

from hardening.base.frozen import Frozen
from hardening.base.linux.failure import failure
from hardening.base.linux.system import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, TypeAlias

    from hardening.launch.cgroup.group import Cgroup
    from hardening.launch.config.bundle import Bundle
    from hardening.launch.config.model import Invocation
    from hardening.launch.native.channel import Channel
    from hardening.launch.native.root import Root
    from hardening.launch.secret.handed import Handed

    Operations: TypeAlias = "tuple[Operation, ...]"

MAIN, INTERMEDIATE, INIT = "main", "intermediate", "init"


class Operation(Frozen):
    """One step of a launch. ``pointer`` is the JSON pointer of the field that asks for it, '' for what every launch does;
    ``hint`` is the remedy where the kernel refuses it, and ``text`` what `describe` says,
    with fields in braces."""

    pointer = ""
    hint = ""
    text = ""
    process = ""
    mutes = False  # whether what follows may keep its process from writing a word

    def __init_subclass__(cls) -> None:
        inherited = cls.__mro__[1].__annotations__
        cls.__annotations__ = {**inherited, **cls.__annotations__}

    def describe(self) -> str:
        """What it does, in the imperative; after 'cannot' it is the message of its failure."""
        return self.text.format(**vars(self))

    def execute(self, state: LaunchState) -> None:
        """Do it. `OSError`, `LaunchError`."""
        raise NotImplementedError


# The kinds, in the order in which a launch takes them. Which process runs an operation is said by its class and never by a
# list: else one changed byte of a list would set the host's name, or mask, in place of the container's.


class Preparation(Operation):
    """By the main process, before there is another one: what needs the caller's own eyes, files and privileges."""

    process = MAIN


class Cloning(Operation):
    """By the main process where the kernel lets it clone mounts, else in the user namespace (`CloneInside`)."""

    process = MAIN


class Starting(Operation):
    """By the main process: the clone(2) of the next one."""

    process = MAIN


class Joining(Operation):
    """By the intermediate process, with all of the caller's privileges: setns(2) takes CAP_SYS_ADMIN in the user namespace
    that owns what is joined, which is lost on entering another one."""

    process = INTERMEDIATE


class Mapping(Operation):
    """By the main process, while the next one waits: only a process outside of a new user namespace writes its maps."""

    process = MAIN


class Separation(Operation):
    """By the intermediate process, or by init where there is none: from here on with the namespace's privileges."""

    process = INTERMEDIATE


class Building(Operation):
    """By init, the process that becomes the command, with every privilege that its user namespace gives."""

    process = INIT


class Checking(Operation):
    """By the main process, while init builds its root."""

    process = MAIN


class Limiting(Operation):
    """By the main process, when init is ready: a limit may not hinder what init still has to do, and to raise one takes the
    caller's privileges."""

    process = MAIN


class Surrender(Operation):
    """By init: from here on its privileges only go down."""

    process = INIT


STAGES = (Preparation, Cloning, Starting, Joining, Mapping, Separation, Building, Checking, Limiting, Surrender)


class LaunchState:
    """What the operations of one launch share. A fork copies it: what one process puts there no other sees."""

    near: Channel  # the main process's end
    channel: Channel  # the end of the others
    root: Root

    def __init__(self, operations: Operations, bundle: Bundle, command: Invocation) -> None:
        self.operations = operations
        self.bundle = bundle
        self.command = command
        self.process = MAIN
        self.debug = -1  # where descriptions are written, -1 for nowhere
        self.keep_stdin = False
        self.waits = False  # init is to be traced, or named by the intermediate process, before it says a word
        self.signal_mask: frozenset[int] = frozenset()
        self.secrets: Handed | None = None
        self.tell: Callable[[str], None] | None = None  # hears of control groups
        self.group: Cgroup | None = None
        self.writers: dict[int, int] = {}  # 1 or 2 -> the end of a pipe that the container gets in its place
        self.copies: dict[int, int] = {}  # the other end -> 1 or 2
        self.program = b""  # the filter
        self.pid = 0  # of the process that was started last
        self.namespaces: dict[str, int] = {}  # to be joined, by kind
        self.joined: list[str] = []
        self.tree = -1  # of the root, detached; -1 before it is cloned
        self.trees: dict[str, int] = {}  # of mounts, detached, by pointer
        self.may_set_groups = True
        self.label = self.stdin = self.slave = -1  # descriptors, -1 for none
        self.variables: dict[bytes, bytes] = {}  # secrets of the environment
        self.path = ""  # of the command's file

    def perform(self, stage: type[Operation]) -> None:
        """Execute the operations of one stage in their order. `LaunchError`, with the pointer of the one that failed."""
        for operation in self.of(stage):
            try:
                operation.execute(self)
            except OSError as error:
                raise failure(operation.describe(), operation.pointer, operation.hint, error) from error

    def of(self, stage: type[Operation]) -> Iterator[Operation]:
        """The operations of one stage, each to be executed when it is given."""
        chosen = [operation for operation in self.operations if isinstance(operation, stage)]
        for at, operation in enumerate(chosen):
            if self.debug >= 0:
                for one in chosen[at:] if operation.mutes else (operation,):
                    self.show(one)
                self.debug = -1 if operation.mutes else self.debug
            yield operation

    def show(self, operation: Operation) -> None:
        """Write a line of `--debug`: the process, and what it does."""
        line = f"{self.process}: {operation.describe()}"
        shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in line)
        os.write(self.debug, f"{shown}\n".encode("utf-8", "backslashreplace"))

    def first(self, name: str) -> Any:
        """The first operation of the class with this name, or None: its module is imported only where there is one."""
        return next((operation for operation in self.operations if type(operation).__name__ == name), None)

    def close_trees(self) -> None:
        """Close every tree; those that were mounted stay mounted."""
        for fd in (*self.trees.values(), *([self.tree] if self.tree >= 0 else [])):
            os.close(fd)
        self.trees, self.tree = {}, -1
