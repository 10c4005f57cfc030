/* SPDX-License-Identifier: BSD-2-Clause */
/* One statement or one connect by libpq, with a deadline. */
#include "cli/query.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "cli/clock.h"
#include "cli/text.h"

#define SLICE_NS (100 * CLI_MS) /* how often a wait looks whether the run must end */

static int64_t limit_now(const struct cli_limit *limit)
{
	int64_t last = limit->last_call
	                       ? atomic_load_explicit(limit->last_call, memory_order_relaxed)
	                       : INT64_MAX;

	return last < limit->deadline ? last : limit->deadline;
}

/* Waits until the socket is ready. false: the limit passed first. */
static bool await_socket(PGconn *pg, short events, const struct cli_limit *limit)
{
	for (;;) {
		struct pollfd p = {.fd = PQsocket(pg), .events = events};
		int64_t left = limit_now(limit) - cli_now();
		int ready;

		if (left <= 0)
			return false;
		if (limit->last_call && left > SLICE_NS)
			left = SLICE_NS;
		ready = poll(&p, 1,
		             (int)((left + CLI_MS - 1) / CLI_MS > 60000
		                           ? 60000
		                           : (left + CLI_MS - 1) / CLI_MS));
		if (ready > 0 || (ready < 0 && errno != EINTR))
			return true; /* libpq tells what is wrong with it */
	}
}

/* Fills error with a message of libpq's: its lines without the newline at the end. */
static weir_status fail(weir_error *error, weir_status status, const char *sqlstate,
                        const char *text)
{
	size_t len;

	memset(error, 0, sizeof(*error));
	error->status = status;
	cli_copy(error->sqlstate, sizeof(error->sqlstate), sqlstate ? sqlstate : "");
	cli_copy(error->text, sizeof(error->text), *text ? text : weir_status_text(status));
	len = strlen(error->text);
	while (len && error->text[len - 1] == '\n')
		error->text[--len] = '\0';
	return status;
}

static weir_status fail_late(weir_error *error, const char *what)
{
	return fail(error, WEIR_TIMEOUT, NULL, what);
}

static weir_status status_of(const char *sqlstate)
{
	return !strcmp(sqlstate, "40001") || !strcmp(sqlstate, "40P01") ? WEIR_RETRY : WEIR_QUERY;
}

static weir_status judge(PGconn *pg, const PGresult *result, char *value, size_t room,
                         weir_error *error)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	switch (PQresultStatus(result)) {
	case PGRES_TUPLES_OK:
		if (value && PQntuples(result) > 0 && PQnfields(result) > 0)
			cli_copy(value, room, PQgetvalue(result, 0, 0));
		return WEIR_OK;
	case PGRES_COMMAND_OK:
	case PGRES_EMPTY_QUERY:
		return WEIR_OK;
	case PGRES_COPY_IN:
	case PGRES_COPY_OUT:
	case PGRES_COPY_BOTH:
		return fail(error, WEIR_CONNECT, NULL, "COPY is not for a bench");
	default:
		if (PQstatus(pg) == CONNECTION_BAD)
			return fail(error, WEIR_CONNECT, sqlstate, PQerrorMessage(pg));
		return fail(error, status_of(sqlstate ? sqlstate : ""), sqlstate,
		            PQresultErrorMessage(result));
	}
}

weir_status cli_query(PGconn *pg, const char *sql, const struct cli_limit *limit, char *value,
                      size_t room, weir_error *error)
{
	weir_status status = WEIR_OK;
	PGresult *result;

	if (!PQsendQuery(pg, sql))
		return fail(error, WEIR_CONNECT, NULL, PQerrorMessage(pg));
	for (;;) {
		while (PQisBusy(pg)) {
			if (!await_socket(pg, POLLIN, limit))
				return fail_late(error, "the server did not answer in time");
			if (!PQconsumeInput(pg))
				return fail(error, WEIR_CONNECT, NULL, PQerrorMessage(pg));
		}
		result = PQgetResult(pg);
		if (!result)
			return status;
		if (status == WEIR_OK)
			status = judge(pg, result, value, room, error);
		PQclear(result);
		if (status == WEIR_CONNECT)
			return status;
	}
}

weir_status cli_connect(const char *const *keys, const char *const *values,
                        const struct cli_limit *limit, PGconn **pg, weir_error *error)
{
	PGconn *conn = PQconnectStartParams(keys, values, 0);
	PostgresPollingStatusType step =
		PGRES_POLLING_WRITING; /* what PQconnectPoll's manual says to begin with */
	weir_status status;

	if (!conn)
		return fail(error, WEIR_NO_MEMORY, NULL, "");
	while (PQstatus(conn) != CONNECTION_BAD && step != PGRES_POLLING_OK &&
	       step != PGRES_POLLING_FAILED) {
		if (!await_socket(conn, step == PGRES_POLLING_READING ? POLLIN : POLLOUT, limit)) {
			PQfinish(conn);
			return fail_late(error, "the connection was not ready in time");
		}
		step = PQconnectPoll(conn);
	}
	if (PQstatus(conn) == CONNECTION_OK) {
		*pg = conn;
		return WEIR_OK;
	}
	status = fail(error, WEIR_CONNECT, NULL, PQerrorMessage(conn));
	PQfinish(conn);
	return status;
}
