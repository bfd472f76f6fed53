# The two commands of the README are `make demo` and `make test`; each does its own set-up.
.POSIX:
.PHONY: demo test check format clean

# Arguments for pytest: make test T="tests/laws -k seccomp"
T =

demo:
	@tools/demo

test:
	@venv=$$(tools/setup test) && exec "$$venv/bin/python" -m pytest $(T)

check:
	@venv=$$(tools/setup check) && exec tools/check "$$venv"

format:
	@venv=$$(tools/setup check) && "$$venv/bin/ruff" format . && "$$venv/bin/ruff" check --fix .

clean:
	rm -rf .venv .venv-* build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
