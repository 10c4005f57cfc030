/* SPDX-License-Identifier: BSD-2-Clause */
/* What `weir check` makes of what it has seen: a verdict, a text, a document. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/check.h"
#include "cli/json.h"
#include "cli/table.h"
#include "cli/text.h"
#include "cli/word.h"

/* How many hosts are so; every number of the verdict comes from here. */
struct tally {
	size_t unreachable;
	size_t unknown; /* reachable, and neither primary nor replica */
	size_t primaries;
	size_t replicas;
};

static struct tally count(const struct cli_findings *found)
{
	struct tally n = {0};

	for (size_t i = 0; i < found->n_hosts; i++) {
		const weir_host_stats *host = &found->hosts[i];

		n.unreachable += !host->reachable;
		n.unknown += host->reachable && host->role == WEIR_ROLE_UNKNOWN;
		n.primaries += host->reachable && host->role == WEIR_ROLE_PRIMARY;
		n.replicas += host->reachable && host->role == WEIR_ROLE_REPLICA;
	}
	return n;
}

static void verdict(struct cli_findings *found, int result, const char *text)
{
	found->exit = result;
	snprintf(found->verdict, sizeof(found->verdict), "%s", text);
}

void cli_check_judge(struct cli_findings *found)
{
	struct tally n = count(found);
	char text[128];

	if (n.unreachable == found->n_hosts) {
		verdict(found, CLI_EXIT_DOWN, "down: no host is reachable");
	} else if (n.primaries != 1) {
		verdict(found, CLI_EXIT_DOWN,
		        n.primaries ? "down: more than one host claims to be the primary"
		                    : "down: no host is a primary, nothing can be written");
	} else if (found->write.status != WEIR_OK) {
		verdict(found, CLI_EXIT_DOWN, "down: the write checkout failed");
	} else if (n.unreachable || n.unknown) {
		snprintf(text, sizeof(text),
		         "degraded: of %zu hosts %zu unreachable, %zu of unknown role",
		         found->n_hosts, n.unreachable, n.unknown);
		verdict(found, CLI_EXIT_DEGRADED, text);
	} else if (found->read.status != WEIR_OK) {
		verdict(found, CLI_EXIT_DEGRADED, "degraded: the read checkout failed");
	} else if (n.replicas && found->read.info.role != WEIR_ROLE_REPLICA) {
		verdict(found, CLI_EXIT_DEGRADED,
		        "degraded: no replica is fit to read from, the primary serves reads");
	} else {
		snprintf(text, sizeof(text), "healthy: a primary, %zu %s, all reachable",
		         n.replicas, n.replicas == 1 ? "replica" : "replicas");
		verdict(found, CLI_EXIT_OK, text);
	}
}

static enum cli_tint verdict_tint(const struct cli_findings *found)
{
	return found->exit == CLI_EXIT_OK         ? CLI_GOOD
	       : found->exit == CLI_EXIT_DEGRADED ? CLI_WARN
	                                          : CLI_BAD;
}

/* 150010 is 15.10; before version 10 a version has three parts. */
static const char *version_text(char text[CLI_SHORT], int version)
{
	if (version <= 0)
		snprintf(text, CLI_SHORT, "-");
	else if (version >= 100000)
		snprintf(text, CLI_SHORT, "%d.%d", version / 10000, version % 10000);
	else
		snprintf(text, CLI_SHORT, "%d.%d.%d", version / 10000, version / 100 % 100,
		         version % 100);
	return text;
}

/* What a replica is behind, in time and bytes. */
static const char *lag_text(char text[2 * CLI_SHORT], const weir_host_stats *host)
{
	char time[CLI_SHORT] = "unknown", bytes[CLI_SHORT] = "unknown";

	if (host->lag_ms >= 0)
		snprintf(time, sizeof(time), "%" PRId64 " ms", host->lag_ms);
	if (host->lag_bytes >= 0)
		cli_bytes(bytes, host->lag_bytes);
	if (host->role == WEIR_ROLE_REPLICA)
		snprintf(text, 2 * CLI_SHORT, "%s, %s", time, bytes);
	else
		snprintf(text, 2 * CLI_SHORT, "-");
	return text;
}

static void add_host(struct cli_table *table, const weir_host_stats *host)
{
	char version[CLI_SHORT], lag[2 * CLI_SHORT];

	cli_cell(table, CLI_STRONG, "%s", host->host);
	cli_cell(table, host->role == WEIR_ROLE_UNKNOWN ? CLI_WARN : CLI_PLAIN, "%s%s",
	         weir_role_name(host->role),
	         host->read_only && !host->in_recovery ? ", read-only" : "");
	cli_cell(table, host->reachable ? CLI_GOOD : CLI_BAD, "%s", host->reachable ? "yes" : "no");
	cli_cell(table, CLI_PLAIN, "%s", version_text(version, host->server_version));
	cli_cell(table, CLI_PLAIN, "%s", *host->tls ? host->tls : "-");
	cli_cell(table, CLI_PLAIN, "%s", lag_text(lag, host));
	if (host->timeline)
		cli_cell(table, CLI_PLAIN, "%" PRIu32, host->timeline);
	else
		cli_cell(table, CLI_PLAIN, "-");
}

static void print_hosts(const struct cli_findings *found)
{
	struct cli_table *table = cli_table_create("lllllll");

	cli_head(table, "host|role|reachable|version|TLS|lag|timeline");
	for (size_t i = 0; i < found->n_hosts; i++)
		add_host(table, &found->hosts[i]);
	cli_table_print(table, stdout);
	cli_table_destroy(table);
}

static void add_setting(struct cli_table *table, int64_t ms)
{
	char text[CLI_SHORT];

	cli_cell(table, ms < 0 ? CLI_FAINT : CLI_PLAIN, "%s", cli_setting(text, ms));
}

static void print_timeouts(const struct cli_findings *found)
{
	struct cli_table *table = cli_table_create("llllll");

	cli_head(table,
	         "timeouts in force|statement|lock|idle in transaction|idle session|transaction");
	for (size_t i = 0; i < found->n_hosts; i++) {
		const weir_host_stats *host = &found->hosts[i];

		cli_cell(table, CLI_STRONG, "%s", host->host);
		add_setting(table, host->statement_timeout_ms);
		add_setting(table, host->lock_timeout_ms);
		add_setting(table, host->idle_in_transaction_timeout_ms);
		add_setting(table, host->idle_session_timeout_ms);
		add_setting(table, host->in_force.transaction_timeout_ms);
	}
	cli_table_print(table, stdout);
	cli_table_destroy(table);
}

/* Prints text that may have several lines, each further one below the first. */
static void print_lines(const char *text, size_t indent)
{
	for (; *text; text++) {
		putchar(*text);
		if (*text == '\n')
			printf("%*s", (int)indent, "");
	}
	putchar('\n');
}

static const char *trouble_of(const weir_host_stats *host)
{
	return *host->last_error ? host->last_error : host->pool.last_connect_error;
}

static void print_troubles(const struct cli_findings *found)
{
	for (size_t i = 0; i < found->n_hosts; i++) {
		const weir_host_stats *host = &found->hosts[i];

		if (!*trouble_of(host))
			continue;
		printf("  ");
		cli_paint(stdout, host->reachable ? CLI_WARN : CLI_BAD, host->host);
		printf("  ");
		print_lines(trouble_of(host), strlen(host->host) + 4);
	}
	if (!found->all_probed)
		printf("  not every host answered within %" PRId64 " ms\n",
		       found->timeout_ms * 3 / 4);
}

static void print_trial(const char *name, const struct cli_trial *trial)
{
	char wait[CLI_SHORT];

	printf("  %-16s", name);
	if (trial->status != WEIR_OK) {
		cli_paint(stdout, CLI_BAD, weir_status_name(trial->status));
		printf("  ");
		print_lines(*trial->error.text ? trial->error.text
		                               : weir_status_text(trial->status),
		            20);
		return;
	}
	cli_paint(stdout, CLI_GOOD, "ok");
	printf("  %s (%s), after %s; %s\n", trial->info.host, weir_role_name(trial->info.role),
	       cli_duration(wait, trial->wait_ns), weir_reason_text(trial->info.reason));
}

void cli_check_print(const struct cli_findings *found)
{
	print_hosts(found);
	putchar('\n');
	print_timeouts(found);
	putchar('\n');
	cli_check_print_sessions(found);
	putchar('\n');
	print_trial("read checkout", &found->read);
	print_trial("write checkout", &found->write);
	cli_check_print_warnings(found);
	print_troubles(found);
	printf("\n  ");
	cli_paint(stdout, verdict_tint(found), found->verdict);
	putchar('\n');
}

static json_t *timeouts_document(const weir_host_stats *host)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "statement", cli_json_known(host->statement_timeout_ms));
	cli_json_put(o, "lock", cli_json_known(host->lock_timeout_ms));
	cli_json_put(o, "idle_in_transaction",
	             cli_json_known(host->idle_in_transaction_timeout_ms));
	cli_json_put(o, "idle_session", cli_json_known(host->idle_session_timeout_ms));
	cli_json_put(o, "transaction", cli_json_known(host->in_force.transaction_timeout_ms));
	return o;
}

static json_t *pool_document(const weir_pool_stats *pool)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "max", cli_json_int(pool->max));
	cli_json_put(o, "total", cli_json_int(pool->total));
	cli_json_put(o, "idle", cli_json_int(pool->idle));
	cli_json_put(o, "busy", cli_json_int(pool->busy));
	cli_json_put(o, "opened", cli_json_int((int64_t)pool->opened));
	cli_json_put(o, "connect_failures", cli_json_int((int64_t)pool->connect_failures));
	return o;
}

/* A position as PostgreSQL writes it, or null. */
static json_t *lsn_document(uint64_t lsn)
{
	char text[CLI_SHORT];

	if (!lsn)
		return json_null();
	snprintf(text, sizeof(text), "%" PRIX32 "/%" PRIX32, (uint32_t)(lsn >> 32), (uint32_t)lsn);
	return cli_json_text(text);
}

/* An identifier, as text since not every reader of JSON has 64 bits; null if it is not known. */
static json_t *system_document(uint64_t system)
{
	char text[CLI_SHORT];

	if (!system)
		return json_null();
	snprintf(text, sizeof(text), "%" PRIu64, system);
	return cli_json_text(text);
}

static json_t *host_document(const weir_host_stats *host)
{
	json_t *o = cli_json_object();

	cli_json_put(o, "host", cli_json_text(host->host));
	cli_json_put(o, "zone", cli_json_text(host->zone));
	cli_json_put(o, "role", cli_json_text(weir_role_name(host->role)));
	cli_json_put(o, "reachable", cli_json_bool(host->reachable));
	cli_json_put(o, "in_recovery", cli_json_bool(host->in_recovery));
	cli_json_put(o, "read_only", cli_json_bool(host->read_only));
	cli_json_put(o, "server_version",
	             host->server_version ? cli_json_int(host->server_version) : json_null());
	cli_json_put(o, "tls", *host->tls ? cli_json_text(host->tls) : json_null());
	cli_json_put(o, "timeline", host->timeline ? cli_json_int(host->timeline) : json_null());
	cli_json_put(o, "system", system_document(host->system));
	cli_json_put(o, "lsn", lsn_document(host->lsn));
	cli_json_put(o, "lag_ms", cli_json_known(host->lag_ms));
	cli_json_put(o, "lag_bytes", cli_json_known(host->lag_bytes));
	cli_json_put(o, "probe_age_ms", cli_json_known(host->probe_age_ms));
	cli_json_put(o, "timeouts_ms", timeouts_document(host));
	cli_json_put(o, "session", cli_check_session_document(host));
	cli_json_put(o, "pool", pool_document(&host->pool));
	cli_json_put(o, "last_error", cli_json_text(trouble_of(host)));
	return o;
}

static json_t *trial_document(const struct cli_trial *trial)
{
	bool ok = trial->status == WEIR_OK;
	json_t *o = cli_json_object();

	cli_json_put(o, "status", cli_json_text(weir_status_name(trial->status)));
	cli_json_put(o, "host", ok ? cli_json_text(trial->info.host) : json_null());
	cli_json_put(o, "role", ok ? cli_json_text(weir_role_name(trial->info.role)) : json_null());
	cli_json_put(o, "reason",
	             ok ? cli_json_text(weir_reason_text(trial->info.reason)) : json_null());
	cli_json_put(o, "backend_pid", ok ? cli_json_int(trial->info.backend_pid) : json_null());
	cli_json_put(o, "wait_us", cli_json_real((double)trial->wait_ns / 1e3));
	cli_json_put(o, "error", cli_json_text(ok ? "" : trial->error.text));
	return o;
}

void cli_check_print_json(const struct cli_findings *found)
{
	json_t *document = cli_json_object();
	json_t *hosts = cli_json_array();

	for (size_t i = 0; i < found->n_hosts; i++)
		cli_json_add(hosts, host_document(&found->hosts[i]));
	cli_json_put(document, "weir", cli_json_text(weir_version()));
	cli_json_put(document, "exit", cli_json_int(found->exit));
	cli_json_put(document, "verdict", cli_json_text(found->verdict));
	cli_json_put(document, "hosts", hosts);
	cli_json_put(document, "read", trial_document(&found->read));
	cli_json_put(document, "write", trial_document(&found->write));
	cli_json_print(document);
}
