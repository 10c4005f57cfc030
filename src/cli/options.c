/* SPDX-License-Identifier: BSD-2-Clause */
/* `weir options`: shows the table of options, for people, programs and the documentation. */
#include <inttypes.h>
#include <stdio.h>

#include <weir/weir.h>

#include "cli/args.h"
#include "cli/effective.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/text.h"

enum { OPT_JSON = 256, OPT_MARKDOWN, OPT_EFFECTIVE };

static const char about[] =
	"Shows every option: name, unit, default, what is allowed, environment name, meaning.\n"
	"\n"
	"An option may stand in the environment (WEIR_POOL_MAX=20), on the command line "
	"(--set pool_max=20) or in the URL (postgresql://app@h1/shop?pool_max=20). The last of "
	"these wins.\n"
	"\n"
	"Then the names that other pools' deployments use, which are read as well: what each sets, "
	"and in which unit.";

static const struct cli_option flags[] = {
	{"effective", OPT_EFFECTIVE, NULL,
         "what the environment, a file and the URL come to, and who says so; opens nothing", NULL},
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

/* When a change while it runs comes into force. */
static const char *reload_word(const weir_option_row *row)
{
	static const char *const words[] = {
		[WEIR_RELOAD_NEVER] = "no",
		[WEIR_RELOAD_AT_ONCE] = "yes",
		[WEIR_RELOAD_NEW] = "new connections",
	};

	return words[row->reload];
}

static const char *alias_target(const weir_alias_row *row)
{
	return *row->option ? row->option : row->keyword;
}

static void print_aliases(void)
{
	struct cli_table *table = cli_table_create("llll");
	const weir_alias_row *row;

	cli_head(table, "also read|unit|sets|meaning");
	for (size_t i = 0; (row = weir_alias_at(i)); i++) {
		cli_cell(table, CLI_GOOD, "%s", row->env);
		cli_cell(table, CLI_PLAIN, "%s", *row->unit ? row->unit : "-");
		cli_cell(table, CLI_PLAIN, "%s%s", alias_target(row),
		         *row->option ? "" : " (of the connection string)");
		cli_cell(table, CLI_PLAIN, "%s", row->help);
	}
	putchar('\n');
	cli_table_print(table, stdout);
	cli_table_destroy(table);
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
	print_aliases();
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
	"A file may hold them, too: `name = value`, in sections for several pools, by\n"
	"`weir_options_from_file`, or named by `WEIR_CONFIG_FILE` (and a section of it by\n"
	"`WEIR_CONFIG_SECTION`), weaker than the environment. It may also say `host`, `port`,\n"
	"`dbname`, `user` and `password`, for where no connection string is given.\n"
	"\n"
	"*Reload* says whether an option may change while a pool or router runs, by\n"
	"`weir_pool_reload` and `weir_router_reload`: *yes*, at once; on *new connections*, which then\n"
	"replace those that are open, make before break; or *no*: a change is refused, and named.\n"
	"Texts are *no*, `reset` among them: what came back under the old one is clean by its measure\n"
	"only. Open another pool for those, and close this one.\n"
	"\n"
	"| option | default | unit | allowed | environment | reload | meaning |\n"
	"| --- | --- | --- | --- | --- | --- | --- |\n";

static const char markdown_aliases[] =
	"\n"
	"## Names of other pools\n"
	"\n"
	"Deployments that were written for other pools move as they stand: `weir_options_from_env`\n"
	"reads these names too, in their own units. Seconds may have a fraction (`0.5`); a share is 0\n"
	"to 1; yes and no are `true`, `false`, `yes`, `no`, `on`, `off`, `1` and `0` in any case. An\n"
	"empty value counts as none, as does what an orchestrator makes of a service's name\n"
	"(`DB_PORT=tcp://...`).\n"
	"\n"
	"Two names for one option, weir's own among them, may both be set if they say the same;\n"
	"otherwise opening is refused, and both are named. A `WEIR_` name that nobody knows is refused\n"
	"with the nearest one. `DB_` and `POSTGRES_` are everybody's: what is only near one of these\n"
	"names is told (in the error's text beside `OK`, and as `NAME_DOUBTED`) and left alone.\n"
	"\n"
	"| environment | unit | sets | meaning |\n"
	"| --- | --- | --- | --- |\n";

static const char markdown_parts[] =
	"\n"
	"## The connection string in parts\n"
	"\n"
	"Where a pool or router is opened without a connection string, `DATABASE_URL` is it, also with\n"
	"SQLAlchemy's schemes (`postgresql+psycopg2://`, `postgresql+asyncpg://`, `postgres://`). What\n"
	"it leaves out, or all of it, may stand in these; what both say has to be the same. libpq's\n"
	"own `PG*` variables come last.\n"
	"\n"
	"| environment | parameter | meaning |\n"
	"| --- | --- | --- |\n";

static void print_markdown_aliases(void)
{
	const weir_alias_row *row;

	fputs(markdown_aliases, stdout);
	for (size_t i = 0; (row = weir_alias_at(i)); i++)
		if (*row->option)
			printf("| `%s` | %s | `%s` | %s |\n", row->env, row->unit, row->option,
			       row->help);
	fputs(markdown_parts, stdout);
	for (size_t i = 0; (row = weir_alias_at(i)); i++)
		if (!*row->option)
			printf("| `%s` | `%s` | %s |\n", row->env, row->keyword, row->help);
}

static void print_markdown(void)
{
	const weir_option_row *row;
	char text[160];

	fputs(markdown_head, stdout);
	for (size_t i = 0; (row = weir_option_at(i)); i++) {
		printf("| `%s` | ", row->name);
		if (*row->default_)
			printf("`%s`", row->default_);
		printf(" | %s | %s | `%s` | %s | ", row->unit, cli_allowed(row, text, sizeof(text)),
		       row->env, reload_word(row));
		print_escaped(row->help);
		puts(" |");
	}
	print_markdown_aliases();
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
	cli_json_put(o, "reload", cli_json_text(reload_word(row)));
	cli_json_put(o, "help", cli_json_text(row->help));
	return o;
}

static json_t *alias_document(const weir_alias_row *row)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "environment", cli_json_text(row->env));
	cli_json_put(o, "unit", cli_json_text(row->unit));
	if (*row->option)
		cli_json_put(o, "option", cli_json_text(row->option));
	else
		cli_json_put(o, "parameter", cli_json_text(row->keyword));
	cli_json_put(o, "help", cli_json_text(row->help));
	return o;
}

static void print_json(void)
{
	json_t *document = cli_json_object();
	json_t *rows = cli_json_array(), *aliases = cli_json_array();
	const weir_option_row *row;
	const weir_alias_row *alias;

	for (size_t i = 0; (row = weir_option_at(i)); i++)
		cli_json_add(rows, row_document(row));
	cli_json_put(document, "weir", cli_json_text(weir_version()));
	for (size_t i = 0; (alias = weir_alias_at(i)); i++)
		cli_json_add(aliases, alias_document(alias));
	cli_json_put(document, "options", rows);
	cli_json_put(document, "aliases", aliases);
	cli_json_print(document);
}

struct request {
	bool json, markdown, effective;
};

static int show(const struct cli_args *args, const struct request *asked)
{
	if (asked->json && asked->markdown)
		return cli_usage(args->word, "--json or --markdown, not both");
	if (asked->markdown && asked->effective)
		return cli_usage(args->word, "--effective or --markdown, not both");
	if (asked->effective)
		return cli_print_effective(args->word, args->url, asked->json);
	if (args->url)
		return cli_usage(args->word, "takes nothing but options, without --effective");
	if (asked->json)
		print_json();
	else if (asked->markdown)
		print_markdown();
	else
		print_text();
	return CLI_EXIT_OK;
}

static int run(const struct cli_word *word, int argc, char **argv)
{
	struct request asked = {.json = false};
	struct cli_args args;
	int got, result;

	cli_args_init(&args, word, argc, argv);
	while ((got = cli_args_next(&args)) >= 256) {
		asked.json |= got == OPT_JSON;
		asked.markdown |= got == OPT_MARKDOWN;
		asked.effective |= got == OPT_EFFECTIVE;
	}
	result = got == CLI_ARG_END ? show(&args, &asked) : cli_args_status(got);
	cli_args_fini(&args);
	return result;
}

const struct cli_word cli_word_options = {
	.name = "options",
	.brief = "show the table of options",
	.operands = "[URL]",
	.max_operands = 1,
	.about = about,
	.options = flags,
	.endings = endings,
	.run = run,
};
