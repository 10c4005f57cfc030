/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the words share that go on until they are ended (watch, top): waking and signals, a picture
 * that is drawn anew on the terminal's second screen, and keys. Main thread, where nothing else is
 * said.
 */
#ifndef CLI_LIVE_H
#define CLI_LIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Before all others. false: the system has no descriptors. */
bool cli_live_init(void);

/* From here on a signal ends, one that changes the terminal's size wakes. */
void cli_live_hear_signals(void);

/* Whether a signal, or the key q, has ended it. */
bool cli_live_is_ended(void);

/* Ends cli_live_sleep. Any thread, and in a signal handler. */
void cli_live_wake(void);

/* Until something wakes us, a key is pressed, or until_ns. */
void cli_live_sleep(int64_t until_ns);

/* Whether standard output is a terminal that can be drawn on. */
bool cli_screen_is_there(void);

/* Begins to draw; what was on the terminal comes back at the end. keys: q ends it. */
void cli_screen_begin(bool keys);
void cli_screen_end(void);

/* An empty screen, to print on from the top; how many lines it has. */
size_t cli_screen_clear(void);

#endif
