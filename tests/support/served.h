/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One pool in front of one real server without standbys, and one session of its superuser: what
 * tests/pg/pool_*_test.c say to all three. Main thread only, but for what says otherwise; a failure
 * fails the test.
 */
#ifndef WEIR_TEST_SERVED_H
#define WEIR_TEST_SERVED_H

#include <libpq-fe.h>

#include <weir/weir.h>

#define PATIENCE_MS 60000

struct test_cluster;

extern struct served {
	struct test_cluster *cluster;
	PGconn *admin;  /* superuser */
	weir_options o; /* the defaults at the beginning of each test, and no minimum */
	weir_pool *pool;
	weir_error error;
} served;

/* For cmocka: of a group, and the beginning of each test. */
int served_start(void **state);
int served_finish(void **state);
int served_set_up(void **state);

/* Opens the pool with served.o: at the server, or at another address. */
void served_open(void);
void served_open_at(const char *url);
void served_close(void);

/* The server's URL with parameters added. Good until the next call. */
const char *served_with(const char *parameters);

weir_conn *served_checkout(void);
weir_pool_stats served_stats(void);

/* Any thread. */
void served_pause_ms(long ms);

/* One value, or the error's SQLSTATE, or "" for no row. Good until the next call. */
const char *served_ask(PGconn *pg, const char *sql);

/* The superuser's session, anew: the server has been down. */
void served_log_in(void);

#endif
