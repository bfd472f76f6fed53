# The two commands of the README are `make demo` and `make test`; each does its own set-up.
.POSIX:
.PHONY: help demo test test-all newest lowest lock escape check docs bench stress fuzz format clean

# Arguments for pytest: make test T="tests/laws -k seccomp"; T=-n0 runs the tests one after another
T =
# Tests run side by side.
PYTEST = -m pytest -n auto --dist worksteal
# Errors in `make newest`: by these categories Python and others say what they will change.
ANNOUNCED = -W error::DeprecationWarning -W error::PendingDeprecationWarning -W error::FutureWarning -W error::UserWarning
# Arguments for the bench: make bench B=--tiny
B =
# Inputs of each target of the fuzzer: make fuzz T="policy layer" N=100000
N = 10000

help: # this list
	@sed -n 's/^\([a-z-]*\): # \(.*\)/make \1	\2/p' Makefile | expand -t 16

demo: # run a command under the strict profile, and show what the kernel says of it
	@tools/demo

test: # set-up, then the tests, with a sample of every generated matrix; T="tests/laws -k seccomp" chooses
	@venv=$$(tools/setup test) && exec "$$venv/bin/python" $(PYTEST) $(T)

test-all: # the same with every row of every matrix
	@venv=$$(tools/setup test) && exec "$$venv/bin/python" $(PYTEST) --all $(T)

newest: # the tests with the newest releases of everything, where what others announce is an error
	@venv=$$(tools/setup newest) && exec "$$venv/bin/python" $(PYTEST) $(ANNOUNCED) $(T)

lowest: # the tests with the lowest releases that pyproject.toml permits, and the oldest Python
	@venv=$$(tools/setup lowest) && exec "$$venv/bin/python" $(PYTEST) $(T)

lock: # renew tools/locks, which set-up installs by, and show what changed
	@venv=$$(tools/setup check) && exec "$$venv/bin/python" tools/lock.py

escape: # attempts to escape from a container, each with its one defence off and on, as a table
	@venv=$$(tools/setup test) && exec "$$venv/bin/python" -m pytest -q tests/escape --all --escapes $(T)

check: # ruff, mypy, that rooms import rooms below them, and that the locks fit pyproject.toml
	@venv=$$(tools/setup check) && exec tools/check "$$venv"

docs: # the documentation as a site, in build/site, with its links checked
	@venv=$$(tools/setup docs) && exec "$$venv/bin/python" -m sphinx -q -n -W --keep-going -E -c tools/site -d build/doctrees . build/site

bench: # launches measured beside crun, runc, bubblewrap and podman, and verdicts beside skopeo; B=--publish also writes docs/bench
	@tools/bench $(B)

stress: # kill, starve and crowd launches at length, as root, and show what is left of them
	@venv=$$(tools/setup test) && exec tools/stress "$$venv/bin/python"

fuzz: # give readers of what others wrote N=10000 inputs that are almost right; T="policy layer" chooses
	@venv=$$(tools/setup fuzz) && exec tools/fuzz "$$venv/bin/python" -n $(N) $(T)

format: # what ruff can mend by itself
	@venv=$$(tools/setup check) && "$$venv/bin/ruff" format . && "$$venv/bin/ruff" check --fix .

clean: # away with everything that these commands made
	rm -rf .venv .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
