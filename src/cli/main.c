/* SPDX-License-Identifier: BSD-2-Clause */
/* The command `weir`: finds the word and runs it. */
#include <stdio.h>
#include <string.h>

#include <libpq-fe.h>
#include <weir/weir.h>

#include "cli/text.h"
#include "cli/word.h"

static const struct cli_word *const words[] = {
	&cli_word_check,
	&cli_word_options,
	&cli_word_bench,
	&cli_word_watch,
};

#define WORDS (sizeof(words) / sizeof(words[0]))

static void print_help(FILE *out)
{
	fputs("weir: a lock-free pool of PostgreSQL connections that splits reads from writes\n"
	      "\n"
	      "  weir WORD [URL] [OPTION]...\n"
	      "\n",
	      out);
	for (size_t i = 0; i < WORDS; i++)
		fprintf(out, "  %-9s  %s\n", words[i]->name, words[i]->brief);
	fputs("  help       more about a word: weir help WORD\n"
	      "  --version  the version of the program and of libpq\n"
	      "\n"
	      "URL names all hosts of the cluster: postgresql://app@h1,h2:5433,h3/shop. Without it\n"
	      "the environment is asked: DATABASE_URL, then PGHOST and its kin.\n",
	      out);
}

static void print_version(void)
{
	int pq = PQlibVersion();

	printf("weir %s (libpq %d.%d)\n", weir_version(), pq / 10000, pq % 10000);
}

static const struct cli_word *find_word(const char *name)
{
	for (size_t i = 0; i < WORDS; i++)
		if (!strcmp(words[i]->name, name))
			return words[i];
	return NULL;
}

/* Nothing is shown that could be a connection string: it may hold a password. */
static int unknown_word(const char *name)
{
	const char *names[WORDS + 2];
	const char *near;

	if (cli_looks_secret(name)) {
		fputs("weir: a word comes before the connection string: weir check URL\n", stderr);
		return CLI_EXIT_USAGE;
	}
	for (size_t i = 0; i < WORDS; i++)
		names[i] = words[i]->name;
	names[WORDS] = "help";
	names[WORDS + 1] = NULL;
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
		print_help(stdout);
		return CLI_EXIT_OK;
	}
	word = find_word(argv[1]);
	if (!word)
		return unknown_word(argv[1]);
	fputs(word->help, stdout);
	return CLI_EXIT_OK;
}

static int run(int argc, char **argv)
{
	const struct cli_word *word;

	if (argc < 2) {
		print_help(stderr);
		return CLI_EXIT_USAGE;
	}
	if (!strcmp(argv[1], "--help") || !strcmp(argv[1], "-h") || !strcmp(argv[1], "help"))
		return help(argc - 1, argv + 1);
	if (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V")) {
		print_version();
		return CLI_EXIT_OK;
	}
	word = find_word(argv[1]);
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
