/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The schema that `weir bench --write-schema NAME` writes to: created before the run, its rows
 * counted and the schema dropped after it, however the run ended. What we did not create we never
 * drop.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/bench.h"
#include "cli/clock.h"
#include "cli/text.h"

#define STATEMENT_ROOM 1024 /* two names of 63 bytes, doubled by quotes at worst, and the rest */
#define DROP_TRIES 3
#define DROP_PAUSE_NS CLI_S

static weir_status invalid_name(weir_error *error)
{
	memset(error, 0, sizeof(*error));
	error->status = WEIR_INVALID;
	cli_copy(error->text, sizeof(error->text), "the schema's name is not valid text");
	return WEIR_INVALID;
}

/* The statement, to be freed; NULL if the name is not valid text. */
static char *fill(struct cli_bench *bench, PGconn *pg, const char *pattern)
{
	char *quoted = PQescapeIdentifier(pg, bench->plan->schema, strlen(bench->plan->schema));
	size_t used = 0;
	char *sql;

	if (!quoted)
		return NULL;
	sql = cli_alloc(STATEMENT_ROOM, 1);
	for (const char *c = pattern; *c; c++) {
		if (*c == '%')
			used += (size_t)snprintf(sql + used, STATEMENT_ROOM - used, "%s", quoted);
		else
			sql[used++] = *c;
	}
	PQfreemem(quoted);
	return sql;
}

/*
 * Runs a statement in which each % stands for the schema's name, quoted by this connection's rules.
 */
static weir_status run(struct cli_bench *bench, PGconn *pg, const char *pattern, char *value,
                       size_t room, weir_error *error)
{
	struct cli_limit limit = {.deadline = cli_query_deadline(bench)};
	char *sql = fill(bench, pg, pattern);
	weir_status status;

	if (!sql)
		return invalid_name(error);
	status = cli_query(pg, sql, &limit, value, room, error);
	free(sql);
	return status;
}

static weir_status create(struct cli_bench *bench, PGconn *pg, weir_error *error)
{
	weir_status status = run(bench, pg, "CREATE SCHEMA %", NULL, 0, error);

	if (status != WEIR_OK)
		return status;
	bench->schema.created = true;
	bench->write_text = fill(bench, pg, "INSERT INTO %.weir_bench DEFAULT VALUES");
	bench->sql[WEIR_WRITE] = bench->write_text;
	return run(bench, pg,
	           "CREATE TABLE %.weir_bench (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
	           " at timestamptz NOT NULL DEFAULT clock_timestamp())",
	           NULL, 0, error);
}

weir_status cli_schema_create(struct cli_bench *bench, weir_error *error)
{
	struct cli_link link;
	weir_status status = cli_link_open(bench, WEIR_WRITE, 0, &link, error);

	bench->schema.rows = -1;
	if (status != WEIR_OK)
		return status;
	status = create(bench, link.pg, error);
	cli_link_close(&link, status == WEIR_TIMEOUT || status == WEIR_CONNECT);
	return status;
}

static weir_status finish(struct cli_bench *bench, PGconn *pg, weir_error *error)
{
	char rows[32];
	weir_status status;

	if (bench->schema.rows < 0 && run(bench, pg, "SELECT count(*) FROM %.weir_bench", rows,
	                                  sizeof(rows), error) == WEIR_OK)
		cli_parse_int(rows, &bench->schema.rows);
	/*
	 * One transaction. No CASCADE: should somebody have put a thing of theirs there, it is not
	 * ours to drop.
	 */
	status = run(bench, pg, "DROP TABLE IF EXISTS %.weir_bench; DROP SCHEMA %", NULL, 0, error);
	bench->schema.dropped = status == WEIR_OK;
	return status;
}

/* Counts and drops; tries again for a while, since the run may have ended amid a failover. */
void cli_schema_finish(struct cli_bench *bench)
{
	struct cli_link link;
	weir_error error = {.status = WEIR_OK};
	weir_status status;

	if (!bench->schema.created)
		return;
	atomic_store(&bench->last_call,
	             INT64_MAX); /* what gave up the run's requests must not give up these */
	for (int i = 0; i < DROP_TRIES && !bench->schema.dropped; i++) {
		if (i)
			cli_sleep(DROP_PAUSE_NS);
		status = cli_link_open(bench, WEIR_WRITE, 0, &link, &error);
		if (status != WEIR_OK)
			continue;
		status = finish(bench, link.pg, &error);
		cli_link_close(&link, status == WEIR_TIMEOUT || status == WEIR_CONNECT);
	}
	if (!bench->schema.dropped)
		fprintf(stderr, "weir bench: the schema %s is still there, drop it by hand: %s\n",
		        bench->plan->schema,
		        *error.text ? error.text : weir_status_text(error.status));
}
