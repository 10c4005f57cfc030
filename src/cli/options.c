/* SPDX-License-Identifier: BSD-2-Clause */
/* `weir options`: shows the table of options, for people, programs and the documentation. */
#include <inttypes.h>
#include <stdio.h>

#include <weir/weir.h>

#include "cli/args.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/text.h"

enum { OPT_JSON = 256, OPT_MARKDOWN };

static const char about[] =
	"Shows every option: name, unit, default, what is allowed, environment name, meaning.\n"
	"\n"
	"An option may stand in the environment (WEIR_POOL_MAX=20), on the command line "
	"(--set pool_max=20) or in the URL (postgresql://app@h1/shop?pool_max=20). The last of "
	"these wins.";

static const struct cli_option flags[] = {
	{"json", OPT_JSON, NULL, "as one document", NULL},
	{"markdown", OPT_MARKDOWN, NULL, "as docs/options.md", NULL},
	{.name = NULL},
};

static const struct cli_ending endings[] = {
	{CLI_EXIT_OK, "the table was shown"},
	{CLI_EXIT_USAGE, "wrong usage"},
	{CLI_EXIT_OUTPUT, "the output could not be written"},
	{0, NULL},
};

const char *cli_allowed(const weir_option_row *row, char *text, size_t room)
{
	switch (row->type) {
	case WEIR_OPTION_IS_INT:
		if (row->max == INT64_MAX)
			snprintf(text, room, "%" PRId64 " or more", row->min);
		else
			snprintf(text, room, "%" PRId64 " to %" PRId64, row->min, row->max);
		break;
	case WEIR_OPTION_IS_CHOICE:
		snprintf(text, room, "%s", row->choices);
		break;
	case WEIR_OPTION_IS_TEXT:
		snprintf(text, room, "text, %zu bytes", row->room - 1);
		break;
	}
	return text;
}

static void print_text(void)
{
	struct cli_table *table = cli_table_create("lrllll");
	const weir_option_row *row;
	char text[160];

	cli_head(table, "option|default|unit|allowed|environment|meaning");
	for (size_t i = 0; (row = weir_option_at(i)); i++) {
		cli_cell(table, CLI_GOOD, "%s", row->name);
		cli_cell(table, CLI_PLAIN, "%s", *row->default_ ? row->default_ : "-");
		cli_cell(table, CLI_PLAIN, "%s", row->unit);
		cli_cell(table, CLI_PLAIN, "%s", cli_allowed(row, text, sizeof(text)));
		cli_cell(table, CLI_FAINT, "%s", row->env);
		cli_cell(table, CLI_PLAIN, "%s", row->help);
	}
	cli_table_print(table, stdout);
	cli_table_destroy(table);
}

static void print_escaped(const char *text)
{
	for (; *text; text++) {
		if (*text == '|' || *text == '<')
			putchar('\\');
		putchar(*text);
	}
}

static const char markdown_head[] =
	"<!-- Written by `weir options --markdown`: change include/weir/options.def instead. -->\n"
	"# Options\n"
	"\n"
	"Every option of a pool and a router. It may stand in a `weir_options`, set by hand\n"
	"(`weir_options_set(&options, \"pool_max\", \"20\", &error)`) or from the environment\n"
	"(`WEIR_POOL_MAX=20`, by `weir_options_from_env`), and in the connection string, which wins\n"
	"(`postgresql://app@h1/shop?pool_max=20`). Durations are in milliseconds and may carry a unit\n"
	"(`250ms`, `30s`, `5min`, `1h`); 0 switches off where it is allowed.\n"
	"\n"
	"| option | default | unit | allowed | environment | meaning |\n"
	"| --- | --- | --- | --- | --- | --- |\n";

static void print_markdown(void)
{
	const weir_option_row *row;
	char text[160];

	fputs(markdown_head, stdout);
	for (size_t i = 0; (row = weir_option_at(i)); i++) {
		printf("| `%s` | ", row->name);
		if (*row->default_)
			printf("`%s`", row->default_);
		printf(" | %s | %s | `%s` | ", row->unit, cli_allowed(row, text, sizeof(text)),
		       row->env);
		print_escaped(row->help);
		puts(" |");
	}
}

static json_t *row_document(const weir_option_row *row)
{
	static const char *const types[] = {
		[WEIR_OPTION_IS_INT] = "integer",
		[WEIR_OPTION_IS_CHOICE] = "choice",
		[WEIR_OPTION_IS_TEXT] = "text",
	};
	json_t *o = cli_json_object();

	cli_json_put(o, "name", cli_json_text(row->name));
	cli_json_put(o, "type", cli_json_text(types[row->type]));
	cli_json_put(o, "unit", cli_json_text(row->unit));
	cli_json_put(o, "default", cli_json_text(row->default_));
	if (row->type == WEIR_OPTION_IS_INT) {
		cli_json_put(o, "min", cli_json_int(row->min));
		cli_json_put(o, "max", cli_json_int(row->max));
	}
	if (row->type == WEIR_OPTION_IS_CHOICE)
		cli_json_put(o, "choices", cli_json_text(row->choices));
	if (row->type == WEIR_OPTION_IS_TEXT)
		cli_json_put(o, "max_bytes", cli_json_int((int64_t)row->room - 1));
	cli_json_put(o, "environment", cli_json_text(row->env));
	cli_json_put(o, "help", cli_json_text(row->help));
	return o;
}

static void print_json(void)
{
	json_t *document = cli_json_object();
	json_t *rows = cli_json_array();
	const weir_option_row *row;

	for (size_t i = 0; (row = weir_option_at(i)); i++)
		cli_json_add(rows, row_document(row));
	cli_json_put(document, "weir", cli_json_text(weir_version()));
	cli_json_put(document, "options", rows);
	cli_json_print(document);
}

static int run(const struct cli_word *word, int argc, char **argv)
{
	struct cli_args args;
	bool json = false, markdown = false;
	int got;

	cli_args_init(&args, word, argc, argv);
	while ((got = cli_args_next(&args)) != CLI_ARG_END) {
		if (got == CLI_ARG_HELP)
			return CLI_EXIT_OK;
		if (got == CLI_ARG_BAD)
			return CLI_EXIT_USAGE;
		json |= got == OPT_JSON;
		markdown |= got == OPT_MARKDOWN;
	}
	if (json && markdown)
		return cli_usage(word, "--json or --markdown, not both");
	if (json)
		print_json();
	else if (markdown)
		print_markdown();
	else
		print_text();
	return CLI_EXIT_OK;
}

const struct cli_word cli_word_options = {
	.name = "options",
	.brief = "show the table of options",
	.operands = "",
	.max_operands = 0,
	.about = about,
	.options = flags,
	.endings = endings,
	.run = run,
};
