/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A PostgreSQL server that does what a test tells it to: a thread of this process that listens on
 * loopback (or a Unix socket), speaks the protocol, keeps no data, and says whatever error, silence
 * or nonsense the test wants to see answered. It ends by itself after max_seconds.
 *
 * Out of the box a pool or router opens on it. It takes every user without a password, remembers
 * settings (startup options, SET, set_config, RESET, DISCARD ALL), follows transactions, and
 * answers a SELECT whose columns are current_setting('x'), set_config(...), numbers, quoted words,
 * pg_is_in_recovery(), pg_backend_pid() or what the router's probe asks; any other column is NULL.
 * Any other statement is answered by its first word as the tag. Facts (below) say what it answers.
 *
 * Every function may be called by any thread at any time between start and stop. Sessions are named
 * by the pid that they show (weir_conn_info.backend_pid); 0 means all of them.
 */
#ifndef WEIR_TEST_MOCK_SERVER_H
#define WEIR_TEST_MOCK_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct test_mock;

/* Zeroed: 127.0.0.1, any free port, two minutes. */
struct test_mock_options {
	bool unix_socket;    /* in a directory of its own, removed by stop */
	const char *address; /* to listen on; NULL means 127.0.0.1 */
	int port;            /* 0: a free one */
	int max_seconds;     /* 0 means 120 */
};

/*
 * Starts a server; it listens when this returns. A failure ends the process. options may be NULL.
 */
struct test_mock *test_mock_start(const struct test_mock_options *options);

/* Ends it with all its sessions, frees it, sets *mock to NULL. */
void test_mock_stop(struct test_mock **mock);

/*
 * "host=... port=... user=app dbname=shop sslmode=disable gssencmode=disable"; lives as long as the
 * server.
 */
const char *test_mock_conninfo(const struct test_mock *mock);
const char *test_mock_host(const struct test_mock *mock); /* the address, or the directory */
int test_mock_port(const struct test_mock *mock);

/* ---- at the door ---- */

enum test_mock_door {
	TEST_MOCK_OPEN,    /* as a server does */
	TEST_MOCK_SILENT,  /* accepted, read, never answered */
	TEST_MOCK_HANG_UP, /* accepted and closed */
	TEST_MOCK_RESET,   /* accepted and reset */
	TEST_MOCK_DRIP,    /* answered, one byte at a time (test_mock_drip) */
	TEST_MOCK_REFUSED, /* nobody listens: the port stays ours all the same */
};

/* For connections that come from now on. */
void test_mock_door(struct test_mock *mock, enum test_mock_door door);

/* The pause between two bytes of TEST_MOCK_DRIP; a second unless set. */
void test_mock_drip(struct test_mock *mock, int64_t ms);

/*
 * As SIGSTOP does to a server: the kernel goes on accepting and acknowledging, nobody reads.
 * false: all goes on.
 */
void test_mock_freeze(struct test_mock *mock, bool frozen);

/* What a request for encryption is answered with; to begin with, NO. */
enum test_mock_secure {
	TEST_MOCK_SECURE_NO,      /* 'N' (and 'N' for GSSAPI) */
	TEST_MOCK_SECURE_MUTE,    /* nothing */
	TEST_MOCK_SECURE_STALL,   /* 'S' or 'G', then nothing */
	TEST_MOCK_SECURE_GARBAGE, /* 'S', then bytes that are no TLS */
	/* 'S' and, in the same packet, a plain AuthenticationOk; no handshake follows */
	TEST_MOCK_SECURE_STUFFED,
	TEST_MOCK_SECURE_DROP,  /* the connection is closed */
	TEST_MOCK_SECURE_ERROR, /* an ErrorResponse, as very old servers sent */
};
void test_mock_ssl(struct test_mock *mock, enum test_mock_secure how);
void test_mock_gss(struct test_mock *mock, enum test_mock_secure how);

/* ---- startup ---- */

/* The password that is asked for in clear and checked (28P01); NULL: none. */
void test_mock_password(struct test_mock *mock, const char *password);

/* The next `times` startups (negative: all) are refused FATAL with this. NULL: no more. */
void test_mock_refuse(struct test_mock *mock, int times, const char *sqlstate, const char *text);

/*
 * Startup packets with this parameter are refused, as PgBouncer does: FATAL 08P01 "unsupported
 * startup parameter: x". NULL: none.
 */
void test_mock_refuse_parameter(struct test_mock *mock, const char *name);

/* Startups are answered so much later; or, while held, not at all (until let go). */
void test_mock_startup_delay(struct test_mock *mock, int64_t ms);
void test_mock_startup_hold(struct test_mock *mock, bool held);

/* What is reported (ParameterStatus) to new sessions; value NULL: not reported any more. */
void test_mock_report(struct test_mock *mock, const char *name, const char *value);

/*
 * What is answered when asked for: any setting, or in_recovery (t, f), system_identifier, started,
 * lsn, timeline, replay_pause, receiver_status, sender_host, sender_port, for sessions old and new.
 * value NULL: unknown from now on.
 */
void test_mock_fact(struct test_mock *mock, const char *name, const char *value);

/* ---- scripted replies ---- */

enum test_mock_act {
	TEST_MOCK_ROWS,    /* `columns` and `values`, then the tag */
	TEST_MOCK_TAG,     /* only the tag */
	TEST_MOCK_ERROR,   /* severity ERROR unless set */
	TEST_MOCK_FATAL,   /* severity FATAL unless set, then the end of the session */
	TEST_MOCK_SILENCE, /* nothing, until it is cancelled */
	TEST_MOCK_CUT,     /* half of a row, and the end of the connection */
	TEST_MOCK_FIN,     /* the end of the connection without a word */
	TEST_MOCK_RST,     /* a reset */
	/* what would have been answered anyway: for `held`, `after_ms`, notices */
	TEST_MOCK_USUAL,
};

struct test_mock_reply {
	enum test_mock_act act;
	int times;            /* good for so many queries; 0: for all */
	bool held;            /* not before test_mock_go */
	int64_t after_ms;     /* not earlier than so long after the query */
	const char *notice;   /* a NOTICE comes before it */
	const char *severity; /* of ERROR, FATAL */
	const char *sqlstate; /* NULL: XX000 for an error, 00000 for a notice; "": no such field */
	const char *text;
	const char *tag;           /* NULL: by the statement's first word */
	int columns, rows;         /* of ROWS */
	const char *const *values; /* rows * columns of them, each text or NULL */
};

/*
 * What queries that begin with `prefix` are answered with, simple or extended. All is copied. Of
 * several that fit, the one scripted last counts.
 */
void test_mock_on(struct test_mock *mock, const char *prefix, const struct test_mock_reply *reply);

/* Nothing is scripted any more; what is held stays held. */
void test_mock_unscript(struct test_mock *mock);

/* Lets what is held go: queries and startups that wait now, and cancels. How many there were. */
int test_mock_go(struct test_mock *mock);

/* ---- without being asked ---- */

enum test_mock_end {
	TEST_MOCK_END_FATAL, /* FATAL with this SQLSTATE (57P01, ...), then FIN */
	TEST_MOCK_END_FIN,
	TEST_MOCK_END_RST,
};

/* Ends sessions; idle_only leaves alone those that owe an answer. How many ended. */
int test_mock_end(struct test_mock *mock, int pid, bool idle_only, enum test_mock_end how,
                  const char *sqlstate);

/* Tells sessions that a parameter has changed. How many were told. */
int test_mock_push(struct test_mock *mock, int pid, const char *name, const char *value);

/* Sends bytes as they are. How many sessions got them. */
int test_mock_send_raw(struct test_mock *mock, int pid, const void *bytes, size_t n);

/* ---- cancels ---- */

/* Cancels are acted upon so much later; or, while held, when test_mock_go comes. */
void test_mock_cancel_delay(struct test_mock *mock, int64_t ms);
void test_mock_cancel_hold(struct test_mock *mock, bool held);

/* ---- what was seen ---- */

struct test_mock_counts {
	uint64_t connects;  /* accepted */
	uint32_t open;      /* of these, now */
	uint32_t most_open; /* at once, ever */
	uint32_t sessions;  /* open now and through with startup */
	uint32_t most_sessions;
	uint32_t held; /* queries, startups and cancels that wait for go */
	uint64_t ssl_requests, gss_requests, startups, passwords;
	uint64_t queries;      /* simple ones, and executions */
	uint64_t terminates;   /* sessions that said goodbye */
	uint64_t ends;         /* connections that the client ended, with or without a word */
	uint64_t cancels;      /* requests that came */
	uint64_t cancels_hit;  /* that ended a query */
	uint64_t cancels_void; /* whose session was idle, gone, or of another key */
};
void test_mock_counts(struct test_mock *mock, struct test_mock_counts *counts);

/* How many queries that begin with prefix came; "" is all. By one session, or by all. */
uint64_t test_mock_queries(struct test_mock *mock, int pid, const char *prefix);

/* When connections were accepted (CLOCK_MONOTONIC): the last `room`. How many there are. */
size_t test_mock_connect_times(struct test_mock *mock, int64_t *ns, size_t room);

/* Whether these bytes ever arrived, over any connection, in plain (the first megabyte is kept). */
bool test_mock_heard(struct test_mock *mock, const void *bytes, size_t n);

/* A parameter of the last startup packet; "" if it had none such. Cut to room. */
void test_mock_startup_value(struct test_mock *mock, const char *name, char *value, size_t room);

/* The key of the last CancelRequest, and the query it ended ("" if none). */
void test_mock_last_cancel(struct test_mock *mock, int *pid, char *query, size_t room);

/* Waits for something to be true of the counts; false after so many ms. */
bool test_mock_await(struct test_mock *mock, int64_t ms,
                     bool (*holds)(const struct test_mock_counts *counts, void *arg), void *arg);

/* Waits for n queries with this prefix; for n connects; for so many sessions; for n held. */
bool test_mock_await_queries(struct test_mock *mock, const char *prefix, uint64_t n, int64_t ms);
bool test_mock_await_connects(struct test_mock *mock, uint64_t n, int64_t ms);
bool test_mock_await_sessions(struct test_mock *mock, uint32_t n, int64_t ms);
bool test_mock_await_held(struct test_mock *mock, uint32_t n, int64_t ms);

#endif
