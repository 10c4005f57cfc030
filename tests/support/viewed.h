/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A child that is looked into: a process with a router on fake servers, whose threads hold every
 * connection and wait for more, and which obeys orders of one letter. For the test's own thread,
 * which it fails where something cannot be done.
 */
#ifndef WEIR_TEST_VIEWED_H
#define WEIR_TEST_VIEWED_H

#include <stdbool.h>
#include <sys/types.h>

#include <weir/weir.h>

#include "support/fake_cluster.h"

#define VIEWED_HOLD 3 /* threads that hold, and so many that wait */

extern char viewed_directory[64]; /* where it draws */
extern pid_t viewed_child;

/* False, and why is printed: nobody could be looked into here. */
bool viewed_can_be(void);

/* Around each test. */
int viewed_set_up(void **state);
int viewed_tear_down(void **state);

/*
 * Begins it. Not stuck: a primary alone, of which nothing is taken yet. Its orders, and the letter
 * it says when they are carried out:
 *	f	forks a child, which closes its copy of the router, and ends: g
 *	w	its threads take connections, one after the other: w
 *	x	becomes another program: x, before it does
 */
void viewed_start(bool stuck);
void viewed_tell(char order);
void viewed_hear(char what);
void viewed_end(void); /* killed, if it runs */

/* The only view there is; reads it until the picture is as wanted. */
weir_view *viewed_open_only(void);
weir_view_picture viewed_await(weir_view *view, bool (*is_wanted)(const weir_view_picture *));
bool viewed_is_stuck(const weir_view_picture *p);
void viewed_nap(void); /* ten milliseconds */

/* ---- for a child of the test's own ---- */

extern struct fake_cluster viewed_cluster;
extern weir_router *viewed_router;

void viewed_open_router(weir_fork_action how, int n);
void viewed_fail(const char *what); /* ends the child with status 1 */

#endif
