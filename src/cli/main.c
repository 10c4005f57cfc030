/* SPDX-License-Identifier: BSD-2-Clause */
/* The command `weir`: finds the word and runs it. */
#include <stdio.h>
#include <string.h>

#include <libpq-fe.h>
#include <weir/weir.h>

#include "cli/text.h"
#include "cli/word.h"

static void print_version(void)
{
	int pq = PQlibVersion();

	printf("weir %s (libpq %d.%d)\n", weir_version(), pq / 10000, pq % 10000);
}

/* Nothing is shown that could be a connection string: it may hold a password. */
static int unknown_word(const char *name)
{
	const char *names[64];
	const char *near;
	size_t n = 0;

	if (cli_looks_secret(name)) {
		fputs("weir: a word comes before the connection string: weir check URL\n", stderr);
		return CLI_EXIT_USAGE;
	}
	for (; n < 62 && cli_words[n]; n++)
		names[n] = cli_words[n]->name;
	names[n++] = "help";
	names[n] = NULL;
	near = cli_nearest(name, names);
	fprintf(stderr, "weir: unknown %s %s", *name == '-' ? "option" : "word", name);
	if (near)
		fprintf(stderr, "; did you mean %s?", near);
	fputs("\nTry: weir help\n", stderr);
	return CLI_EXIT_USAGE;
}

static int help(int argc, char **argv)
{
	const struct cli_word *word;

	if (argc > 2) {
		fputs("weir help: one word at most\n", stderr);
		return CLI_EXIT_USAGE;
	}
	if (argc < 2 || !strcmp(argv[1], "help")) {
		cli_help_command(stdout);
		return CLI_EXIT_OK;
	}
	word = cli_word_find(argv[1]);
	if (!word)
		return unknown_word(argv[1]);
	cli_help_word(stdout, word);
	return CLI_EXIT_OK;
}

static int run(int argc, char **argv)
{
	const struct cli_word *word;

	if (argc < 2) {
		cli_help_command(stderr);
		return CLI_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return help(argc - 1, argv + 1);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		print_version();
		return CLI_EXIT_OK;
	}
	word = cli_word_find(argv[1]);
	return word ? word->run(word, argc - 1, argv + 1) : unknown_word(argv[1]);
}

int main(int argc, char **argv)
{
	int result = run(argc, argv);

	if (fflush(stdout) || ferror(stdout)) {
		fputs("weir: standard output could not be written\n", stderr);
		if (result == CLI_EXIT_OK)
			result = CLI_EXIT_OUTPUT;
	}
	return result;
}
