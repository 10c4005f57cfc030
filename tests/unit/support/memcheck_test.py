# SPDX-License-Identifier: BSD-2-Clause
"""The launcher of the valgrind stage complains of what it is there for, and of nothing else."""
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

MEMCHECK = pathlib.Path(os.environ["TEST_SOURCE_DIR"]) / "tests/support/memcheck.py"

PROGRAM = r"""
#include <fcntl.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	volatile char *memory = malloc(16);
	char how = argc > 1 ? argv[1][0] : 'n';
	int status = 0;

	if (how == 'm')
		memory[16] = 1;
	if (how == 'd' && open("/dev/null", O_RDONLY) < 0)
		return 2;
	if (how == 'l')
		memory = NULL;
	if (how == 'c' && fork() == 0) {
		memory = NULL;
		_exit(open("/dev/null", O_RDONLY) < 0);
	}
	if (how == 'b' && fork() == 0) {
		memory[16] = 1;
		_exit(0);
	}
	wait(&status);
	free((void *)memory);
	return how == 's' ? 77 : WEXITSTATUS(status);
}
"""

CASES = [("nothing", "n", 0), ("misuse", "m", 99), ("a descriptor left", "d", 98), ("memory lost", "l", 97),
         ("a child that keeps what it has", "c", 0), ("misuse by a child", "b", 99), ("a test that is skipped", "s", 77)]


def main():
    if not shutil.which("valgrind") or not shutil.which("cc"):
        print("skipped: valgrind or cc is missing")
        return 77
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        source, program = pathlib.Path(folder) / "a.c", pathlib.Path(folder) / "a"
        source.write_text(PROGRAM)
        subprocess.run(["cc", "-g", "-O0", "-w", "-o", program, source], check=True)
        for what, how, wanted in CASES:
            done = subprocess.run([sys.executable, "-B", MEMCHECK, program, how], capture_output=True, text=True)
            said_enough = bool(done.stderr) == (wanted in (97, 98, 99))
            if done.returncode != wanted or not said_enough:
                print(f"{what}: {done.returncode}, not {wanted}; it says:\n{done.stderr}")
                bad += 1
    print(f"{len(CASES) - bad} of {len(CASES)} cases are judged rightly")
    return bool(bad)


if __name__ == "__main__":
    sys.exit(main())
