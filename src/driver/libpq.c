/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The driver for libpq: the only file of the library that includes libpq's headers.
 *
 * Connecting. Parameters go to libpq as arrays and are never expanded, so that no value can turn
 * into another parameter. Where a target is isolated, a connection string made of nothing but
 * constants goes before them: it gives every option that has an environment variable a neutral
 * value, because libpq takes an empty string from there as given and not as absent. (PGSERVICE,
 * PGTZ, PGDATESTYLE and PGGEQO have no such option; check refuses them.) Errors are verbose while
 * connecting, which is the only way to a SQLSTATE there.
 *
 * Notices. A receiver is there from the start: it keeps what ends the session, because a FATAL
 * arrives as a notice when no query runs, and hands the rest to the processor, which is silent
 * until a holder sets one of its own. Nothing is ever printed.
 *
 * Settings. A hash of what the server reports (ParameterStatus) tells a changed session from a
 * clean one. It takes some 0.2 us, most of it in libpq's list of parameters, which only
 * PQparameterStatus can search, name by name: so a look computes it only after something was heard
 * from an event procedure. libpq calls that for every result that PQgetResult gives out, and all
 * ways to run a statement come to that (PQexec and its like, pipelines, single rows, COPY, errors);
 * it costs such a result 0.04 us. What is not heard: PQfn, which makes its result by itself, and
 * what the server reports to an idle session when its configuration was read anew. The latter is no
 * holder's doing and does no harm. A setting changed by a function that was called through PQfn,
 * with no statement after it, is missed at that checkin and found by the first look after the next
 * statement or peek. reset=always misses nothing.
 *
 * Other changes. The same procedure reads the command tag of what returned no rows (tag.c): most of
 * what a session can keep is made by commands of its own, such as SET ROLE, PREPARE or LISTEN. What
 * a function did inside a SELECT has no tag; docs/session-state.md says what is missed thereby.
 *
 * Waiting. libpq's sockets never block by themselves; libpq waits in poll(2) if it is in blocking
 * mode and its output does not fit. It is in that mode only while a holder has it, see driver.h.
 */
#include "driver/driver.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libpq-events.h>
#include <libpq-fe.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "base/text.h"
#include "driver/fault.h"
#include "driver/parameter.h"
#include "driver/settings.h"
#include "driver/tag.h"
#include "driver/tls.h"

#define KNOWN_MAX 192 /* names that a connection string may use: twice as many as there are */

struct pq_conn {
	PGconn *pg;
	const struct wi_target *target;
	PQnoticeReceiver to_processor; /* libpq's own receiver, which calls the processor */
	PGresult *error;               /* the first error of the exchange under way */
	struct wi_failure *last_words; /* what the server said as it ended the session */
	void *tls;                     /* held from the begin of the TLS handshake to its end */
	uint64_t mark;                 /* hash of the reported settings when clean */
	ino_t inode;                   /* of the socket, so that cut never hits another's */
	_Atomic int fd;                /* the socket once connected, else -1; any thread */
	short waits;                   /* POLLIN or POLLOUT: what connecting waits for */
	bool fresh;                    /* no step of this exchange was made yet */
	bool flushing;                 /* some of the SQL is not sent yet */
	bool touched; /* something was heard since the settings were seen to be as marked */
	/* since it was marked clean, notifications came or a command may have left something */
	bool changed;
	int syncs;     /* ends of a pipeline's statements that are still to come */
	bool failed;   /* only close is left to do, whatever libpq thinks */
	char heard[6]; /* SQLSTATE of the first error of note; "" for none */
};

/* ---- what libpq is told ---- */

/*
 * The constants that stand before a target's own parameters. hostaddr is among them always: an
 * address from the environment must not replace the endpoint's. false: no memory.
 */
static bool write_constants(char *to, size_t room, bool isolated)
{
	PQconninfoOption *options, *o;
	struct wi_text text;

	wi_text_init(&text, to, room);
	wi_text_add(&text, "hostaddr=''");
	if (!isolated)
		return true;
	options = PQconninfoParse("", NULL);
	if (!options)
		return false;
	for (o = options; o->keyword; o++) {
		const char *value = wi_parameter_neutral(o->keyword, o->envvar, o->compiled);

		if (value)
			wi_text_add(&text, " %s='%s'", o->keyword, value);
	}
	PQconninfoFree(options);
	return text.len + 1 < room;
}

/* The two arrays for PQconnectStartParams. */
struct params {
	const char **keys, **values;
	size_t n;
};

static void param(struct params *p, const char *key, const char *value)
{
	if (!value || !value[0])
		return;
	p->keys[p->n] = key;
	p->values[p->n++] = value;
}

static size_t count_keys(const struct wi_target *target)
{
	size_t n = 0;

	while (target->keys && target->keys[n])
		n++;
	return n;
}

static PGconn *start(const struct wi_target *target, const struct wi_endpoint *endpoint,
                     const char *address)
{
	char constants[4096];
	size_t n = count_keys(target);
	size_t rows = n + 8; /* constants, user, password, host, hostaddr, port, options, end */
	size_t bytes = 2 * rows * sizeof(char *);
	const char **arrays = wi_alloc(bytes);
	struct params p = {.keys = arrays, .values = arrays ? arrays + rows : NULL};
	PGconn *pg = NULL;

	if (!arrays || !write_constants(constants, sizeof(constants), target->isolated))
		goto done;
	param(&p, "dbname", constants); /* the first dbname is expanded, no later one is */
	for (size_t i = 0; i < n; i++)
		param(&p, target->keys[i], target->values[i]);
	if (target->login) {
		param(&p, "user", target->login->user);
		param(&p, "password", target->login->password);
	}
	param(&p, "host", endpoint->host);
	param(&p, "hostaddr", address ? address : endpoint->hostaddr);
	param(&p, "port", endpoint->port);
	param(&p, "options", target->startup_options);
	pg = PQconnectStartParams(p.keys, p.values, 1);
done:
	wi_free(arrays, bytes);
	return pg;
}

/* ---- judging parameters ---- */

static weir_status unknown_keyword(const char *key, const char *const known[], size_t n,
                                   weir_error *error)
{
	const char *near = wi_nearest(key, known, n);
	int since = wi_parameter_since(key);

	if (since)
		return wi_fail(error, WEIR_INVALID,
		               "\"%s\" needs libpq %d or later; this is libpq %d.%d", key, since,
		               PQlibVersion() / 10000, PQlibVersion() % 10000);
	if (near)
		return wi_fail(error, WEIR_INVALID,
		               "unknown parameter \"%s\"; did you mean \"%s\"?", key, near);
	return wi_fail(error, WEIR_INVALID, "unknown parameter \"%s\"", key);
}

/* The names that a connection string may use: libpq's and weir's. known has room for KNOWN_MAX. */
static size_t list_known(const char *known[], const PQconninfoOption *options)
{
	const weir_option_row *row;
	size_t n = 0;

	for (; options->keyword && n < KNOWN_MAX; options++)
		known[n++] = options->keyword;
	for (size_t i = 0; n < KNOWN_MAX && (row = weir_option_at(i)) != NULL; i++)
		known[n++] = row->name;
	return n;
}

static bool has_keyword(const PQconninfoOption *options, const char *key)
{
	for (; options->keyword; options++)
		if (strcmp(options->keyword, key) == 0)
			return true;
	return false;
}

static weir_status check_keys(const struct wi_target *target, weir_error *error)
{
	PQconninfoOption *options = PQconninfoParse("", NULL);
	weir_status status = WEIR_OK;
	const char *known[KNOWN_MAX];
	size_t n = count_keys(target);

	if (!options)
		return wi_fail(error, WEIR_NO_MEMORY, "out of memory");
	for (size_t i = 0; i < n && status == WEIR_OK; i++)
		if (!has_keyword(options, target->keys[i]))
			status = unknown_keyword(target->keys[i], known, list_known(known, options),
			                         error);
	PQconninfoFree(options);
	return status;
}

/* Where an older libpq would look for a file of this name, and say that there is none. */
static weir_status check_system_roots(const struct wi_target *target, weir_error *error)
{
	for (size_t i = 0; target->keys && target->keys[i]; i++)
		if (strcmp(target->keys[i], "sslrootcert") == 0 &&
		    strcmp(target->values[i], "system") == 0 && PQlibVersion() < 160000)
			return wi_fail(error, WEIR_INVALID,
			               "sslrootcert=system needs libpq 16 or later; this is libpq "
			               "%d.%d: name a file with the authorities",
			               PQlibVersion() / 10000, PQlibVersion() % 10000);
	return WEIR_OK;
}

/*
 * libpq judges values where it begins to connect, so we let it: to a Unix socket that cannot be. If
 * it gets as far as naming the socket in its complaint, it had nothing to say about the values.
 */
static weir_status check_values(const struct wi_target *target, weir_error *error)
{
	static const struct wi_endpoint nowhere = {.host = WI_NO_FILE};
	PGconn *pg = start(target, &nowhere, NULL);
	weir_status status = WEIR_OK;
	char text[512];

	if (!pg)
		return wi_fail(error, WEIR_NO_MEMORY, "out of memory");
	if (!strstr(PQerrorMessage(pg), WI_NO_FILE "/")) {
		wi_copy_clean(text, sizeof(text), PQerrorMessage(pg), target->secret);
		status = wi_fail(error,
		                 wi_fault_of_connect("", text) == WI_FAULT_MEMORY ? WEIR_NO_MEMORY
		                                                                  : WEIR_INVALID,
		                 "%s", text);
	}
	PQfinish(pg);
	return status;
}

static void find_tls(void)
{
	int (*a_function)(void) = PQlibVersion;
	const void *libpq;

	memcpy(&libpq, &a_function, sizeof(libpq));
	wi_tls_find(libpq);
}

static weir_status pq_check(const struct wi_target *target, weir_error *error)
{
	const char *variable = target->isolated ? wi_parameter_stubborn_variable() : NULL;
	weir_status status;

	if (variable)
		return wi_fail(error, WEIR_INVALID,
		               "isolated is on, and libpq obeys the environment variable %s "
		               "whatever it is told: unset it",
		               variable);
	find_tls(); /* here, as the keeper may not */
	status = check_keys(target, error);
	if (status == WEIR_OK)
		status = check_system_roots(target, error);
	return status == WEIR_OK ? check_values(target, error) : status;
}

/* ---- what is heard ---- */

/* Wherever libpq has it from: the target, a login, the environment, a password or service file. */
static const char *secret_of(const struct pq_conn *c)
{
	const char *password = PQpass(c->pg);

	return password && password[0] ? password : NULL;
}

/* Keeps the first message that ends the session. Without memory only the fact is kept. */
static void keep_last_words(struct pq_conn *c, const PGresult *notice)
{
	c->failed = true;
	if (c->last_words)
		return;
	c->last_words = wi_alloc(sizeof(*c->last_words));
	if (c->last_words)
		wi_failure_set(c->last_words, WI_FAULT_LOST,
		               PQresultErrorField(notice, PG_DIAG_SQLSTATE),
		               PQresultErrorField(notice, PG_DIAG_MESSAGE_PRIMARY), secret_of(c));
}

static void hear_notice(void *arg, const PGresult *notice)
{
	struct pq_conn *c = arg;

	if (wi_fault_ends_session(PQresultErrorField(notice, PG_DIAG_SEVERITY_NONLOCALIZED),
	                          PQresultErrorField(notice, PG_DIAG_SQLSTATE)))
		keep_last_words(c, notice);
	c->to_processor(NULL, notice);
}

static void say_nothing(void *arg, const char *message)
{
	(void)arg;
	(void)message;
}

static uint64_t settings_hash(const PGconn *pg)
{
	return wi_settings_hash(pg, PQclientEncoding(pg), PQparameterStatus);
}

/* An error of a holder's statement. touched keeps look from finding it CLEAN. */
static void hear_error(struct pq_conn *c, const PGresult *result)
{
	const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);

	if (!c->heard[0] && wi_fault_is_heard(sqlstate, c->target->hears_all))
		wi_copy(c->heard, sizeof(c->heard), sqlstate);
}

/*
 * The event procedure. Results carry a copy of it and may outlive the connection: so it looks for
 * the connection in the event, and only in an event that has one.
 */
static int hear_event(PGEventId what, void *info, void *unused)
{
	const PGEventResultCreate *event = info;
	struct pq_conn *c;

	(void)unused;
	if (what != PGEVT_RESULTCREATE)
		return 1; /* 0 would make an error of the result in libpq 14 */
	c = PQinstanceData(event->conn, hear_event);
	if (!c)
		return 1;
	c->touched = true;
	/* The tag is there: libpq fires the event where it hands the finished result out. */
	if (PQresultStatus(event->result) == PGRES_COMMAND_OK &&
	    wi_tag_may_leave(PQcmdStatus(event->result)))
		c->changed = true;
	else if (PQresultStatus(event->result) == PGRES_FATAL_ERROR)
		hear_error(c, event->result);
	return 1;
}

/* Whether the settings are not as marked. Stays true until they are, or are marked. */
static bool settings_changed(struct pq_conn *c)
{
	if (c->touched)
		c->touched = c->heard[0] || settings_hash(c->pg) != c->mark;
	return c->touched;
}

/* Throws notifications away, parsing what libpq has read; whether there were any. */
static bool drop_notifications(PGconn *pg)
{
	PGnotify *note;
	bool any = false;

	while ((note = PQnotifies(pg)) != NULL) {
		PQfreemem(note);
		any = true;
	}
	return any;
}

static void pq_mark_clean(void *conn)
{
	struct pq_conn *c = conn;

	drop_notifications(c->pg);
	c->changed = false;
	c->mark = settings_hash(c->pg);
	c->touched = false;
}

/* ---- connecting ---- */

static void *pq_connect(const struct wi_target *target, const char *address)
{
	struct pq_conn *c = wi_alloc(sizeof(*c));

	if (!c)
		return NULL;
	c->target = target;
	c->waits = POLLOUT;
	wi_store_rlx(&c->fd, -1);
	c->pg = start(target, target->endpoint, address);
	if (!c->pg || !PQregisterEventProc(c->pg, hear_event, "weir", NULL) ||
	    !PQsetInstanceData(c->pg, hear_event, c)) {
		PQfinish(c->pg);
		wi_free(c, sizeof(*c));
		return NULL;
	}
	PQsetErrorVerbosity(c->pg, PQERRORS_VERBOSE);
	c->to_processor = PQsetNoticeReceiver(c->pg, hear_notice, c);
	PQsetNoticeProcessor(c->pg, say_nothing, NULL);
	return c;
}

/* Whether the descriptor is ready now; an error or hang-up is, too. */
static bool is_ready(int fd, short events)
{
	struct pollfd p = {.fd = fd, .events = events};
	int n;

	do
		n = poll(&p, 1, 0);
	while (n < 0 && errno == EINTR);
	return n != 0;
}

static enum wi_step wait_for(struct pq_conn *c, short events)
{
	c->waits = events;
	return events == POLLIN ? WI_STEP_READ : WI_STEP_WRITE;
}

static void hold_tls(struct pq_conn *c)
{
	void *ssl = c->tls ? NULL : PQsslStruct(c->pg, "OpenSSL");

	if (ssl)
		c->tls = wi_tls_hold(ssl);
}

static void drop_tls(struct pq_conn *c)
{
	wi_tls_drop(c->tls);
	c->tls = NULL;
}

/*
 * The step in which libpq begins a handshake sends the first message and looks for the answer at
 * once. If that is there already and the certificate bad, the state is gone before anybody could
 * take hold of it: so the message is kept back until somebody has. (Busy machines do that often:
 * the server is woken by the message, and runs first.)
 */
static void cork(const struct pq_conn *c, int on)
{
	if (PQsocket(c->pg) >= 0) /* libpq has closed it where it failed */
		setsockopt(PQsocket(c->pg), IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

/* Adds what libpq does not say: which check a certificate failed, and whose wish the check was. */
static void explain_tls(struct pq_conn *c, struct wi_failure *failure)
{
	struct wi_text text;
	char why[200];

	if (failure->fault != WI_FAULT_TLS)
		return;
	text = (struct wi_text){failure->text, sizeof(failure->text), strlen(failure->text)};
	if (wi_tls_why(c->tls, why, sizeof(why)))
		wi_text_add(&text, ": %s", why);
	if (c->target->strict)
		wi_text_add(&text, "; no sslmode was given, so weir asked for verify-full");
}

static enum wi_step connected(struct pq_conn *c)
{
	struct stat status;

	drop_tls(c);
	PQsetErrorVerbosity(c->pg, PQERRORS_DEFAULT);
	if (fstat(PQsocket(c->pg), &status) == 0)
		c->inode = status.st_ino;
	pq_mark_clean(c);
	wi_store_rlx(&c->fd, PQsocket(c->pg));
	return WI_STEP_DONE;
}

static PostgresPollingStatusType step_on(struct pq_conn *c)
{
	bool kept = !c->tls && PQstatus(c->pg) == CONNECTION_SSL_STARTUP;
	PostgresPollingStatusType result;

	if (kept)
		cork(c, 1);
	result = PQconnectPoll(c->pg);
	hold_tls(c);
	if (kept)
		cork(c, 0);
	return result;
}

static enum wi_step pq_connect_step(void *conn, struct wi_failure *failure)
{
	struct pq_conn *c = conn;

	if (wi_load_rlx(&c->fd) >= 0)
		return WI_STEP_DONE;
	/*
	 * libpq takes any call for the event it waits for: before connect(2) is through, it sends.
	 */
	if (PQstatus(c->pg) != CONNECTION_BAD && !is_ready(PQsocket(c->pg), c->waits))
		return wait_for(c, c->waits);
	switch (step_on(c)) {
	case PGRES_POLLING_READING:
		return wait_for(c, POLLIN);
	case PGRES_POLLING_WRITING:
		return wait_for(c, POLLOUT);
	case PGRES_POLLING_OK:
		return connected(c);
	case PGRES_POLLING_FAILED:
	case PGRES_POLLING_ACTIVE:
		break;
	}
	wi_failure_of_connect(failure, PQerrorMessage(c->pg), secret_of(c));
	explain_tls(c, failure);
	return WI_STEP_FAILED;
}

static const char *pq_password(void *conn)
{
	return secret_of(conn);
}

static int pq_fd(void *conn)
{
	return PQsocket(((struct pq_conn *)conn)->pg);
}

static int64_t pq_due(void *conn)
{
	(void)conn;
	return WI_FOREVER;
}

/* ---- asking ---- */

static void drop_error(struct pq_conn *c)
{
	PQclear(c->error);
	c->error = NULL;
}

static void failure_of_result(struct wi_failure *failure, enum wi_fault fault,
                              const PGresult *result, const char *secret)
{
	const char *text = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);

	wi_failure_set(failure, fault, PQresultErrorField(result, PG_DIAG_SQLSTATE),
	               text ? text : PQresultErrorMessage(result), secret);
}

/* Whether libpq's complaint is the system's about a peer that acknowledged nothing for too long. */
static bool is_silence(const PGconn *pg)
{
	char words[128];

	return strstr(PQerrorMessage(pg), strerror_r(ETIMEDOUT, words, sizeof(words))) != NULL;
}

/* What libpq says, with what a statement of the holder's was told before, if anything. */
static void tell_by_libpq(const struct pq_conn *c, struct wi_failure *failure)
{
	wi_failure_set(failure, WI_FAULT_LOST, c->heard, PQerrorMessage(c->pg), secret_of(c));
	failure->silent = !c->heard[0] && is_silence(c->pg);
}

/*
 * Says why a connection is lost, by what has the most to say: the server, or libpq. Says the same
 * when asked again.
 */
static void tell_lost(struct pq_conn *c, struct wi_failure *failure)
{
	if (c->error && PQresultErrorField(c->error, PG_DIAG_SQLSTATE))
		failure_of_result(failure, WI_FAULT_LOST, c->error, secret_of(c));
	else if (c->last_words)
		*failure = *c->last_words;
	else
		tell_by_libpq(c, failure);
	if (!failure->text[0])
		wi_copy(failure->text, sizeof(failure->text), "the connection is lost");
	c->failed = true;
	drop_error(c);
	if (!c->last_words && (c->last_words = wi_alloc(sizeof(*c->last_words))))
		*c->last_words = *failure;
}

static enum wi_step lost(struct pq_conn *c, struct wi_failure *failure)
{
	tell_lost(c, failure);
	return WI_STEP_FAILED;
}

/* An answer of a kind that weir never asks for: what would come next is not worth guessing. */
static enum wi_step surprised(struct pq_conn *c, struct wi_failure *failure)
{
	if (c->last_words)
		return lost(c, failure);
	wi_failure_set(failure, WI_FAULT_LOST, NULL,
	               "closed: the statement was answered by COPY or out of turn", NULL);
	drop_error(c);
	return WI_STEP_FAILED;
}

static bool pq_send(void *conn, const char *sql, struct wi_failure *failure)
{
	struct pq_conn *c = conn;

	if (c->failed || PQtransactionStatus(c->pg) == PQTRANS_ACTIVE ||
	    PQsetnonblocking(c->pg, 1) != 0 || !PQsendQuery(c->pg, sql)) {
		tell_lost(c, failure);
		return false;
	}
	c->flushing = true;
	c->fresh = true;
	return true;
}

/* One statement of a pipeline, with its own end. */
static bool send_in_pipeline(PGconn *pg, const char *sql)
{
	return PQsendQueryParams(pg, sql, 0, NULL, NULL, NULL, NULL, 0) && PQpipelineSync(pg);
}

static bool pq_send_two(void *conn, const char *first, const char *second,
                        struct wi_failure *failure)
{
	struct pq_conn *c = conn;

	if (c->failed || PQtransactionStatus(c->pg) == PQTRANS_ACTIVE ||
	    PQsetnonblocking(c->pg, 1) != 0 || !PQenterPipelineMode(c->pg) ||
	    !send_in_pipeline(c->pg, first) || !send_in_pipeline(c->pg, second)) {
		tell_lost(c, failure);
		return false;
	}
	c->flushing = true;
	c->fresh = true;
	c->syncs = 2;
	return true;
}

/* The end of a statement of a pipeline; after the last one the pipeline is left. */
static void take_sync(struct pq_conn *c)
{
	if (c->syncs == 0)
		c->failed = true; /* nobody asked for it */
	else if (--c->syncs == 0 && !PQexitPipelineMode(c->pg))
		c->failed = true;
}

static void fill_answer(struct wi_answer *answer, const PGresult *result)
{
	int columns = PQnfields(result);

	memset(answer, 0, sizeof(*answer));
	answer->columns = columns < WI_ANSWER_COLUMNS ? (size_t)columns : WI_ANSWER_COLUMNS;
	answer->has_row = PQntuples(result) > 0;
	for (int i = 0; answer->has_row && i < (int)answer->columns; i++) {
		answer->is_null[i] = PQgetisnull(result, 0, i);
		wi_copy(answer->value[i], sizeof(answer->value[i]), PQgetvalue(result, 0, i));
	}
}

/* One result of the exchange. */
static void take_result(struct pq_conn *c, PGresult *result, struct wi_answer *answer)
{
	switch (PQresultStatus(result)) {
	case PGRES_TUPLES_OK:
		if (answer)
			fill_answer(answer, result);
		break;
	case PGRES_EMPTY_QUERY:
	case PGRES_COMMAND_OK:
	case PGRES_NONFATAL_ERROR:
		break;
	case PGRES_BAD_RESPONSE:
	case PGRES_FATAL_ERROR:
		if (c->error)
			break;
		c->error = result; /* the first is the cause; later ones may have no SQLSTATE */
		return;
	case PGRES_COPY_OUT:
	case PGRES_COPY_IN:
	case PGRES_COPY_BOTH:
	case PGRES_SINGLE_TUPLE:
	case PGRES_PIPELINE_ABORTED:
		c->failed = true;
		break;
	case PGRES_PIPELINE_SYNC:
		take_sync(c);
		break;
	}
	PQclear(result);
}

/* All results are in. */
static enum wi_step answered(struct pq_conn *c, struct wi_failure *failure)
{
	if (c->failed || PQstatus(c->pg) != CONNECTION_OK)
		return lost(c, failure);
	PQsetnonblocking(c->pg, 0); /* nothing is left to flush, so this cannot wait */
	if (!c->error)
		return WI_STEP_DONE;
	failure_of_result(failure, WI_FAULT_SQL, c->error, secret_of(c));
	drop_error(c);
	return WI_STEP_FAILED;
}

static enum wi_step pq_answer_step(void *conn, struct wi_answer *answer, struct wi_failure *failure)
{
	struct pq_conn *c = conn;
	PGresult *result;
	bool alive;

	if (c->fresh && answer)
		memset(answer, 0, sizeof(*answer));
	c->fresh = false;
	if (c->flushing)
		c->flushing = PQflush(c->pg) > 0;
	/* When it has just ended, what the server said last may still be unparsed: go on. */
	alive = PQconsumeInput(c->pg);
	while (!alive || !PQisBusy(c->pg)) {
		result = PQgetResult(c->pg);
		if (!result && c->syncs > 0 && alive)
			continue; /* the end of one of several statements */
		if (!result)
			return answered(c, failure);
		take_result(c, result, answer);
		if (c->failed && PQstatus(c->pg) == CONNECTION_OK)
			return surprised(c, failure);
	}
	return c->flushing ? WI_STEP_WRITE : WI_STEP_READ;
}

/* ---- what was left under way ---- */

/* What libpq reads at one go, about. */
#define READ_MOST 65536

/* Takes what a step will read from the room for it; false: there is none left. */
static bool has_room(const PGconn *pg, size_t *room)
{
	int n = 0;

	if (ioctl(PQsocket(pg), FIONREAD, &n) != 0 || n < 1)
		return *room > 0;
	if (n > READ_MOST)
		n = READ_MOST;
	if (*room < (size_t)n)
		return false;
	*room -= (size_t)n;
	return true;
}

/*
 * Nonblocking mode flushes first, and libpq would wait for that. In simple and extended queries
 * nothing is left to flush; in COPY at most a block of 8 KiB is, for which a writable socket has
 * room. (In a pipeline it may be more, and it is not worth it.) true: it is in that mode.
 */
static bool stop_blocking(PGconn *pg)
{
	if (PQisnonblocking(pg))
		return true;
	if (!is_ready(PQsocket(pg), POLLOUT))
		return false;
	PQsetSingleRowMode(pg); /* no heap of rows, where that can still be had */
	return PQsetnonblocking(pg, 1) == 0;
}

/* What there is of COPY's rows; true: all of them. */
static bool drop_copied(struct pq_conn *c)
{
	char *row;
	int n;

	while ((n = PQgetCopyData(c->pg, &row, 1)) > 0)
		PQfreemem(row);
	if (n < -1)
		c->failed = true;
	return n < 0;
}

enum drained { DRAINED_MORE, DRAINED_ALL, DRAINED_NOT };

/* Throws away what is parsed. */
static enum drained drop_results(struct pq_conn *c)
{
	PGresult *result = PQgetResult(c->pg);
	ExecStatusType status = PQresultStatus(result);

	if (!result)
		return DRAINED_ALL;
	PQclear(result);
	if (status == PGRES_COPY_BOTH)
		c->failed = true;
	else if (status == PGRES_COPY_IN && PQputCopyEnd(c->pg, "given back in COPY") < 0)
		c->failed = true;
	else if (status == PGRES_COPY_OUT && !drop_copied(c))
		return DRAINED_NOT;
	return DRAINED_MORE;
}

static enum wi_step drain_failed(struct wi_failure *failure, const char *why)
{
	wi_failure_set(failure, WI_FAULT_SQL, NULL, why, NULL);
	return WI_STEP_FAILED;
}

static enum wi_step pq_drain_step(void *conn, size_t *room, struct wi_failure *failure)
{
	struct pq_conn *c = conn;
	enum drained now = DRAINED_MORE;
	bool alive;

	if (c->failed || PQstatus(c->pg) != CONNECTION_OK)
		return lost(c, failure);
	if (PQpipelineStatus(c->pg) != PQ_PIPELINE_OFF)
		return drain_failed(failure, "what is under way cannot be ended here");
	if (!has_room(c->pg, room))
		return drain_failed(failure, "too much is left unread");
	if (!stop_blocking(c->pg) && PQconsumeInput(c->pg)) /* which in this mode only reads */
		return WI_STEP_WRITE;
	PQflush(c->pg);
	alive = PQconsumeInput(c->pg);
	while (now == DRAINED_MORE && !c->failed && (!alive || !PQisBusy(c->pg)))
		now = drop_results(c);
	if (c->failed || PQstatus(c->pg) != CONNECTION_OK)
		return lost(c, failure);
	if (now != DRAINED_ALL)
		return PQflush(c->pg) > 0 ? WI_STEP_WRITE : WI_STEP_READ;
	PQsetnonblocking(c->pg, 0);
	return WI_STEP_DONE;
}

static void *pq_cancel_make(void *conn)
{
	PGconn *pg = ((struct pq_conn *)conn)->pg;

	return PQstatus(pg) == CONNECTION_OK ? PQgetCancel(pg) : NULL;
}

/*
 * libpq returns when the server has closed the connection that brought the request, which it does
 * after it has signalled the session's process; and a process that finds the signal when it reads
 * its next message takes it for over.
 */
static bool pq_cancel_ask(void *cancel)
{
	char error[256];

	return PQcancel(cancel, error, sizeof(error)) == 1;
}

static void pq_cancel_free(void *cancel)
{
	PQfreeCancel(cancel);
}

/* ---- looking ---- */

static enum wi_look pq_look(void *conn)
{
	struct pq_conn *c = conn;

	if (c->failed || PQstatus(c->pg) != CONNECTION_OK)
		return WI_LOOK_DEAD;
	if (PQpipelineStatus(c->pg) != PQ_PIPELINE_OFF)
		return WI_LOOK_BUSY;
	switch (PQtransactionStatus(c->pg)) {
	case PQTRANS_IDLE:
		break;
	case PQTRANS_INTRANS:
	case PQTRANS_INERROR:
		return WI_LOOK_IN_TX;
	case PQTRANS_ACTIVE:
		return WI_LOOK_BUSY;
	case PQTRANS_UNKNOWN:
		return WI_LOOK_DEAD;
	}
	c->changed |= drop_notifications(c->pg); /* once seen, it stays a change until a reset */
	if (c->failed) /* its last words were among what libpq had read and not parsed */
		return WI_LOOK_DEAD;
	return c->changed || settings_changed(c) ? WI_LOOK_CHANGED : WI_LOOK_CLEAN;
}

static void pq_tidy(void *conn)
{
	struct pq_conn *c = conn;

	PQsetNoticeReceiver(c->pg, hear_notice, c);
	PQsetNoticeProcessor(c->pg, say_nothing, NULL);
	PQsetErrorVerbosity(c->pg, PQERRORS_DEFAULT);
	PQsetErrorContextVisibility(c->pg, PQSHOW_CONTEXT_ERRORS);
	PQuntrace(c->pg);
	if (PQpipelineStatus(c->pg) != PQ_PIPELINE_OFF)
		PQexitPipelineMode(c->pg);
	/* Leaving the mode flushes: not while there may be something to flush. */
	if (PQisnonblocking(c->pg) && PQtransactionStatus(c->pg) != PQTRANS_ACTIVE)
		PQsetnonblocking(c->pg, 0);
}

static enum wi_look pq_tidy_and_look(void *conn)
{
	pq_tidy(conn);
	return pq_look(conn);
}

/* One read, and what it brought parsed; false: the session has ended. */
static bool read_idle(struct pq_conn *c)
{
	bool alive = PQconsumeInput(c->pg);

	PQisBusy(c->pg);
	return alive && !c->failed;
}

static bool pq_peek(void *conn, struct wi_failure *failure)
{
	struct pq_conn *c = conn;

	if (c->failed || PQstatus(c->pg) != CONNECTION_OK) {
		tell_lost(c, failure);
		return false;
	}
	c->touched = true; /* for what came unheard: rare enough to look closely */
	if (!is_ready(PQsocket(c->pg), POLLIN | POLLRDHUP))
		return true;
	/* The first read brings the last words, only the second finds the end. */
	if (read_idle(c) && read_idle(c))
		return true;
	tell_lost(c, failure);
	return false;
}

static bool pq_heard(void *conn, char sqlstate[6])
{
	struct pq_conn *c = conn;

	wi_copy(sqlstate, sizeof(c->heard), c->heard);
	c->heard[0] = '\0';
	return sqlstate[0] != '\0';
}

static void pq_facts(void *conn, struct wi_facts *facts)
{
	PGconn *pg = ((struct pq_conn *)conn)->pg;
	const char *standby = PQparameterStatus(pg, "in_hot_standby");
	const char *protocol = PQsslAttribute(pg, "protocol");
	const char *cipher = PQsslAttribute(pg, "cipher");

	*facts = (struct wi_facts){
		.backend_pid = PQbackendPID(pg),
		.server_version = PQserverVersion(pg),
		.in_hot_standby = standby && strcmp(standby, "on") == 0,
		.tls = "off",
	};
	if (PQsslInUse(pg))
		snprintf(facts->tls, sizeof(facts->tls), "%s %s", protocol ? protocol : "TLS",
		         cipher ? cipher : "");
}

static struct pg_conn *pq_pg(void *conn)
{
	return ((struct pq_conn *)conn)->pg;
}

/* ---- ending ---- */

/*
 * libpq may close the socket at any moment, and its number may then be another's: take hold of
 * whatever has the number first, and look whether it is ours.
 */
static void pq_cut(void *conn)
{
	struct pq_conn *c = conn;
	struct stat status;
	int fd = fcntl(wi_load_rlx(&c->fd), F_DUPFD_CLOEXEC, 0);

	if (fd < 0)
		return;
	if (fstat(fd, &status) == 0 && S_ISSOCK(status.st_mode) && status.st_ino == c->inode)
		shutdown(fd, SHUT_WR);
	close(fd);
}

static void free_conn(struct pq_conn *c)
{
	drop_error(c);
	drop_tls(c);
	PQfinish(c->pg);
	wi_free(c->last_words, sizeof(*c->last_words));
	wi_free(c, sizeof(*c));
}

/*
 * Another hold on the socket if a server process has it, so that the end can be awaited after
 * PQfinish has closed libpq's. Without a free descriptor there is no waiting: -1.
 */
static int hold_socket(const PGconn *pg)
{
	ConnStatusType status = PQstatus(pg);

	if (status == CONNECTION_BAD || status == CONNECTION_NEEDED ||
	    status == CONNECTION_STARTED) /* nobody has accepted yet */
		return -1;
	return fcntl(PQsocket(pg), F_DUPFD_CLOEXEC, 0);
}

static int pq_close(void *conn)
{
	struct pq_conn *c = conn;
	int fd = hold_socket(c->pg);

	/*
	 * PQfinish must not wait until its farewell is sent. After an answer there is room for it:
	 * the server has read all that came before. But what a holder left of a COPY may not fit:
	 * so where something is under way, the socket says no more.
	 */
	if (PQtransactionStatus(c->pg) == PQTRANS_ACTIVE)
		shutdown(PQsocket(c->pg), SHUT_WR);
	free_conn(c);
	/* For a server that did not get the farewell, the end of the stream is one. */
	if (fd >= 0)
		shutdown(fd, SHUT_WR);
	return fd;
}

static void pq_abandon(void *conn)
{
	struct pq_conn *c = conn;
	int fd = PQsocket(c->pg);
	int blank = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* connected to nobody */

	if (fd >= 0 && (blank < 0 || dup2(blank, fd) < 0))
		close(fd);
	if (blank >= 0)
		close(blank);
	free_conn(c);
}

const struct wi_driver wi_driver_libpq = {
	.name = "libpq",
	.check = pq_check,
	.connect = pq_connect,
	.connect_step = pq_connect_step,
	.password = pq_password,
	.fd = pq_fd,
	.due = pq_due,
	.send = pq_send,
	.send_two = pq_send_two,
	.answer_step = pq_answer_step,
	.drain_step = pq_drain_step,
	.cancel_make = pq_cancel_make,
	.cancel_ask = pq_cancel_ask,
	.cancel_free = pq_cancel_free,
	.look = pq_look,
	.tidy = pq_tidy,
	.tidy_and_look = pq_tidy_and_look,
	.heard = pq_heard,
	.mark_clean = pq_mark_clean,
	.peek = pq_peek,
	.facts = pq_facts,
	.pg = pq_pg,
	.cut = pq_cut,
	.close = pq_close,
	.abandon = pq_abandon,
};
