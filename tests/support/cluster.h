/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A real PostgreSQL primary with streaming standbys, for tests in C. The work is done by the
 * program `cluster` beside this file, which runs as a child and takes orders through a socket; when
 * this process ends, however it ends, the child sees the end of the socket and takes the cluster
 * down. Nothing here needs to be cleaned up by a test that fails.
 *
 * Servers are counted from 0: 0 is the first primary. One thread at a time.
 */
#ifndef WEIR_TEST_CLUSTER_H
#define WEIR_TEST_CLUSTER_H

#include <stdbool.h>
#include <stddef.h>

struct test_cluster;

/* Zeroed: a primary, two standbys, no TLS. */
struct test_cluster_options {
	int standbys;                /* 0 means two; negative means none */
	int max_connections;         /* of each server; 0 means 100 */
	int max_seconds;             /* the cluster ends itself after so long; 0 means 900 */
	bool tls;                    /* servers offer TLS; see test_cluster_fact for the files */
	bool monitor;                /* the role app is a pg_monitor */
	const char *const *settings; /* "name=value" for postgresql.conf, ended by NULL; or NULL */
	/* Patroni's, with etcd: only standbys, max_seconds, and the orders below it */
	bool patroni;
};

/*
 * Starts a cluster and returns when every standby streams: one to three seconds. NULL if that
 * fails, with the reason in `why`; *missing then says that this machine has no PostgreSQL server,
 * which is a reason to skip, not to fail. Finds the program through TEST_SOURCE_DIR, which ctest
 * sets. stop gives all back.
 */
struct test_cluster *test_cluster_start(const struct test_cluster_options *options, char *why,
                                        size_t room, bool *missing);

/*
 * As above, but a failure ends this process: status 77 and "skipped: why", or status 1 and the
 * reason.
 */
struct test_cluster *test_cluster_start_or_exit(const struct test_cluster_options *options);

/*
 * Takes the cluster down, waits until all of it is gone, and sets *cluster to NULL. True if all
 * went well.
 */
bool test_cluster_stop(struct test_cluster **cluster);

/* ---- facts; texts live as long as the cluster ---- */

/*
 * The role app, with its password and every server:
 * postgresql://app:...@127.0.0.1:p0,127.0.0.1:p1/shop
 */
const char *test_cluster_url(const struct test_cluster *cluster);

/* The superuser, in the database postgres. */
const char *test_cluster_superuser_url(const struct test_cluster *cluster);

int test_cluster_hosts(const struct test_cluster *cluster);
int test_cluster_port(const struct test_cluster *cluster, int i);

/* The pid of the program that keeps the cluster. */
int test_cluster_program(const struct test_cluster *cluster);

/* The postmaster's pid at this moment, or 0 if that server is down or cannot be asked. */
int test_cluster_pid(struct test_cluster *cluster, int i);

/*
 * Other facts by name, NULL if there is no such: dir, bindir; with TLS also ca, wrong_ca,
 * client_cert, client_key, server_cert, expired_cert, misnamed_cert, empty_crl, revoking_crl
 * (paths) and certificate_url (a database, vault, that lets app in by client certificate only).
 */
const char *test_cluster_fact(struct test_cluster *cluster, const char *name);

/*
 * ---- orders: true when done, else see test_cluster_error; each waits for its effect, and ends by
 * itself ----
 */

bool test_cluster_shut_down(struct test_cluster *cluster, int i, bool immediate);
bool test_cluster_boot(struct test_cluster *cluster, int i); /* again, on the same port */
bool test_cluster_restart(struct test_cluster *cluster, int i);
/* SIGKILL, postmaster and backends */
bool test_cluster_kill(struct test_cluster *cluster, int i);
/* SIGSTOP, postmaster and backends */
bool test_cluster_pause(struct test_cluster *cluster, int i);
bool test_cluster_resume(struct test_cluster *cluster, int i);
/* the old primary is left as it is */
bool test_cluster_promote(struct test_cluster *cluster, int i);
/* a standby streams from the present primary */
bool test_cluster_follow(struct test_cluster *cluster, int i);
/* the same by a fresh base backup */
bool test_cluster_rejoin(struct test_cluster *cluster, int i);
bool test_cluster_pause_replay(struct test_cluster *cluster, int i);
bool test_cluster_resume_replay(struct test_cluster *cluster, int i);

/*
 * With `patroni`, which says itself who leads: an order in the words of patronilib/words.py, and
 * the number of the member that leads, -1 if none does. test_cluster_kill, _sql and _admin, too.
 */
bool test_cluster_tell(struct test_cluster *cluster, const char *words);
const char *test_cluster_api(struct test_cluster *cluster, int i); /* its URL */
int test_cluster_leader(struct test_cluster *cluster);

/* Waits until all running standbys have replayed what the primary has written. */
bool test_cluster_sync(struct test_cluster *cluster);

/* With TLS: the certificate that a server shows from now on: "server", "expired" or "misnamed". */
bool test_cluster_certificate(struct test_cluster *cluster, int i, const char *name);

/*
 * Runs SQL as the superuser in the database shop (each statement on its own) and returns the rows
 * as psql -At prints them, without the last line end, in memory that the caller frees. NULL if that
 * fails.
 */
char *test_cluster_sql(struct test_cluster *cluster, int i, const char *sql);

/* The same in the database postgres: shop's statistics stay untouched. */
char *test_cluster_admin(struct test_cluster *cluster, int i, const char *sql);

/* Why the last order failed; "" if it did not. */
const char *test_cluster_error(const struct test_cluster *cluster);

#endif
