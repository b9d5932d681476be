"""The probe programs: built where there is a compiler, and spoken to by lines."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
BUILD = {
    "go": ["go", "build", "-trimpath", "-buildvcs=false", "-o", "{}", "."],
    "c": ["cc", "-O2", "-Wall", "-Werror", "-pthread", "-o", "{}", "c/probe.c"],
    "rust": ["rustc", "-O", "-o", "{}", "waits.rs"],
}
INSTALL = {"go": "golang", "c": "gcc libc6-dev", "rust": "rustc"}
ALWAYS = {"go"}  # CI has it; the others only add to what is tested


def can_build(language):
    """Whether the compiler and, of C, its headers are there."""
    if shutil.which(BUILD[language][0]) is None:
        return False
    return language != "c" or Path("/usr/include/pthread.h").exists()


def built(language, folder):
    """The path of the program in that language; skips where there is no compiler."""
    if not can_build(language):
        say = pytest.fail if os.environ.get("CI") and language in ALWAYS else pytest.skip
        say(f"a compiler is needed: apt-get install {INSTALL[language]}, and run this again")
    program = folder / f"clockprobe-{language}"
    command = [word.format(program) for word in BUILD[language]]
    environment = {**os.environ, "CGO_ENABLED": "0"}
    done = subprocess.run(command, cwd=HERE, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return program


class Program:
    """A probe that runs."""

    def __init__(self, *command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.pid = self.process.pid

    def line(self):
        return self.process.stdout.readline().rstrip("\n")

    def send(self, text):
        self.process.stdin.write(f"{text}\n")
        self.process.stdin.flush()

    def finish(self):
        """End its input; return its exit code and the rest of what it says."""
        self.process.stdin.close()
        said = self.process.stdout.read()
        return self.process.wait(), said

    def end(self):
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()
