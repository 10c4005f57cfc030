/* SPDX-License-Identifier: BSD-2-Clause */
/* Before: a connection for each question, as in many a small program. It ends on every path. */
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>

static int count_tables(const char *url)
{
	int n = -1;
	PGconn *db = PQconnectdb(url);

	if (PQstatus(db) != CONNECTION_OK) {
		fprintf(stderr, "no connection: %s", PQerrorMessage(db));
		PQfinish(db);
		return -1;
	}
	PGresult *res = PQexec(db, "SELECT count(*) FROM pg_catalog.pg_class WHERE relkind = 'r'");
	if (PQresultStatus(res) == PGRES_TUPLES_OK)
		n = atoi(PQgetvalue(res, 0, 0));
	else
		fprintf(stderr, "%s", PQerrorMessage(db));
	PQclear(res);
	PQfinish(db);
	return n;
}

/* Declared first, connected later; and the error of a statement comes from the same place. */
static int refused(const char *url)
{
	PGconn *conn = NULL;
	PGresult *res;
	int as_expected;

	conn = PQconnectdb(url);
	if (PQstatus(conn) == CONNECTION_BAD) {
		PQfinish(conn);
		return 0;
	}
	res = PQexec(conn, "SELECT no_such_column");
	as_expected = PQresultStatus(res) == PGRES_FATAL_ERROR;
	printf("refused: %s", PQerrorMessage(conn));
	PQclear(res);
	PQfinish(conn);
	return as_expected;
}

/* In a loop, with a way out in the middle. */
static int looped(const char *url)
{
	for (int i = 0; i < 5; i++) {
		PGconn *c = PQconnectdb(url);

		if (PQstatus(c) == CONNECTION_OK) {
			PGresult *r = PQexec(c, "SELECT 1");

			if (!r) {
				PQfinish(c);
				return -1;
			}
			PQclear(r);
		} else {
			fprintf(stderr, "%s", PQerrorMessage(c));
		}
		PQfinish(c);
	}
	return 5;
}

int sample(const char *url)
{
	printf("tables: %s\n", count_tables(url) > 50 ? "many" : "few");
	printf("looped: %d\n", looped(url));
	return !refused(url);
}
