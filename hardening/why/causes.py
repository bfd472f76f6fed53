"""What failed in a run, how suspicious each failure is, and who may have done it."""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Container, Hashable, Iterable, Iterator, Sequence

import attrs

from hardening.base import files
from hardening.base.linux import executable
from hardening.base.pointer import ENVIRONMENT, items, lookup
from hardening.base.values import frozen
from hardening.compose.composition import Composition
from hardening.errors import EXIT_LAUNCHER, EXIT_NOT_EXECUTABLE, EXIT_NOT_FOUND
from hardening.launch.config import confinement
from hardening.mechanism.denial import DENIALS, MISSING, Caller, Cause, Size, SystemCall
from hardening.mechanism.mechanism import Context
from hardening.mechanism.outside import command
from hardening.trace import calls
from hardening.trace.tracer import IDLE, INTERRUPT, TIME, Trace
from hardening.why import elsewhere
from hardening.why.runner import Ran
from hardening.why.world import Suspect, TrialOutcome

#: What programs number or make up: such parts of a path are another one in each run. A hexadecimal word is an argument.
_COUNTED = re.compile(r"(?<!\w)(0x[0-9a-f]+)\b|\d+")
_EXECVE = "execve"
#: How programs say in words of their own that they may not: not as strerror(3) does, who may mean another call.
_OF_RIGHTS = re.compile(r"permitted|permission(?! denied)|privilege|\broot\b|superuser|allowed|capabilit")
#: How a call may be denied, by an errno or a signal, and of how many calls of one name it is asked whether it would be.
_ANSWERS = (*((error, 0) for error in (*DENIALS, errno.ENOSYS)), (0, int(signal.SIGSYS)))
MOST_ALIKE = 30
#: How much of what a process wrote is looked through.
MOST_OUTPUT = 1 << 16
#: Of so many failures, the most suspected, each mechanism is asked: to look each up on the host takes milliseconds.
MOST_ASKED = 100


@frozen(eq=False)
class FailedCall:
    """Equal failures of a run. ``call`` is the last one, ``count`` how many there were; ``causes`` are what mechanisms say
    of it, the likeliest first, none where this stack has not done it. ``failed``: its process ended badly, or is the command
    itself. ``complaint``: how much of it the process wrote to standard error next: the error, or what it is about, too."""

    call: SystemCall
    count: int
    causes: tuple[Cause, ...]
    failed: bool
    complaint: int

    @property
    def operation(self) -> str:
        """What was asked for, in words."""
        return self.call.text or " ".join(filter(None, (self.call.name, self.call.path or self.call.address)))

    @property
    def is_evident(self) -> bool:
        """Whether it is seen, without a trial, that the process could not go on."""
        return self.failed and bool(self.complaint or self.call.signal)

    @property
    def is_named(self) -> bool:
        """Whether the process complained of its whole path: the last part alone may be a word that means something else."""
        return bool(self.call.path) and self.call.path in self.call.output

    @property
    def is_silent(self) -> bool:
        """Whether the process was told nothing of it: its file is set-user-ID, say, and it has become nobody else."""
        return not (self.call.error or self.call.signal)

    @property
    def is_end(self) -> bool:
        """Whether it is how a process has ended, by itself, with what it said last."""
        return self.call.is_end and not self.call.signal

    def says_the_same(self, other: FailedCall) -> bool:
        """Whether a process has said the same as in another run, but for what is counted."""
        return _uncounted(self.call.output) == _uncounted(other.call.output)

    @property
    def key(self) -> Hashable:
        """What this is recognised by in another run, whatever became of it there."""
        return _key(self.call)


def denials(ran: Ran) -> tuple[FailedCall, ...]:
    """What failed in a run, the most suspected first: what ended its process, what the process complained of, and what is
    nearest to its end."""
    alike: dict[Hashable, list[SystemCall]] = {}
    for call in _with_output(_failures(ran)):
        alike.setdefault((_key(call), call.outcome), []).append(call)
    bad = {pid for pid, process in ran.trace.processes.items() if process.status} | {ran.trace.command}
    found = sorted(
        (
            FailedCall(
                same[-1], len(same), (), any(call.caller.pid in bad for call in same), max(map(_complaint, same))
            )
            for same in alike.values()
        ),
        key=_suspicion,
    )
    # Programs look for a file in many places, and one word of theirs is about all of those.
    found.sort(key=lambda item: item.call.error in MISSING)
    asked = [attrs.evolve(item, causes=tuple(_causes(item.call, ran))) for item in found[:MOST_ASKED]]
    return (*sorted(asked, key=_suspicion), *found[MOST_ASKED:])


class MadeCalls:
    """What `trace` calls for each call: keeps one of those that are alike, and of each name as many as `MOST_ALIKE`, for
    what a program does once it does in many places."""

    def __init__(self) -> None:
        self._known: dict[str, dict[Hashable, SystemCall]] = {}

    def __call__(self, call: SystemCall) -> None:
        alike = self._known.setdefault(call.name, {})
        if len(alike) < MOST_ALIKE:
            alike.setdefault(_key(call), call)

    def has(self, key: Hashable) -> bool:
        """Whether a call was made, by what it is recognised by (`FailedCall.key`)."""
        return any(key in alike for alike in self._known.values())

    def all(self) -> Sequence[SystemCall]:
        """The calls, in their order."""
        return sorted((call for alike in self._known.values() for call in alike.values()), key=lambda call: call.order)


def foreseen(
    made: Iterable[SystemCall], composition: Composition, context: Context, names: Container[str]
) -> Iterator[FailedCall]:
    """Which of some calls mechanisms of these names would deny under a composition, and how, in the order of the calls;
    without those that programs do without after that answer."""
    mechanisms = [one for one in composition.mechanisms if one.name in names]
    for call in made:
        for error, number in _ANSWERS:
            denied = attrs.evolve(call, error=error, signal=number)
            found = tuple(
                cause
                for one in mechanisms
                for cause in one.denied(composition.settings[one.name], context, denied)
                if cause.certain and cause.fallback is None
            )
            if found:
                yield FailedCall(denied, 1, found, failed=True, complaint=0)
                break


def outcome(ran: Ran, found: Sequence[FailedCall], *, succeeded: bool) -> TrialOutcome:
    """A run as the search for the smallest set sees it. Of a process that went well nothing mattered that it was denied, but
    for what it complained of, and for what it has lost without an error. What a process may have looked for without a word
    is nobody's reason who says what was denied."""
    is_said = any(item.is_evident and item.causes and not item.call.is_end for item in found)
    suspects = [
        Suspect(
            item.key,
            item.call.outcome,
            cause.leaf,
            tuple(sorted(cause.ways, key=lambda way: way.size)),
            cause.certain,
            item.is_evident,
            _rivals(item, found),
        )
        for item in found
        if item.failed or item.complaint or item.is_silent or ran.trace.ended
        for cause in item.causes
        if cause.certain or not (item.call.is_end and is_said)
    ]
    # Threads meet in another order each time: two runs failed alike that ended alike, and complained of the same.
    complaints = frozenset((item.call.name, item.call.outcome) for item in found if item.call.name and item.is_evident)
    signature = (ran.trace.status, ran.trace.ended, complaints)
    answers = {item.key: item.call.outcome for item in found}
    ended = ran.trace.ended
    return TrialOutcome(
        succeeded,
        tuple(suspects),
        signature,
        stopped=ended == INTERRUPT,
        waits=ended == IDLE,
        late=ended == TIME,
        answers=answers,
    )


def _rivals(item: FailedCall, found: Sequence[FailedCall]) -> frozenset[Hashable]:
    """The other calls that what its process said may be about: it named nothing but an errno that these had, too."""
    if item.complaint != 1:
        return frozenset()
    known = item.call.caller.pid, item.call.error
    return frozenset(other.key for other in found if (other.call.caller.pid, other.call.error) == known) - {item.key}


def blamed(found: Iterable[FailedCall], suspect: Suspect) -> tuple[FailedCall, Cause] | None:
    """The denial that a suspect of `outcome` stands for, and its cause."""
    for item in found:
        for cause in item.causes:
            if (item.key, item.call.outcome, cause.leaf) == (suspect.call, suspect.answer, suspect.leaf):
                return item, cause
    return None


def _key(call: SystemCall) -> Hashable:
    texts = (call.name, call.text, call.path, call.target, call.address, call.caller.executable)
    return tuple(map(_uncounted, texts))


def _uncounted(text: str) -> str:
    """A text without what is counted."""
    return _COUNTED.sub(lambda found: found[1] or "#", text)


def _failures(ran: Ran) -> Sequence[SystemCall]:
    """The calls that failed, and the connections that nobody has made to a command that was at work until it was ended."""
    trace = ran.trace
    unreached = _unreached(trace) if trace.ended in (IDLE, TIME) else ()
    failures = (call for call in trace.failures if not _was_found(call, trace))
    return (*failures, *_unexecuted(ran), *unreached)


def _was_found(call: SystemCall, trace: Trace) -> bool:
    """Whether a program was looked for where it is not, and found further on along PATH (execvp(3))."""
    process = trace.processes.get(call.caller.pid)
    if call.name != _EXECVE or call.error != errno.ENOENT or process is None:
        return False
    return files.base(call.path) in map(files.base, (process.executable, *process.argv[:2]))


def _unreached(trace: Trace) -> Iterator[SystemCall]:
    """The connections that others may have wanted, up to the end."""
    call = calls.native("accept4", trace.calls)
    for bound in trace.bound:
        if bound.address.startswith("tcp "):
            text = f"reach {bound.address} from outside"
            yield attrs.evolve(bound, name="accept4", number=call.number, architecture=call.architecture,
                               arguments=call.arguments, text=text, order=call.order)  # fmt: skip


def _unexecuted(ran: Ran) -> Sequence[SystemCall]:
    """Where the command was never executed, that: what it was to become is looked at by init alone, whose exit code is the
    errno, or says that it has told the launcher."""
    trace = ran.trace
    process = trace.processes.get(trace.command)
    reported = {EXIT_NOT_FOUND: errno.ENOENT, EXIT_NOT_EXECUTABLE: errno.EACCES}.get(trace.status)
    if process is None or process.executable or not process.status or reported is None:
        return ()
    path = _executed(ran)
    outside = elsewhere.outside(ran.document, path)
    error = os.waitstatus_to_exitcode(process.status)
    if not 0 < error < EXIT_LAUNCHER:
        # What a file lends that the bounding set has not is the only reason of another errno (capabilities(7)).
        error = errno.EPERM if outside is not None and reported == errno.EACCES and _lends(outside) else reported
    who = command(ran.context)
    caller = Caller(trace.command, executable=path, uid=who.uid, gid=who.gid)
    entry = calls.native(_EXECVE, 0)
    call = SystemCall(
        _EXECVE, entry.number, entry.architecture, entry.arguments, caller, error=error, path=path,
        access=frozenset({"execute"}), text=f"{_EXECVE} {path}", output=os.strerror(error) + path,
    )  # fmt: skip
    return (call,)


def _lends(path: str) -> bool:
    try:
        return bool(os.getxattr(path, executable.ATTRIBUTE))
    except OSError:
        return False


def _with_output(failures: Sequence[SystemCall]) -> Sequence[SystemCall]:
    """Each call with all that its process wrote to standard error from then on: who prints where an error comes from may
    fail at other things meanwhile, as to find its own source."""
    outputs: dict[int, str] = {}
    found = []
    for call in reversed(failures):
        if call.is_end:  # which has all that its process has written last
            found.append(call)
            continue
        before = outputs.get(call.caller.pid, "")
        text = before if before.startswith(call.output) else (call.output + before)[:MOST_OUTPUT]
        outputs[call.caller.pid] = text
        found.append(attrs.evolve(call, output=text))
    return found[::-1]


def _executed(ran: Ran) -> str:
    """The path inside of what a run was to execute, as execvp(3) finds it; the name where it finds none."""
    name = str(next(iter(confinement.command(ran.document)), ""))
    if "/" in name:
        return files.absolute(files.join(str(lookup(ran.document, "/process/cwd") or "/"), name))
    variables = dict(str(entry).partition("=")[::2] for entry in items(ran.document, ENVIRONMENT))
    for folder in variables.get("PATH", "").split(":"):
        path = f"{folder}/{name}"
        outside = elsewhere.outside(ran.document, path)
        if outside is not None and os.path.exists(outside):
            return path
    return name


def _causes(call: SystemCall, ran: Ran) -> Iterator[Cause]:
    """What mechanisms say of a call: what is certain first, then what has the smallest way."""
    found = [
        cause
        for mechanism in ran.composition.mechanisms
        for cause in mechanism.denied(ran.composition.settings[mechanism.name], ran.context, call)
    ]
    yield from sorted(
        found, key=lambda cause: (not cause.certain, min((way.size for way in cause.ways), default=Size.WIDER))
    )


def _complaint(call: SystemCall) -> int:
    """How much of a failure a process wrote: what strerror(3) says of it, as a container's language is C, in whichever
    letters, and the name of what it is about. Of a denial many say in words of their own that they may not (umount(8)), and
    some of any that permission is denied (mount(8), sysctl(8)), which counts where they name it."""
    about, output = files.base(call.path) or call.address.rpartition(" ")[2], call.output.lower()
    named = bool(about) and re.search(rf"(?<!\w){re.escape(about)}(?!\w)", call.output) is not None
    if call.message and call.message.lower() in output:
        return 2 if named else 1
    if call.error in DENIALS and _OF_RIGHTS.search(output):
        return 1 + named
    if call.error in (*DENIALS, errno.EROFS) and named and os.strerror(errno.EACCES).lower() in output:
        return 2
    # In words of their own some name what they could not have; a traceback names files that were read.
    return int(bool(call.access) and len(call.path) > 1 and call.path in call.output and call.error not in MISSING)


def _suspicion(item: FailedCall) -> tuple[object, ...]:
    certain = any(cause.certain for cause in item.causes)
    return not item.call.signal, not item.failed, -item.complaint, not certain, -item.call.order
