/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The environment in which the libpq driver is tested: a real server with TLS, connected to as the
 * role app; and what its tests share. It lives from libpq_set_up to libpq_tear_down, once a
 * process.
 */
#ifndef WEIR_TEST_LIBPQ_SUITE_H
#define WEIR_TEST_LIBPQ_SUITE_H

#include <stdbool.h>
#include <stddef.h>

#include <libpq-fe.h>

#include "conformance/driver_suite.h"
#include "support/cluster.h"

#define LIBPQ_APPLICATION "weir conformance" /* application_name of all that is connected here */
#define LIBPQ_ROWS 12

/* A target and what it points to. */
struct libpq_place {
	struct wi_endpoint endpoint;
	struct wi_target target;
	const char *keys[LIBPQ_ROWS], *values[LIBPQ_ROWS];
	size_t n;
};

struct libpq_world {
	struct test_cluster *cluster;
	PGconn *admin;     /* the superuser's, for counting and killing */
	char password[64]; /* app's */
	char sockets[64];  /* where the server's Unix socket is */
	int nobody;        /* a port bound and not listened to */
	int silent;        /* a listening socket from which nobody accepts */
	struct libpq_place places[PLACE_FULL + 1];
};

extern struct libpq_world libpq_world;
extern const struct driver_env libpq_env;

/* Skips or ends the process where there is no server; false from tear_down: something was left. */
void libpq_set_up(void);
bool libpq_tear_down(void);

int libpq_sessions(void *arg);
bool libpq_kill(void *arg);

/* ---- places ---- */

void libpq_make_place(struct libpq_place *p, int port, const char *dbname, const char *password);

/* One that lets us in, for a test to change. */
struct libpq_place libpq_good_place(void);

/* One more parameter; both texts live as long as the place. */
void libpq_set(struct libpq_place *p, const char *key, const char *value);

/* The target, with its pointers into this copy of the place. */
const struct wi_target *libpq_target_of(struct libpq_place *p);

/* A loopback socket with a port of its own; *port says which. */
int libpq_bound_socket(int *port);

/* ---- what must go well, or fails the test ---- */

void *libpq_open_at(struct libpq_place *p);
void libpq_fail_at(struct libpq_place *p, enum wi_fault fault, struct wi_failure *failure);
void libpq_ask(void *conn, const char *sql, struct wi_answer *answer);
void libpq_assert_answer(void *conn, const char *sql, const char *value);

/* As a user does: in the holder's hands, blocking. */
void libpq_exec(void *conn, const char *sql);

void libpq_await_readable(int fd);
void libpq_assert_has(const char *text, const char *words);

#endif
