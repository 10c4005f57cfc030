/* SPDX-License-Identifier: BSD-2-Clause */
/* Before: connections that outlive the function that made them. These are left as they are. */
#include <libpq-fe.h>
#include <stdio.h>

struct app {
	PGconn *db;
};

static void open_app(struct app *app, const char *url)
{
	PGconn *c = PQconnectdb(url);

	app->db = c;
}

static PGconn *open_one(const char *url)
{
	PGconn *c;

	c = PQconnectdb(url);
	if (PQstatus(c) != CONNECTION_OK) {
		PQfinish(c);
		return NULL;
	}
	return c;
}

static void end(PGconn *db)
{
	PQfinish(db);
}

int sample(const char *url)
{
	struct app app;
	PGconn *one = open_one(url);

	open_app(&app, url);
	printf("both: %d\n", PQstatus(one) == CONNECTION_OK && PQstatus(app.db) == CONNECTION_OK);
	end(one);
	end(app.db);
	return 0;
}
