/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * One connection of a pool of one, on a fake server that answers as it is asked: "FAIL 23505" with
 * that SQLSTATE, LOSE with the end of the session, everything else well.
 */
#ifndef WEIR_TEST_SCRIPTED_H
#define WEIR_TEST_SCRIPTED_H

#include <weir/weir.h>

#include "driver/fake.h"

struct scripted {
	struct wi_fake_server server;
	char asked[1024];         /* by the holder: one thread; "BEGIN|COMMIT|" */
	_Atomic int seen;         /* statements that name ONCE */
	const char *commit_fails; /* an SQLSTATE; "": the connection is lost in it; NULL: not */
	weir_pool *pool;
	weir_conn *conn;
};

/* cmocka's, around each test: *state is one, with its connection checked out. */
int scripted_begin(void **state);
int scripted_begin_with(void **state, const weir_options *options); /* but a pool of one */
int scripted_end(void **state);

#endif
