/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A word of the command (`weir check`): what it is called, what it takes, what it does.
 *
 * Everything a word says about itself is in its table: the arguments that are understood, its help
 * (help.c), its man page (man.c) and what a shell completes (completion.c) are made from it, so
 * they cannot disagree. A new word is a file with its struct cli_word and a name in CLI_WORDS.
 *
 * Names that several files of this room share begin with cli_: this is a program beside the
 * library, not a part of it.
 */
#ifndef CLI_WORD_H
#define CLI_WORD_H

#include <stddef.h>
#include <stdio.h>

/* The words in the order of the help. */
#define CLI_WORDS(WORD)                                                                            \
	WORD(check)                                                                                \
	WORD(watch)                                                                                \
	WORD(top)                                                                                  \
	WORD(stats)                                                                                \
	WORD(bench)                                                                                \
	WORD(size)                                                                                 \
	WORD(options)                                                                              \
	WORD(completion)                                                                           \
	WORD(man)

/* What the process ends with. The numbers from 64 on are those of sysexits.h. */
enum cli_exit {
	CLI_EXIT_OK = 0,
	CLI_EXIT_DEGRADED = 1,
	CLI_EXIT_DOWN = 2,
	CLI_EXIT_USAGE = 64,
	CLI_EXIT_DATA = 65, /* a file that was read is not what it should be */
	CLI_EXIT_NO_INPUT = 66 /* a file could not be read */,
	CLI_EXIT_UNAVAILABLE = 69, /* there is nothing to look at */
	CLI_EXIT_SYSTEM = 71,
	CLI_EXIT_OUTPUT = 74,
	CLI_EXIT_SIGNAL = 128, /* and the signal's number */
};

/* One option of a word. Every word has --help beside these. */
struct cli_option {
	const char *name;  /* without its dashes; a row without one ends the table */
	int id;            /* what cli_args_next returns for it: 256 or more */
	const char *value; /* what the help calls its value; NULL: it takes none */
	const char *help;  /* what it does, one sentence or more, without the last full stop */
	const char *among; /* for completion: words among which its value is, "FILE", or NULL */
};

/* --set, which cli_args_next sees to by itself. */
#define CLI_OPTION_SET                                                                             \
	{                                                                                          \
		.name = "set", .id = 's', .value = "NAME=VALUE",                                   \
		.help = "any option of weir's, see: weir options", .among = "OPTION"               \
	}

/* What an exit status means for this word. */
struct cli_ending {
	int status;
	const char *means; /* NULL ends the table */
};

struct cli_word {
	const char *name;
	const char *brief;    /* for the list of words: one line, no full stop */
	const char *operands; /* what may stand without dashes, as the help shows it: "[URL]"; "" */
	const char *among;    /* for completion: words among which an operand is, "FILE", or NULL */
	int max_operands;
	const char *about; /* paragraphs, with an empty line between; folded when shown */
	const struct cli_option *options;
	const struct cli_ending *endings;
	int (*run)(const struct cli_word *word, int argc, char **argv); /* argv[0] is the word */
};

#define CLI_WORD_DECLARE(name) extern const struct cli_word cli_word_##name;
CLI_WORDS(CLI_WORD_DECLARE)
#undef CLI_WORD_DECLARE

/* All words, NULL behind the last. */
extern const struct cli_word *const cli_words[];

/* The word of that name, or NULL. */
const struct cli_word *cli_word_find(const char *name);

/* The help of a word, and of the command itself. */
void cli_help_word(FILE *out, const struct cli_word *word);
void cli_help_command(FILE *out);

/* "20 to 30", "a b c": what a value of an option of weir's may be. Returns text. */
struct weir_option_row; /* of <weir/options.h> */
const char *cli_allowed(const struct weir_option_row *row, char *text, size_t room);

/* What the command itself says about a connection string, for its help and its man page. */
extern const char cli_about_url[];

#endif
