/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The one connection of a pool at a real server without standbys, taken for the length of a test:
 * what tests/pg/query_*test.c ask on it. Main thread only; a failure fails the test.
 */
#ifndef WEIR_TEST_TAKEN_H
#define WEIR_TEST_TAKEN_H

#include <stdint.h>

#include <libpq-fe.h>

#include <weir/weir.h>

#define PATIENCE_MS 60000

struct test_cluster;

extern struct taken {
	struct test_cluster *cluster;
	weir_options o;
	weir_pool *pool;
	weir_conn *conn;
	weir_error e;
	PGresult *rows; /* of the last statement */
} taken;

/* For cmocka: of a group, and around each test, which finds the tables t, with one row, and u. */
int taken_start(void **state);
int taken_finish(void **state);
int taken_set_up(void **state);
int taken_tear_down(void **state);

/* What of taken_set_up comes after the options. */
int taken_open(void **state);

/* Gives it back and takes it again: whatever is to be put right is, and it is the same one. */
void taken_pass_on(void);

/* Runs a statement by weir; value: one that succeeds, for its one value. */
weir_status taken_run_within(const char *sql, int64_t timeout_ms);
weir_status taken_run(const char *sql);
void taken_run_well(const char *sql);
const char *taken_value(const char *sql);

/* One number without weir's help, which would count among what is prepared; -1: no one row. */
int taken_by_libpq(const char *sql);

/* Somebody else does it. */
void taken_from_outside(const char *sql);

#endif
