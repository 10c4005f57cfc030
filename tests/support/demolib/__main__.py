# SPDX-License-Identifier: BSD-2-Clause
"""python3 tests/support/demolib: see main.py."""
import os
import signal
import sys

signal.signal(signal.SIGINT, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, ())  # whatever the parent had blocked
sys.path[0] = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))

from demolib import main  # noqa: E402  (the path must be set first)

sys.exit(main.main(sys.argv[1:]))
