/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * `weir man`: the pages of the manual, in mdoc(7), written from the tables from which the help and
 * the options come, so that they cannot disagree.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <weir/weir.h>

#include "cli/args.h"
#include "cli/man.h"
#include "cli/text.h"

enum { OPT_INTO = 256, OPT_LIST };

static const char about[] =
	"Writes a page of the manual, in the form that man reads. Without a page: weir. The others "
	"are weir-WORD for each word (its name alone will do), weir_options and libweir.\n"
	"\n"
	"  weir man bench | man -l -";

static const struct cli_option flags[] = {
	{"list", OPT_LIST, NULL, "the names of all pages, with their sections", NULL},
	{"into", OPT_INTO, "DIR", "writes all pages below this directory, as man1/weir.1 and so on",
         "FILE"},
	{.name = NULL},
};

static const struct cli_ending endings[] = {
	{CLI_EXIT_OK, "it was written"},
	{CLI_EXIT_USAGE, "wrong usage, or no such page"},
	{CLI_EXIT_OUTPUT, "the output could not be written"},
	{0, NULL},
};

/* ---- which pages there are ---- */

#define NAME_ROOM 32

/* The i-th page: its name and section. false: there are not so many. */
static bool page_at(size_t i, char name[NAME_ROOM], int *section)
{
	size_t n_words = 0;

	while (cli_words[n_words])
		n_words++;
	*section = i <= n_words ? 1 : i == n_words + 1 ? 5 : 7;
	if (i == 0)
		snprintf(name, NAME_ROOM, "weir");
	else if (i <= n_words)
		snprintf(name, NAME_ROOM, "weir-%s", cli_words[i - 1]->name);
	else
		snprintf(name, NAME_ROOM, i == n_words + 1 ? "weir_options" : "libweir");
	return i <= n_words + 2;
}

static void write_page(FILE *out, const char *name)
{
	if (!strcmp(name, "weir"))
		cli_man_command(out);
	else if (!strcmp(name, "weir_options"))
		cli_man_options(out);
	else if (!strcmp(name, "libweir"))
		cli_man_library(out);
	else
		cli_man_word(out, cli_word_find(name + strlen("weir-")));
}

/* "bench" is weir-bench. false: there is no such page. */
static bool find_page(const char *asked, char name[NAME_ROOM])
{
	int section;

	for (size_t i = 0; page_at(i, name, &section); i++)
		if (!strcmp(name, asked) ||
		    (!strncmp(name, "weir-", 5) && !strcmp(name + 5, asked)))
			return true;
	return false;
}

/* ---- what is asked ---- */

static void list(void)
{
	char name[NAME_ROOM];
	int section;

	for (size_t i = 0; page_at(i, name, &section); i++)
		printf("%s.%d\n", name, section);
}

static bool make_place(const char *path)
{
	return !mkdir(path, 0777) || errno == EEXIST;
}

static bool write_file(const char *dir, const char *name, int section)
{
	char path[4096];
	FILE *out;
	bool bad;

	snprintf(path, sizeof(path), "%s/man%d", dir, section);
	if (!make_place(path))
		return false;
	snprintf(path, sizeof(path), "%s/man%d/%s.%d", dir, section, name, section);
	out = fopen(path, "we");
	if (!out)
		return false;
	write_page(out, name);
	bad = ferror(out);
	bad |= fclose(out) != 0;
	return !bad;
}

static int write_all(const struct cli_word *word, const char *dir)
{
	char name[NAME_ROOM];
	int section;
	bool ok = strlen(dir) < 3000 && make_place(dir);

	for (size_t i = 0; ok && page_at(i, name, &section); i++)
		ok = write_file(dir, name, section);
	if (ok)
		return CLI_EXIT_OK;
	fprintf(stderr, "weir %s: %s: %s\n", word->name, dir, strerror(errno));
	return CLI_EXIT_OUTPUT;
}

static int write_one(const struct cli_word *word, const char *asked)
{
	char name[NAME_ROOM];

	if (!find_page(asked, name))
		return cli_usage(word, "no such page; weir man --list has them all");
	write_page(stdout, name);
	return CLI_EXIT_OK;
}

static int run(const struct cli_word *word, int argc, char **argv)
{
	const char *into = NULL;
	bool all = false;
	struct cli_args args;
	int got, result = CLI_EXIT_OK;

	cli_args_init(&args, word, argc, argv);
	while ((got = cli_args_next(&args)) == OPT_INTO || got == OPT_LIST) {
		into = got == OPT_INTO ? optarg : into;
		all |= got == OPT_LIST;
	}
	if (got == CLI_ARG_BAD)
		result = CLI_EXIT_USAGE;
	else if (got == CLI_ARG_END && all)
		list();
	else if (got == CLI_ARG_END && into)
		result = write_all(word, into);
	else if (got == CLI_ARG_END)
		result = write_one(word, args.n_operands ? args.operands[0] : "weir");
	cli_args_fini(&args);
	return result;
}

const struct cli_word cli_word_man = {
	.name = "man",
	.brief = "a page of the manual, for man -l",
	.operands = "[PAGE]",
	.among = "weir weir_options libweir " /* and the words, which have a page each */
#define AS_TEXT(name) "weir-" #name " "
	CLI_WORDS(AS_TEXT),
#undef AS_TEXT
	.max_operands = 1,
	.about = about,
	.options = flags,
	.endings = endings,
	.run = run,
};
