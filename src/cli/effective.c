/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program would have in force with this environment, file and URL, as a table or document.
 */
#include "cli/effective.h"

#include <string.h>

#include <weir/weir.h>

#include "cli/args.h"
#include "cli/json.h"
#include "cli/table.h"

static void add_row(void *arg, const weir_setting *s)
{
	bool is_said = strcmp(s->source, "default") != 0;

	cli_cell(arg, is_said ? CLI_GOOD : CLI_PLAIN, "%s", s->name);
	cli_cell(arg, CLI_PLAIN, "%s", *s->value ? s->value : "-");
	cli_cell(arg, is_said ? CLI_PLAIN : CLI_FAINT, "%s", *s->source ? s->source : "-");
}

static void add_document(void *arg, const weir_setting *s)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "name", cli_json_text(s->name));
	cli_json_put(o, "value", cli_json_text(s->value));
	cli_json_put(o, "source", cli_json_text(s->source));
	cli_json_add(arg, o);
}

static int print_table(const struct cli_word *word, const char *url)
{
	struct cli_table *table = cli_table_create("lll");
	weir_error error = {.status = WEIR_OK};
	weir_status st;

	cli_head(table, "name|value|from");
	st = weir_settings_tell(url, add_row, table, &error);
	if (st == WEIR_OK)
		cli_table_print(table, stdout);
	cli_table_destroy(table);
	if (st == WEIR_OK && *error.text)
		fprintf(stderr, "weir %s: %s\n", word->name, error.text);
	return st == WEIR_OK ? CLI_EXIT_OK : cli_refused(word, &error);
}

int cli_print_effective(const struct cli_word *word, const char *url, bool json)
{
	json_t *document, *settings;
	weir_error error;

	if (!json)
		return print_table(word, url);
	settings = cli_json_array();
	if (weir_settings_tell(url, add_document, settings, &error) != WEIR_OK) {
		json_decref(settings);
		return cli_refused(word, &error);
	}
	document = cli_json_object();
	cli_json_put(document, "weir", cli_json_text(weir_version()));
	cli_json_put(document, "settings", settings);
	cli_json_print(document);
	return CLI_EXIT_OK;
}
