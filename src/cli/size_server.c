/* SPDX-License-Identifier: BSD-2-Clause */
/* What the servers of `weir size` say about themselves: how many connections they give. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/probe.h"
#include "cli/query.h"
#include "cli/size.h"
#include "cli/text.h"

#define LIMIT_MS 5000
#define GOODBYE_MS 500

/* reserved_connections came with PostgreSQL 16. Those of this program are nobody's. */
static const char sql[] =
	"SELECT pg_catalog.concat_ws(' ', pg_catalog.current_setting('max_connections'), "
	"pg_catalog.current_setting('superuser_reserved_connections')::int + "
	"COALESCE(pg_catalog.current_setting('reserved_connections', true)::int, 0), "
	"(SELECT pg_catalog.count(*) FROM pg_catalog.pg_stat_activity WHERE application_name <> "
	"pg_catalog.current_setting('application_name') AND datid IS NOT NULL AND pid <> "
	"pg_catalog.pg_backend_pid()))";

struct answer {
	int64_t max_connections, reserved, in_use;
};

/* Three numbers with a space between. */
static bool read_answer(char *text, struct answer *answer)
{
	char *rest = NULL, *first = strtok_r(text, " ", &rest);
	char *second = strtok_r(NULL, " ", &rest), *third = strtok_r(NULL, " ", &rest);

	return first && second && third && cli_parse_int(first, &answer->max_connections) &&
	       cli_parse_int(second, &answer->reserved) && cli_parse_int(third, &answer->in_use);
}

static weir_status ask(weir_router *router, weir_intent intent, struct answer *answer,
                       weir_error *error)
{
	struct cli_limit limit = {.deadline = cli_now() + LIMIT_MS * CLI_MS};
	char text[96] = "";
	weir_conn *conn = NULL;
	weir_status status;

	status = weir_checkout(router, intent, &conn, error);
	if (status != WEIR_OK)
		return status;
	status = cli_query(weir_pg(conn), sql, &limit, text, sizeof(text), error);
	if (status == WEIR_OK && !read_answer(text, answer))
		status = error->status = WEIR_QUERY;
	if (status == WEIR_CONNECT || status == WEIR_TIMEOUT)
		weir_discard(&conn);
	weir_checkin(&conn);
	return status;
}

static int64_t replicas_among(weir_router *router)
{
	weir_host_stats *hosts = cli_alloc(WEIR_HOSTS_MAX, sizeof(*hosts));
	size_t n_hosts = 0;
	int64_t n = 0;

	cli_probe(router, hosts, &n_hosts, cli_now() + LIMIT_MS * CLI_MS);
	for (size_t i = 0; i < n_hosts; i++)
		n += hosts[i].role == WEIR_ROLE_REPLICA;
	free(hosts);
	return n;
}

/* The least that any of them gives: one budget is for every host. */
static void keep(struct cli_size_plan *plan, const struct answer *a)
{
	if (plan->max_connections == CLI_SIZE_UNKNOWN || a->max_connections < plan->max_connections)
		plan->max_connections = a->max_connections;
	if (a->reserved > plan->reserved)
		plan->reserved = a->reserved;
	if (a->in_use > plan->in_use)
		plan->in_use = a->in_use;
}

static weir_status ask_all(weir_router *router, struct cli_size_plan *plan, weir_error *error)
{
	struct cli_size_plan found = {.max_connections = CLI_SIZE_UNKNOWN,
	                              .reserved = CLI_SIZE_UNKNOWN,
	                              .in_use = CLI_SIZE_UNKNOWN};
	struct answer answer;
	weir_status status;

	found.replicas = replicas_among(router);
	status = ask(router, WEIR_WRITE, &answer, error);
	if (status != WEIR_OK)
		return status;
	keep(&found, &answer);
	if (found.replicas) {
		status = ask(router, WEIR_READ, &answer, error);
		if (status != WEIR_OK)
			return status;
		keep(&found, &answer);
	}
	if (plan->replicas == CLI_SIZE_UNKNOWN)
		plan->replicas = found.replicas;
	if (plan->max_connections == CLI_SIZE_UNKNOWN)
		plan->max_connections = found.max_connections;
	if (plan->reserved == CLI_SIZE_UNKNOWN)
		plan->reserved = found.reserved;
	plan->in_use = found.in_use;
	return WEIR_OK;
}

int cli_size_ask(const struct cli_args *args, const weir_options *options,
                 struct cli_size_plan *plan)
{
	weir_error error = {.status = WEIR_OK};
	weir_router *router = NULL;
	weir_status status;

	if (weir_router_open(args->url, options, &router, &error) != WEIR_OK)
		return cli_refused(args->word, &error);
	status = ask_all(router, plan, &error);
	weir_router_close(&router, GOODBYE_MS);
	if (status == WEIR_OK)
		return CLI_EXIT_OK;
	fprintf(stderr, "weir size: the servers could not be asked: %s: %s\n",
	        weir_status_name(status), *error.text ? error.text : weir_status_text(status));
	return CLI_EXIT_DOWN;
}
