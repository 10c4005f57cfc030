/* SPDX-License-Identifier: BSD-2-Clause */
/* What `weir check` says of the sessions: the settings in force, the socket, who is between. */
#include <inttypes.h>
#include <stdio.h>

#include "cli/check.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/text.h"

/* Short words for how the settings got into force. */
static const char *applied_text(weir_applied applied)
{
	switch (applied) {
	case WEIR_APPLIED_UNKNOWN:
		break;
	case WEIR_APPLIED_AT_STARTUP:
		return "at startup";
	case WEIR_APPLIED_BY_SET:
		return "by SET";
	case WEIR_APPLIED_IN_PART:
		return "in part";
	case WEIR_APPLIED_NOT_HELD:
		return "not held";
	}
	return "unknown";
}

static void add_text(struct cli_table *table, const char *text)
{
	cli_cell(table, *text ? CLI_PLAIN : CLI_FAINT, "%s", *text ? text : "-");
}

static void add_keepalives(struct cli_table *table, const weir_in_force *f)
{
	if (f->keepalives < 0)
		cli_cell(table, CLI_FAINT, "-");
	else if (f->keepalives == 0)
		cli_cell(table, CLI_WARN, "off");
	else
		cli_cell(table, CLI_PLAIN, "%d s, %d x %d s", f->keepalives_idle_s,
		         f->keepalives_count, f->keepalives_interval_s);
}

static void add_session(struct cli_table *table, const weir_host_stats *host)
{
	const weir_in_force *f = &host->in_force;
	bool odd = f->applied == WEIR_APPLIED_IN_PART || f->applied == WEIR_APPLIED_NOT_HELD;
	char text[CLI_SHORT];

	cli_cell(table, CLI_STRONG, "%s", host->host);
	cli_cell(table, odd ? CLI_WARN : CLI_PLAIN, "%s%s", applied_text(f->applied),
	         f->through_pooler ? ", pooler" : "");
	add_text(table, f->search_path);
	add_text(table, f->application_name);
	cli_cell(table, CLI_PLAIN, "%s", f->read_only < 0 ? "-" : f->read_only ? "yes" : "no");
	add_keepalives(table, f);
	if (f->tcp_user_timeout_ms < 0)
		cli_cell(table, CLI_FAINT, "-");
	else
		cli_cell(table, CLI_PLAIN, "%s", cli_setting(text, f->tcp_user_timeout_ms));
}

void cli_check_print_sessions(const struct cli_findings *found)
{
	struct cli_table *table = cli_table_create("lllllll");

	cli_head(
		table,
		"settings|applied|search path|application name|read-only|keepalives|TCP user timeout");
	for (size_t i = 0; i < found->n_hosts; i++)
		add_session(table, &found->hosts[i]);
	cli_table_print(table, stdout);
	cli_table_destroy(table);
}

static void warn(const weir_host_stats *host, const char *words)
{
	printf("  ");
	cli_paint(stdout, CLI_WARN, host->host);
	printf("  %s\n", words);
}

void cli_check_print_warnings(const struct cli_findings *found)
{
	for (size_t i = 0; i < found->n_hosts; i++) {
		const weir_host_stats *host = &found->hosts[i];

		if (host->in_force.insecure)
			warn(host,
			     "nothing keeps a password from a server that has not proven who it "
			     "is: sslmode=verify-full would");
		if (host->in_force.applied == WEIR_APPLIED_NOT_HELD)
			warn(host,
			     "a pooler shares server processes between transactions: timeouts "
			     "and search_path cannot be set from here, and nothing that is SET "
			     "holds");
		else if (host->in_force.applied == WEIR_APPLIED_IN_PART)
			warn(host, "not all settings are in force as they were asked for");
		else if (host->in_force.applied == WEIR_APPLIED_BY_SET)
			warn(host,
			     "the startup options were not taken: settings are SET, and again "
			     "after each reset");
	}
}

json_t *cli_check_session_document(const weir_host_stats *host)
{
	const weir_in_force *f = &host->in_force;
	json_t *o = cli_json_object();

	cli_json_put(o, "applied", cli_json_text(applied_text(f->applied)));
	cli_json_put(o, "through_pooler", cli_json_bool(f->through_pooler));
	cli_json_put(o, "search_path", cli_json_text(f->search_path));
	cli_json_put(o, "application_name", cli_json_text(f->application_name));
	cli_json_put(o, "read_only", f->read_only < 0 ? json_null() : cli_json_bool(f->read_only));
	cli_json_put(o, "keepalives",
	             f->keepalives < 0 ? json_null() : cli_json_bool(f->keepalives));
	cli_json_put(o, "keepalives_idle_s", cli_json_known(f->keepalives_idle_s));
	cli_json_put(o, "keepalives_interval_s", cli_json_known(f->keepalives_interval_s));
	cli_json_put(o, "keepalives_count", cli_json_known(f->keepalives_count));
	cli_json_put(o, "tcp_user_timeout_ms", cli_json_known(f->tcp_user_timeout_ms));
	cli_json_put(o, "tls", *f->tls ? cli_json_text(f->tls) : json_null());
	cli_json_put(o, "insecure", cli_json_bool(f->insecure));
	return o;
}
