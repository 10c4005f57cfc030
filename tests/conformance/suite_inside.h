/* SPDX-License-Identifier: BSD-2-Clause */
/* What the parts of the suite share: stepping with a bound, and what a session must look like. */
#ifndef WEIR_TEST_SUITE_INSIDE_H
#define WEIR_TEST_SUITE_INSIDE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "conformance/driver_suite.h"

#define SUITE_PATIENCE (30 * WI_SEC) /* what may never take so long */

/* For the tests, which cmocka calls without one. */
extern const struct driver_env *suite_env;

/* Each runs its part against suite_env; returns the number of truths that failed. */
int suite_run_connect(const char *name);
int suite_run_ask(const char *name);
int suite_run_end(const char *name);
int suite_run_calls(const char *name);

/* Begins to connect there. */
void *suite_begin(const struct driver_env *env, enum driver_place place);

bool suite_goes_on(enum wi_step step);
void suite_wait_for_step(const struct driver_env *env, void *conn, enum wi_step step,
                         int64_t deadline);

/* Steps until the end or the deadline. */
enum wi_step suite_connect_until(const struct driver_env *env, void *conn,
                                 struct wi_failure *failure, int64_t deadline);
enum wi_step suite_answer_until(const struct driver_env *env, void *conn, struct wi_answer *answer,
                                struct wi_failure *failure, int64_t deadline);

/* Waits for the server's count; what it ends is gone by itself, but not at once. */
void suite_await_sessions(int wanted);

/* Waits until the server has said something, or is gone. */
void suite_await_readable(void *conn);

/* Sends a query that will not be answered soon, and sees that it is not. */
void suite_ask_slowly(void *conn);

/* It says something, in one line, and no secret. */
void suite_assert_secretless(const struct wi_failure *failure);
void suite_assert_look(void *conn, enum wi_look look);

#endif
