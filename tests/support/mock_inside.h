/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What the files of the mock server share. One mutex guards all of it; the thread sleeps without.
 */
#ifndef WEIR_TEST_MOCK_INSIDE_H
#define WEIR_TEST_MOCK_INSIDE_H

#include <pthread.h>

#include "support/mock_server.h"
#include "support/mock_wire.h"

#define MOCK_COLUMNS 16
#define MOCK_NEVER INT64_MAX

/* Names and values, few of them; grows. */
struct mock_facts {
	struct mock_fact {
		char name[64];
		char value[512];
		bool reported; /* as ParameterStatus */
	} * row;
	size_t n, room;
};

const struct mock_fact *mock_fact_find(const struct mock_facts *facts, const char *name);
void mock_fact_set(struct mock_facts *facts, const char *name, const char *value);
void mock_fact_drop(struct mock_facts *facts, const char *name);
void mock_facts_copy(struct mock_facts *to, const struct mock_facts *from);
void mock_facts_free(struct mock_facts *facts);

/* A script; `left` counts down to 0 where it is good for some queries only. */
struct mock_script {
	char *prefix;
	struct test_mock_reply reply; /* its texts are copies */
	int left;                     /* -1: for ever */
	struct mock_script *older;
	int users; /* sessions that are answering by it, and one for the list */
};

enum mock_stage {
	MOCK_FIRST,    /* nothing came yet, or encryption was refused */
	MOCK_DEAF,     /* read and forgotten */
	MOCK_PASSWORD, /* asked for */
	MOCK_STARTING, /* the answer to the startup packet waits */
	MOCK_READY,    /* in session */
	MOCK_CANCEL,   /* a cancel that is not acted upon yet */
	MOCK_ENDING,   /* what is written goes out, and then the end */
};

struct mock_named {
	char *name, *sql;
	struct mock_named *next;
};

struct mock_session {
	int fd;
	int pid;
	uint32_t secret;
	enum mock_stage stage;
	bool drips, counted, fin_seen;
	bool extended;   /* the query under way came by Execute */
	bool skipping;   /* to the next Sync */
	bool owes;       /* an answer */
	bool held;       /* until go */
	int64_t due_ns;  /* of what waits; MOCK_NEVER */
	int64_t drip_ns; /* of the next byte */
	char transaction;
	char *query;                /* under way, or the last */
	struct mock_script *script; /* that it is answered by, or NULL */
	struct mock_bytes in, out;
	struct mock_facts now, began; /* settings; as they were at startup */
	struct mock_named *prepared;
	char *portal; /* what was bound last */
	uint32_t cancel_secret;
	int cancel_pid;
};

struct mock_query {
	int pid;
	char *text;
};

struct test_mock {
	pthread_mutex_t lock;
	pthread_cond_t changed; /* after each thing that happened */
	pthread_t thread;
	int listener, bell;
	int port;
	char address[64];
	char directory[64]; /* of the Unix socket; "" if none */
	char conninfo[256];
	int64_t ends_ns;
	bool stopping, frozen;
	bool listens, over; /* the thread's word: as `door` wants it; it has ended */

	enum test_mock_door door;
	int64_t drip_ns;
	enum test_mock_secure ssl, gss;
	char *password;
	char *refused_parameter;
	struct {
		int times;
		char sqlstate[6];
		char text[256];
	} refusal;
	int64_t startup_delay_ns, cancel_delay_ns;
	bool startup_held, cancel_held;
	struct mock_facts facts, startup;
	struct mock_script *scripts;

	struct mock_session **session;
	size_t sessions, room;
	int last_pid;
	struct test_mock_counts counts;
	struct mock_query *query;
	size_t queries, query_room;
	int64_t *connected_ns;
	size_t connected_room;
	struct mock_bytes heard;
	int cancel_pid;
	char *cancel_query;
};

/* mock_answer.c: what is answered where nothing is scripted. */
struct mock_result {
	bool empty; /* no statement at all */
	bool has_row;
	int columns;
	const char *value[MOCK_COLUMNS]; /* NULL or room */
	char room[MOCK_COLUMNS][512];
	char tag[64];
};

/* The end of the first statement of sql, after its semicolon. */
const char *mock_statement_end(const char *sql);

/* Answers one statement; if dry, without the effects. */
void mock_answer(struct test_mock *m, struct mock_session *s, const char *sql, size_t n, bool dry,
                 struct mock_result *r);

/* mock_session.c: what a session does with what it got. */
void mock_session_read(struct test_mock *m, struct mock_session *s);
void mock_session_go(struct test_mock *m, struct mock_session *s); /* what waited waits no more */
void mock_session_end(struct mock_session *s, enum test_mock_end how, const char *sqlstate);
void mock_session_cancelled(struct test_mock *m, struct mock_session *s);
void mock_session_free(struct mock_session *s);
bool mock_session_is_waiting(const struct mock_session *s);

/* mock_reply.c: queries and their answers. */
void mock_query(struct test_mock *m, struct mock_session *s, const char *sql, bool extended);
void mock_reply_now(struct test_mock *m, struct mock_session *s);
void mock_extended(struct test_mock *m, struct mock_session *s, char type, const char *at,
                   size_t n);
void mock_error(struct mock_session *s, const char *severity, const char *sqlstate,
                const char *text);
void mock_script_let_go(struct mock_script *script);
void mock_prepared_free(struct mock_session *s);

/* Something happened: whoever waits looks again. The lock is held. */
void mock_changed(struct test_mock *m);
int64_t mock_now_ns(void);

#endif
