/* SPDX-License-Identifier: BSD-2-Clause */
/* The help of the command and of its words, from their tables. */
#include <string.h>

#include "cli/text.h"
#include "cli/word.h"

#define WIDTH 90

const char cli_about_url[] =
	"URL names all hosts of the cluster: postgresql://app@h1,h2:5433,h3/shop. Without it the "
	"environment is asked: DATABASE_URL, then PGHOST and its kin.";

#define AS_ROW(name) &cli_word_##name,
const struct cli_word *const cli_words[] = {CLI_WORDS(AS_ROW) NULL};
#undef AS_ROW

const struct cli_word *cli_word_find(const char *name)
{
	for (size_t i = 0; cli_words[i]; i++)
		if (!strcmp(cli_words[i]->name, name))
			return cli_words[i];
	return NULL;
}

/* "--timeout-ms N", and how many columns that is. */
static int show_option(char text[CLI_FLAG], const struct cli_option *option)
{
	return snprintf(text, CLI_FLAG, "--%s%s%s", option->name, option->value ? " " : "",
	                option->value ? option->value : "");
}

static size_t widest(const struct cli_option *options)
{
	size_t width = strlen("--help");
	char text[CLI_FLAG];

	for (; options->name; options++) {
		size_t n = (size_t)show_option(text, options);

		width = n > width ? n : width;
	}
	return width;
}

static void print_option(FILE *out, size_t width, const struct cli_option *option)
{
	char text[CLI_FLAG];

	show_option(text, option);
	fprintf(out, "  %-*s  ", (int)width, text);
	cli_fold(out, option->help, width + 4, WIDTH);
}

static void print_options(FILE *out, const struct cli_word *word)
{
	static const struct cli_option help = {.name = "help", .help = "this"};
	size_t width = widest(word->options);

	for (const struct cli_option *o = word->options; o->name; o++)
		print_option(out, width, o);
	print_option(out, width, &help);
}

static void print_endings(FILE *out, const struct cli_ending *endings)
{
	fputs("\nExit status:\n", out);
	for (; endings->means; endings++) {
		fprintf(out, "  %-3d  ", endings->status);
		cli_fold(out, endings->means, 7, WIDTH);
	}
}

void cli_help_word(FILE *out, const struct cli_word *word)
{
	const char *about = word->about;

	fprintf(out, "weir %s%s%s [OPTION]...\n\n", word->name, *word->operands ? " " : "",
	        word->operands);
	while (*about) {
		size_t len = cli_paragraph(about);

		cli_fold_part(out, about, len, 0, WIDTH);
		putc('\n', out);
		about += len + strspn(about + len, "\n");
	}
	print_options(out, word);
	print_endings(out, word->endings);
}

void cli_help_command(FILE *out)
{
	fputs("weir: a lock-free pool of PostgreSQL connections that splits reads from writes\n"
	      "\n"
	      "  weir WORD [OPTION]...\n"
	      "\n",
	      out);
	for (size_t i = 0; cli_words[i]; i++)
		fprintf(out, "  %-10s  %s\n", cli_words[i]->name, cli_words[i]->brief);
	fputs("  help        more about a word: weir help WORD\n"
	      "  --version   the version of the program and of libpq\n"
	      "\n",
	      out);
	cli_fold(out, cli_about_url, 0, WIDTH);
}
