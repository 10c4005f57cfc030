/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Between the files that read a connection string: dsn.c keeps what was read, uri.c and keyword.c
 * read one grammar each, endpoint.c makes hosts of the lists.
 *
 * No error text here shows a piece of the connection string. A string that is wrong is cut at the
 * wrong places, and then a port, a host or a parameter may be half a password; texts say which part
 * and where instead.
 */
#ifndef WI_CONFIG_PARSE_H
#define WI_CONFIG_PARSE_H

#include <stdbool.h>
#include <stddef.h>

#include "config/dsn.h"
#include "config/sources.h"

/* "a,b,c" as it was given, and by whom. */
struct wi_list {
	char *text;         /* NULL: not given; may hold a piece of a secret: wiped when freed */
	const char *source; /* "connection string", "DATABASE_URL", "PGPORT", ... */
	bool quotable;      /* an error may show the text: it is no piece of a connection string */
};

struct wi_parse {
	struct wi_dsn *dsn;
	weir_options *options;
	const char *source;
	const char *hint; /* added to errors about hosts and ports; "" if there is none */
	struct wi_list hosts, addresses, ports;
	bool in_parts; /* no string was given: the environment may hold it in parts */
	bool quotable; /* an error may show what is read now: it was cut out of nothing */
	size_t number; /* of the parameter that is read now, from 1 */
	struct wi_sources sources; /* who has set each option; NULL: nobody of these here */
	weir_error *error;
};

/* Takes one parameter, the last one of a name wins. Copies both texts. */
weir_status wi_parse_store(struct wi_parse *parse, const char *key, const char *value);

/*
 * What DB_HOST and its like say where DATABASE_URL says nothing; where both speak, they must agree.
 */
weir_status wi_parts_read(struct wi_parse *parse);

/*
 * The length of "postgresql://" or "postgres://" if text begins so, else 0. A driver's name may
 * follow the scheme, as SQLAlchemy writes it ("postgresql+psycopg2://").
 */
size_t wi_uri_prefix(const char *text);

/* Read what follows the prefix, or a keyword string. Both write into text as they go. */
weir_status wi_uri_parse(struct wi_parse *parse, char *text);
weir_status wi_keyword_parse(struct wi_parse *parse, char *text);

/*
 * Makes endpoints of the three lists by libpq's rules: as many hosts as addresses, or else as
 * names, or else one; one port for all, or one for each. An empty port becomes 5432, if fill_port.
 * Never two equal endpoints: each would get a pool, and the server twice the maximum.
 */
weir_status wi_endpoints_make(const struct wi_parse *lists, bool fill_port,
                              struct wi_endpoint **hosts, size_t *n_hosts, weir_error *error);

#endif
