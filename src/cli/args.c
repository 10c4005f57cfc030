/* SPDX-License-Identifier: BSD-2-Clause */
/* The arguments of a word: getopt_long with messages of our own, and weir's options. */
#include "cli/args.h"

#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/text.h"

int cli_usage(const struct cli_word *word, const char *format, ...)
{
	va_list args;

	fprintf(stderr, "weir %s: ", word->name);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fprintf(stderr, "\nTry: weir help %s\n", word->name);
	return CLI_EXIT_USAGE;
}

int cli_refused(const struct cli_word *word, const weir_error *error)
{
	const char *text = *error->text ? error->text : weir_status_text(error->status);

	if (error->status == WEIR_INVALID)
		return cli_usage(word, "%s", text);
	fprintf(stderr, "weir %s: %s: %s\n", word->name, weir_status_name(error->status), text);
	return CLI_EXIT_SYSTEM;
}

static struct option *longs_of(const struct cli_option *options)
{
	size_t n = 0;
	struct option *longs;

	while (options[n].name)
		n++;
	longs = cli_alloc(n + 2, sizeof(*longs));
	for (size_t i = 0; i < n; i++) {
		longs[i].name = options[i].name;
		longs[i].has_arg = options[i].value ? required_argument : no_argument;
		longs[i].val = options[i].id;
	}
	longs[n].name = "help";
	longs[n].val = CLI_ARG_HELP;
	return longs;
}

void cli_args_init(struct cli_args *args, const struct cli_word *word, int argc, char **argv)
{
	*args = (struct cli_args){
		.word = word, .longs = longs_of(word->options), .argc = argc, .argv = argv};
	optind = 0; /* 0, not 1, makes glibc forget an earlier scan */
	opterr = 0;
}

void cli_args_fini(struct cli_args *args)
{
	free(args->settings);
	free(args->longs);
}

static const char *nearest_option(const struct option *longs, const char *name)
{
	const char *names[64];
	size_t n = 0;

	for (; n < 63 && longs[n].name; n++)
		names[n] = longs[n].name;
	names[n] = NULL;
	return cli_nearest(name, names);
}

/* Says what is wrong with the argument that getopt_long just refused. */
static void complain(const struct cli_args *args)
{
	const char *given = args->argv[optind - 1];
	char name[64];
	const char *near;
	size_t len;

	if (strncmp(given, "--", 2) != 0) {
		cli_usage(args->word, "unknown option -%c", optopt);
		return;
	}
	given += 2;
	len = strcspn(given, "=");
	cli_copy(name, len + 1 < sizeof(name) ? len + 1 : sizeof(name), given);
	near = nearest_option(args->longs, name);
	if (near && !strcmp(near, name))
		cli_usage(args->word, "--%s takes no value", name);
	else if (near)
		cli_usage(args->word, "unknown option --%s; did you mean --%s?", name, near);
	else
		cli_usage(args->word, "unknown option --%s", name);
}

static bool is_url(const struct cli_word *word)
{
	return !strcmp(word->operands, "[URL]");
}

static void complain_of_many(const struct cli_word *word, int given)
{
	if (!word->max_operands)
		cli_usage(word, "takes nothing but options");
	else if (is_url(word))
		cli_usage(word, "one connection string at most, and %d were given", given);
	else
		cli_usage(word, "takes %s, and %d were given", word->operands, given);
}

static int take_operands(struct cli_args *args)
{
	args->n_operands = args->argc - optind;
	args->operands = args->argv + optind;
	if (args->n_operands > args->word->max_operands) {
		complain_of_many(args->word, args->n_operands);
		return CLI_ARG_BAD;
	}
	if (args->n_operands && !*args->operands[0]) {
		cli_usage(args->word, "%s",
		          is_url(args->word) ? "the connection string is empty (leave it out to "
		                               "use the environment)"
		                             : "an empty argument says nothing");
		return CLI_ARG_BAD;
	}
	args->url = args->n_operands ? args->operands[0] : NULL;
	return CLI_ARG_END;
}

/* --set name=value */
static bool take_set(struct cli_args *args, const char *text)
{
	size_t len = strcspn(text, "=");
	char name[64];

	if (!len || !text[len] || len >= sizeof(name)) {
		cli_usage(args->word, "--set takes NAME=VALUE");
		return false;
	}
	cli_copy(name, len + 1, text);
	cli_args_set(args, name, text + len + 1);
	return true;
}

int cli_args_next(struct cli_args *args)
{
	for (;;) {
		int got = getopt_long(args->argc, args->argv, ":h", args->longs, NULL);

		switch (got) {
		case -1:
			return take_operands(args);
		case CLI_ARG_HELP:
			cli_help_word(stdout, args->word);
			return CLI_ARG_HELP;
		case ':':
			cli_usage(args->word, "%s needs a value", args->argv[optind - 1]);
			return CLI_ARG_BAD;
		case '?':
			complain(args);
			return CLI_ARG_BAD;
		case 's':
			if (!take_set(args, optarg))
				return CLI_ARG_BAD;
			break;
		default:
			return got;
		}
	}
}

int cli_args_status(int got)
{
	return got == CLI_ARG_HELP ? CLI_EXIT_OK : CLI_EXIT_USAGE;
}

void cli_args_set(struct cli_args *args, const char *name, const char *value)
{
	struct cli_setting_arg *s;

	args->settings = cli_grow(args->settings, args->n_settings + 1, sizeof(*args->settings));
	s = &args->settings[args->n_settings++];
	cli_copy(s->name, sizeof(s->name), name);
	s->value = value;
}

bool cli_args_int(const struct cli_args *args, const char *name, int64_t min, int64_t max,
                  int64_t *value)
{
	if (cli_parse_int(optarg, value) && *value >= min && *value <= max)
		return true;
	cli_usage(args->word, "--%s takes a whole number from %" PRId64 " to %" PRId64, name, min,
	          max);
	return false;
}

bool cli_args_real(const struct cli_args *args, const char *name, double min, double max,
                   double *value)
{
	if (cli_parse_real(optarg, value) && *value >= min && *value <= max)
		return true;
	cli_usage(args->word, "--%s takes a number from %g to %g", name, min, max);
	return false;
}

bool cli_args_seconds(const struct cli_args *args, const char *name, double min_s, double max_s,
                      int64_t *ns)
{
	if (cli_parse_seconds(optarg, ns) && (double)*ns >= min_s * 1e9 &&
	    (double)*ns <= max_s * 1e9)
		return true;
	cli_usage(args->word, "--%s takes seconds from %g to %g", name, min_s, max_s);
	return false;
}

void cli_hear_signals(const int numbers[], size_t n, void (*handler)(int))
{
	signal(SIGPIPE, SIG_IGN);
	for (size_t i = 0; i < n; i++) {
		struct sigaction old, action = {.sa_handler = handler};

		if (!sigaction(numbers[i], NULL, &old) && old.sa_handler != SIG_IGN)
			sigaction(numbers[i], &action, NULL);
	}
}

bool cli_args_options(const struct cli_args *args, weir_options *options)
{
	weir_error error = {.status = WEIR_OK};

	if (weir_options_from_env(options, &error) != WEIR_OK) {
		cli_refused(args->word, &error);
		return false;
	}
	if (*error.text)
		fprintf(stderr, "weir %s: %s\n", args->word->name, error.text);
	for (size_t i = 0; i < args->n_settings; i++) {
		const struct cli_setting_arg *s = &args->settings[i];

		if (weir_options_set(options, s->name, s->value, &error) != WEIR_OK) {
			cli_refused(args->word, &error);
			return false;
		}
	}
	return true;
}
