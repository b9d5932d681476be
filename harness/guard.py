"""The last line of defence: however the program ends, its exit code tells the truth.

Exit code 1 means an anomaly and nothing else. Python and CLI libraries use it for any failure, so nothing of theirs may
get through: every exception is mapped here, and a broken pipe does not change what was found out.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable

import click

from harness.exit_codes import ExitCode, QuorumquakeError


def run_guarded(program: Callable[[], ExitCode]) -> int:
    """Run ``program``; return its exit code, or the one that its exception means, after one clear sentence."""
    code = _run(program)
    return int(_flushed(code))


def _run(program: Callable[[], ExitCode]) -> ExitCode:  # noqa: PLR0911 (a table of exceptions)
    try:
        return program()
    except QuorumquakeError as error:
        return _say(str(error), error.code)
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message(), file=sys.stderr)  # noqa: T201
        return ExitCode.USAGE
    except click.ClickException as error:
        return _say(error.format_message(), ExitCode.USAGE)
    except (KeyboardInterrupt, click.Abort):
        return _say("interrupted", ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # Whoever read our output left before a verdict could be told: it must look like nothing else.
        return ExitCode.INTERNAL
    except MemoryError:
        return _say("out of memory", ExitCode.ENVIRONMENT)
    except OSError as error:
        name = f" {error.filename!r}" if error.filename else ""
        return _say(f"the system refused:{name} {error.strerror or error}", ExitCode.ENVIRONMENT)
    except SystemExit as error:
        return ExitCode.VALID if error.code in (0, None) else ExitCode.INTERNAL
    except BaseException:  # noqa: BLE001 (whatever it is, it must not come out as 1)
        _say("internal error; please report it with what follows", ExitCode.INTERNAL)
        traceback.print_exc()
        return ExitCode.INTERNAL


def _say(sentence: str, code: ExitCode) -> ExitCode:
    with contextlib.suppress(OSError):
        print(f"quorumquake: {sentence}", file=sys.stderr, flush=True)  # noqa: T201 (the program's own voice)
    return code


def _flushed(code: ExitCode) -> ExitCode:
    """Flush now, since a failure while the interpreter ends would change the exit code (to 120)."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    return code
