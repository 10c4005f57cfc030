/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Every public call that takes a pool, a router, a connection or a transaction, as a forked child
 * makes it with what is its parent's: refused with FORKED, or nothing is done. A child that finds
 * it otherwise says so and ends with 1.
 */
#ifndef WEIR_TEST_P38_CALLS_H
#define WEIR_TEST_P38_CALLS_H

#include <stdio.h>
#include <unistd.h>

#include <weir/weir.h>

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x)) {                                                                        \
			fprintf(stderr, "child: %s:%d: %s\n", __FILE__, __LINE__, #x);             \
			_exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* In each text of SQL that goes along: nobody is ever to hear it. */
#define OF_A_CHILD "a child was here"

void call_pool(weir_pool *pool);
void call_router(weir_router *router);
/* All but giving it back. */
void call_connection(weir_conn *conn);
/* One that the parent has begun; it has ended for this child then. */
void call_transaction(weir_tx *tx);

#endif
