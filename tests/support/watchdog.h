/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * An end for a test that hangs: words on stderr and an abort (so that a debugger or a core shows
 * where), before the runner's own limit takes the process away without a word.
 */
#ifndef WEIR_TEST_WATCHDOG_H
#define WEIR_TEST_WATCHDOG_H

/*
 * Arms the watchdog, or sets a new time; 0 disarms it. `what` is a static string that says what is
 * being waited for. TEST_PATIENCE multiplies the seconds. Not inherited by children. Uses a timer
 * of the monotonic clock and the last but one real-time signal, so a test may use alarm and
 * setitimer as it likes. Main thread only.
 */
void test_watchdog(int seconds, const char *what);

#endif
