/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A word of the command (`weir check`): what it is called, what its help says, what it does.
 *
 * Names that several files of this room share begin with cli_: this is a program beside the
 * library, not a part of it.
 */
#ifndef CLI_WORD_H
#define CLI_WORD_H

/* What the process ends with. The numbers from 64 on are those of sysexits.h. */
enum cli_exit {
	CLI_EXIT_OK = 0,
	CLI_EXIT_DEGRADED = 1,
	CLI_EXIT_DOWN = 2,
	CLI_EXIT_USAGE = 64,
	CLI_EXIT_SYSTEM = 71,
	CLI_EXIT_OUTPUT = 74,
	CLI_EXIT_SIGNAL = 128, /* and the signal's number */
};

struct cli_word {
	const char *name;
	const char *brief; /* for the list of words */
	const char *help;  /* the whole text, with a newline at the end */
	int (*run)(const struct cli_word *word, int argc, char **argv); /* argv[0] is the word */
};

extern const struct cli_word cli_word_check;
extern const struct cli_word cli_word_options;
extern const struct cli_word cli_word_bench;
extern const struct cli_word cli_word_watch;

#endif
