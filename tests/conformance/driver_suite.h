/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What any driver must do, as a program: src/driver/driver.h truth by truth. A driver's own test
 * makes an environment, runs the suite, and adds what only that driver can do.
 */
#ifndef WEIR_TEST_DRIVER_SUITE_H
#define WEIR_TEST_DRIVER_SUITE_H

#include <stdbool.h>

#include "driver/driver.h"

/* Where a connect may lead. */
enum driver_place {
	PLACE_GOOD,
	PLACE_NOBODY,   /* nobody listens: REFUSED */
	PLACE_SILENT,   /* somebody accepts and never says a word */
	PLACE_STRANGER, /* the credentials are refused: AUTH, 28P01; the password is SUITE_SECRET */
	PLACE_NO_DATABASE, /* CONFIG, 3D000 */
	PLACE_FULL,        /* CAPACITY, 53300 */
};

#define SUITE_SECRET "canary-8d5e'@%41 \\x"

/* What the suite sends. A driver without a server must know what these come to. */
#define SUITE_ROW "SELECT 7 AS seven, NULL AS nothing, 'word' AS word"
#define SUITE_NO_ROW "SELECT 7 AS seven WHERE false"
#define SUITE_ERROR "SELECT 1/0"
#define SUITE_SLOW "SELECT pg_sleep(60)"
#define SUITE_SET "SET DateStyle = 'German'"

/* What a connection of its targets knows of statements (wi_target.plans). */
#define SUITE_PLANS 2

struct driver_env {
	const struct wi_driver *driver;
	void *arg;
	/* A target, and the numeric address to connect to. Both live as long as the environment. */
	const struct wi_target *(*target)(void *arg, enum driver_place place, const char **address);
	/*
	 * How many sessions from such targets the server counts now; negative: it cannot be asked.
	 */
	int (*sessions)(void *arg);
	/*
	 * NULL, or what makes queries sent from now on take as long as SUITE_SLOW, or no time
	 * again.
	 */
	void (*slow)(void *arg, bool on);
	/* Ends them all at the server, as an administrator would (57P01). */
	bool (*kill)(void *arg);
};

/*
 * Runs all truths against env; returns the number of those that failed. Main thread, once a
 * process.
 */
int driver_suite_run(const char *name, const struct driver_env *env);

/*
 * ---- for a driver's own tests: each waits with a bound of its own, and gives up by failing the
 * test ----
 */

/* Steps a connect, or an exchange, to its end. */
enum wi_step suite_connect_to_end(const struct driver_env *env, void *conn,
                                  struct wi_failure *failure);
enum wi_step suite_answer_to_end(const struct driver_env *env, void *conn, struct wi_answer *answer,
                                 struct wi_failure *failure);

/* Each truth has a minute. */
#define SUITE_TRUTH(test) cmocka_unit_test_setup_teardown(test, suite_watch, suite_unwatch)
int suite_watch(void **state);
int suite_unwatch(void **state);

/* A connection to PLACE_GOOD that is ready. */
void *suite_open(const struct driver_env *env);

/* Sends sql and takes the answer; DONE or FAILED. answer and failure may be NULL. */
enum wi_step suite_ask(const struct driver_env *env, void *conn, const char *sql,
                       struct wi_answer *answer, struct wi_failure *failure);

/* Closes and waits until the server is through with the session. */
void suite_close(const struct driver_env *env, void *conn);

/* Waits for the end of what close returned. */
void suite_await_end(int fd);

#endif
