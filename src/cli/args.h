/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The arguments of a word: getopt_long with messages of our own, and weir's options from the
 * environment and `--set`. What is shown of bad arguments is never their value: it may be a
 * connection string.
 */
#ifndef CLI_ARGS_H
#define CLI_ARGS_H

#include <getopt.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/weir.h>

#include "cli/word.h"

/* One option given on the command line, to be set after the environment was read. */
struct cli_setting_arg {
	char name[64];
	const char *value; /* inside argv */
};

struct cli_args {
	const struct cli_word *word;
	struct option *longs; /* getopt's form of the word's options */
	int argc;
	char **argv;
	const char *url; /* the first operand; NULL: the environment */
	/* what stands without dashes, inside argv, once all options are read */
	char *const *operands;
	int n_operands;
	struct cli_setting_arg *settings;
	size_t n_settings;
};

/* What cli_args_next returns beside the ids of the word's own options, which are above 255. */
enum cli_arg { CLI_ARG_END = -1, CLI_ARG_HELP = 'h', CLI_ARG_BAD = '?' };

void cli_args_init(struct cli_args *args, const struct cli_word *word, int argc, char **argv);
void cli_args_fini(struct cli_args *args);

/*
 * The id of the next of the word's own options (its value is in optarg); CLI_ARG_END after the
 * last, with args->operands and args->url set from what stands without dashes, before, between or
 * behind the options; CLI_ARG_HELP after the help was printed; CLI_ARG_BAD after a message.
 */
int cli_args_next(struct cli_args *args);

/* The exit status where that was the end of it: OK after the help, USAGE after a message. */
int cli_args_status(int got);

/* Keeps an option of weir's for cli_args_options. Both texts outlive args. */
void cli_args_set(struct cli_args *args, const char *name, const char *value);

/*
 * Reads optarg, a whole number from min to max, for the option called name. false: a message was
 * printed.
 */
bool cli_args_int(const struct cli_args *args, const char *name, int64_t min, int64_t max,
                  int64_t *value);

/* The same for a number that may have a fraction. */
bool cli_args_real(const struct cli_args *args, const char *name, double min, double max,
                   double *value);

/* The same for seconds, which may have a fraction, as nanoseconds. */
bool cli_args_seconds(const struct cli_args *args, const char *name, double min_s, double max_s,
                      int64_t *ns);

/*
 * Has the handler called for each of these signals, but for those that our parent has us ignore. A
 * reader of our output that goes away is told by the output, not by a signal.
 */
void cli_hear_signals(const int numbers[], size_t n, void (*handler)(int));

/* Sets *options from the environment, then from what was given. false: a message was printed. */
bool cli_args_options(const struct cli_args *args, weir_options *options);

/* Prints "weir WORD: ..." and where to find help; returns CLI_EXIT_USAGE. */
int cli_usage(const struct cli_word *word, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/*
 * Prints what a call of weir's said; returns CLI_EXIT_USAGE for INVALID, CLI_EXIT_SYSTEM for want
 * of memory and such.
 */
int cli_refused(const struct cli_word *word, const weir_error *error);

#endif
