/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a connection string says: the hosts, libpq's parameters, weir's own options.
 *
 * We parse it ourselves because libpq would connect to the first host that fits and hide which one;
 * weir wants a pool a host. The grammar is libpq's (PostgreSQL 15 documentation, 34.1.1), and the
 * tests compare the result with PQconninfoParse's.
 */
#ifndef WI_CONFIG_DSN_H
#define WI_CONFIG_DSN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <weir/options.h>

struct wi_endpoint {
	char host[256];    /* name, address, or directory of a Unix socket; "" is libpq's default */
	char hostaddr[64]; /* address given beside the name, or "" */
	char port[8];      /* "" is libpq's default */
	char name[WEIR_ERROR_HOST]; /* "host:port" for people and statistics */
	bool looked_up;             /* hostaddr is what the name came to, which proves nothing */
	bool unnamed;               /* a service file may name it: only libpq learns where it is */
};

struct wi_param {
	char *key;
	char *value; /* may be a secret: wiped when freed */
};

struct wi_dsn {
	struct wi_endpoint *hosts;
	size_t n_hosts;          /* at least 1 */
	struct wi_param *params; /* for libpq, in their order, without host, hostaddr and port */
	size_t n_params;
	size_t params_room;
};

/*
 * Reads a URI or keyword string (NULL: DATABASE_URL and the DB_* names of aliases.def; what is left
 * out then or there: PGHOST, PGHOSTADDR and PGPORT).
 * Parameters that are weir's options are set in *options, all others land in params (known to libpq
 * or not: the driver judges). Error texts name what is wrong and where, and never hold a password.
 * Free with wi_dsn_fini also after a failure. options->isolated decides whether the PG* environment
 * is looked at. Statuses: OK, INVALID, NO_MEMORY.
 */
weir_status wi_dsn_parse(struct wi_dsn *dsn, const char *conninfo, weir_options *options,
                         weir_error *error);

/* The same, and notes who has set which option, where that was one of these. */
struct wi_sources;
weir_status wi_dsn_read(struct wi_dsn *dsn, const char *conninfo, weir_options *options,
                        struct wi_sources *sources, weir_error *error);

/*
 * Reads "host[:port],..." (options.primary, options.replicas) into a list of endpoints, wi_free'd
 * by the caller.
 */
weir_status wi_endpoints_parse(const char *text, struct wi_endpoint **hosts, size_t *n_hosts,
                               weir_error *error);

void wi_dsn_fini(struct wi_dsn *dsn);

/* The value of a parameter, the last one given, or NULL. */
const char *wi_dsn_param(const struct wi_dsn *dsn, const char *key);

#endif
