/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The fake driver.
 *
 * Idea. A connection (the client's side, one thread at a time) and a session (the server's side, in
 * the server's list) hold one end each of a socket pair. The server ends a session by closing its
 * end; the client reads end-of-file, as from a real one. Nothing is ever written to the pair: what
 * is asked lies in the connection, and is answered by the step that comes when its time is due.
 *
 * States of a session.
 *
 *     open ----- close ----> leaving ----- its time has come ----> ended
 *       `------------------- killed, or a fault of its own ---------'^
 *
 *   open: in the list, ends = WI_FOREVER. leaving: in the list, ends = a time, nobody holds it.
 *   ended: out of the list, the server's end is closed; freed by the server if nobody holds it,
 *   else by close.
 *
 * Invariants. I1: server->sessions = length of the list. I2: a session in the list has an open fd.
 * I3: a session is freed once: by who finds it both ended and not held, under the lock.
 *
 * Access. A session's members are under server->lock, but `killed`, which its client reads without.
 * A connection is its present owner's, but `cut`, which any thread may set.
 *
 * Orderings. [fake:R1] and [fake:A1] on killed, [fake:R2] and [fake:A2] on cut: who has been woken
 * by the end of the stream finds the reason. The counters are only numbers.
 *
 * Progress and limits. Connecting and closing take the server's lock; asking and looking take none.
 * A session takes two descriptors of this process. The timer thread is started by the first close
 * that takes time on the real clock; where it cannot be, such a goodbye takes no time.
 */
#include "driver/fake.h"

#include <signal.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "base/line.h"
#include "base/text.h"
#include "driver/fault.h"
#include "driver/plans.h"

struct wi_fake_session {
	struct wi_fake_session *next, *previous;
	struct wi_fake_server *server;
	uint64_t serial;
	int64_t ends; /* when the server closes its end, or WI_FOREVER */
	int fd;       /* the server's end */
	bool held;    /* a connection points here */
	bool ended;
	_Atomic bool killed;    /* by the server, not by a goodbye */
	_Atomic bool cancelled; /* what is under way is to end */
};

enum stage { CONNECTING, IDLE, ASKED, LOST };

struct fake_conn {
	enum wi_look look; /* first: a bench asks for it more often than for the rest together */
	enum stage stage;
	const struct wi_target *target;
	struct wi_fake_server *server;
	struct wi_fake_session *session; /* NULL: the server refused the connect */
	enum wi_fault refusal;           /* NONE: the connect will succeed */
	int64_t due;                     /* of the present step */
	int fd;                          /* the client's end, or -1 */
	_Atomic bool cut;
	bool in_tx, failed_tx, changed;
	uint64_t commits;
	int succeeded;                  /* statements of the last exchange, until one did not */
	bool tx_read_only;              /* the transaction it is in */
	bool read_only, born_read_only; /* default_transaction_read_only, now and at startup */
	uint64_t serial;
	char heard[6], failed_by[6];
	char *sql;                  /* what was asked, or NULL */
	char *then;                 /* and after it, or NULL */
	const struct wi_call *call; /* what is run just now, if its result is wanted */
	struct pg_result *reply;    /* of the script to it, or NULL */
	struct wi_exchange exchange;
	struct wi_plans *plans;
	uint64_t names[FAKE_PLANS]; /* the server's: what is prepared; 0: free */
};

static int64_t server_now(const struct wi_fake_server *server)
{
	return server->now ? server->now() : wi_now_ns();
}

/* ---- the server ---- */

void wi_fake_server_init(struct wi_fake_server *server)
{
	pthread_condattr_t attr;

	memset(server, 0, sizeof(*server));
	pthread_mutex_init(&server->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&server->change, &attr);
	pthread_condattr_destroy(&attr);
	wi_store_rlx(&server->timeline, 1);
	wi_store_rlx(&server->lsn, 1);
	wi_store_rlx(&server->system, 1);
}

pid_t wi_fake_fork(struct wi_fake_server *server)
{
	pid_t child;

	pthread_mutex_lock(&server->lock);
	child = fork();
	pthread_mutex_unlock(&server->lock); /* in the child it is the only thread's as well */
	return child;
}

static void count_session(struct wi_fake_server *server)
{
	int now = wi_add_rlx(&server->sessions, 1) + 1;

	if (now > wi_load_rlx(&server->sessions_peak)) /* raised under the lock only */
		wi_store_rlx(&server->sessions_peak, now);
}

static void free_session(struct wi_fake_session *s)
{
	wi_free(s, sizeof(*s));
}

/* From open or leaving to ended. */
static void end_locked(struct wi_fake_session *s)
{
	struct wi_fake_server *server = s->server;

	if (s->previous)
		s->previous->next = s->next;
	else
		server->first = s->next;
	if (s->next)
		s->next->previous = s->previous;
	s->ended = true;
	wi_sub_rlx(&server->sessions, 1);
	close(s->fd);
	if (!s->held)
		free_session(s);
}

/* By the server's will: the client reads why before it reads the end. */
static void kill_locked(struct wi_fake_session *s)
{
	/* [fake:R1] the reason is there before the end-of-file is; pairs with [fake:A1]. */
	wi_store_rel(&s->killed, true);
	end_locked(s);
}

static int64_t settle_locked(struct wi_fake_server *server)
{
	int64_t now = server_now(server), next = WI_FOREVER;
	struct wi_fake_session *s, *after;

	for (s = server->first; s; s = after) {
		after = s->next;
		if (s->ends <= now)
			end_locked(s);
		else if (s->ends < next)
			next = s->ends;
	}
	return next;
}

int64_t wi_fake_settle(struct wi_fake_server *server)
{
	int64_t next;

	pthread_mutex_lock(&server->lock);
	next = settle_locked(server);
	pthread_mutex_unlock(&server->lock);
	return next;
}

static void *run_timer(void *arg)
{
	struct wi_fake_server *server = arg;

	pthread_mutex_lock(&server->lock);
	while (!server->stopping) {
		int64_t next = settle_locked(server);
		struct timespec at = {.tv_sec = next / WI_SEC, .tv_nsec = next % WI_SEC};

		if (next == WI_FOREVER)
			pthread_cond_wait(&server->change, &server->lock);
		else
			pthread_cond_timedwait(&server->change, &server->lock, &at);
	}
	pthread_mutex_unlock(&server->lock);
	return NULL;
}

/* Whether a timer runs now. It takes no signals: they are for the threads of the host. */
static bool start_timer_locked(struct wi_fake_server *server)
{
	sigset_t all, before;

	if (server->has_timer)
		return true;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	server->has_timer = pthread_create(&server->timer, NULL, run_timer, server) == 0;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	return server->has_timer;
}

static void stop_timer(struct wi_fake_server *server)
{
	pthread_mutex_lock(&server->lock);
	server->stopping = true;
	pthread_cond_signal(&server->change);
	pthread_mutex_unlock(&server->lock);
	if (server->has_timer)
		pthread_join(server->timer, NULL);
}

void wi_fake_server_fini(struct wi_fake_server *server)
{
	stop_timer(server);
	while (server->first) {
		wi_check(server->first->ends != WI_FOREVER); /* a connection was not closed */
		end_locked(server->first);
	}
	pthread_cond_destroy(&server->change);
	pthread_mutex_destroy(&server->lock);
}

int wi_fake_kill(struct wi_fake_server *server)
{
	int n = 0;

	pthread_mutex_lock(&server->lock);
	for (; server->first; n++)
		kill_locked(server->first);
	pthread_mutex_unlock(&server->lock);
	return n;
}

bool wi_fake_kill_one(struct wi_fake_server *server, uint64_t serial)
{
	struct wi_fake_session *s;

	pthread_mutex_lock(&server->lock);
	for (s = server->first; s && s->serial != serial; s = s->next)
		continue;
	if (s)
		kill_locked(s);
	pthread_mutex_unlock(&server->lock);
	return s != NULL;
}

/* ---- connecting ---- */

/* Takes one of the connects that are to fail, if any is left; the last one ends the script. */
static bool take_failure(struct wi_fake_server *server)
{
	int left = wi_load_rlx(&server->fail_connects);

	while (left > 0) {
		if (!wi_cas_rlx(&server->fail_connects, &left, left - 1))
			continue;
		if (left == 1)
			wi_store_rlx(&server->connect_fault, WI_FAULT_NONE);
		return true;
	}
	return false;
}

/* What the script has for the connect that begins now. The lock makes the last one to fail one. */
static enum wi_fault refusal_locked(struct wi_fake_server *server)
{
	enum wi_fault fault = (enum wi_fault)wi_load_rlx(&server->connect_fault);
	int max = wi_load_rlx(&server->max_sessions);

	if (take_failure(server))
		return fault == WI_FAULT_NONE ? WI_FAULT_REFUSED : fault;
	if (fault == WI_FAULT_NONE && max > 0 && wi_load_rlx(&server->sessions) >= max)
		return WI_FAULT_CAPACITY;
	return fault;
}

/* Puts a session into the list, its client's end into c; false: no memory or no descriptor. */
static bool open_session_locked(struct fake_conn *c)
{
	struct wi_fake_server *server = c->server;
	struct wi_fake_session *s = wi_alloc(sizeof(*s));
	int pair[2];

	if (!s)
		return false;
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) != 0) {
		free_session(s);
		return false;
	}
	*s = (struct wi_fake_session){
		.next = server->first,
		.server = server,
		.serial = c->serial,
		.ends = WI_FOREVER,
		.fd = pair[0],
		.held = true,
	};
	if (s->next)
		s->next->previous = s;
	server->first = s;
	count_session(server);
	c->session = s;
	c->fd = pair[1];
	return true;
}

static int64_t due_after(struct wi_fake_server *server, int64_t delay)
{
	if (wi_load_rlx(&server->silent))
		return WI_FOREVER;
	/* 0 is at once, without a look at the clock. */
	return delay > 0 ? server_now(server) + delay : 0;
}

static bool knows_password(const struct wi_target *target, const char *password)
{
	const char *said = target->secret;

	if (target->login && target->login->password[0])
		said = target->login->password;
	return !password || (said && strcmp(said, password) == 0);
}

static void *fake_connect(const struct wi_target *target, const char *address)
{
	struct wi_fake_server *server = target->script;
	struct fake_conn *c = wi_alloc(sizeof(*c));

	(void)address;
	if (!c)
		return NULL;
	c->target = target;
	c->server = server;
	c->fd = -1;
	c->born_read_only = target->startup_options &&
	                    strstr(target->startup_options, "default_transaction_read_only=on");
	c->read_only = c->born_read_only;
	c->due = due_after(server, wi_load_rlx(&server->connect_ns));
	wi_add_rlx(&server->connects, 1);
	pthread_mutex_lock(&server->lock);
	settle_locked(server);
	c->serial = ++server->last_serial;
	c->refusal = refusal_locked(server);
	if (c->refusal == WI_FAULT_NONE && !knows_password(target, wi_load_rlx(&server->password)))
		c->refusal = WI_FAULT_AUTH;
	if (c->refusal == WI_FAULT_NONE && !open_session_locked(c))
		c->refusal = WI_FAULT_MEMORY;
	pthread_mutex_unlock(&server->lock);
	return c;
}

static void fail(struct fake_conn *c, struct wi_failure *failure, enum wi_fault fault,
                 const char *sqlstate, const char *text)
{
	wi_failure_set(failure, fault, sqlstate, text, c->target->secret);
	c->look = WI_LOOK_DEAD;
	c->stage = LOST;
	c->due = WI_FOREVER;
}

/* What a real server or libpq would say. */
static void fail_refused(struct fake_conn *c, struct wi_failure *failure)
{
	const char *words = wi_load_rlx(&c->server->refusal);
	static const struct {
		const char *sqlstate, *text;
	} says[] = {
		[WI_FAULT_REFUSED] = {"", "connection refused"},
		[WI_FAULT_TIMEOUT] = {"", "connection timed out"},
		[WI_FAULT_RESOLVE] = {"", "could not translate host name"},
		[WI_FAULT_AUTH] = {"28P01", "password authentication failed"},
		[WI_FAULT_CONFIG] = {"3D000", "database does not exist"},
		[WI_FAULT_CAPACITY] = {"53300", "sorry, too many clients already"},
		[WI_FAULT_STARTING] = {"57P03", "the database system is starting up"},
		[WI_FAULT_TLS] = {"", "SSL error: certificate verify failed"},
		[WI_FAULT_OPTIONS] = {"08P01", "unsupported startup parameter: options"},
		[WI_FAULT_LOST] = {"", "server closed the connection unexpectedly"},
		[WI_FAULT_SQL] = {"XX000", "internal error"},
		[WI_FAULT_MEMORY] = {"", "out of memory or descriptors"},
	};

	fail(c, failure, c->refusal, says[c->refusal].sqlstate,
	     words ? words : says[c->refusal].text);
}

static void fail_killed(struct fake_conn *c, struct wi_failure *failure)
{
	const char *words = wi_load_rlx(&c->server->last_words);

	if (!words)
		words = "57P01";
	fail(c, failure, WI_FAULT_LOST, words,
	     words[0] ? "terminating connection due to administrator command"
	              : "server closed the connection unexpectedly");
}

/* Whether the connection has ended, as a reader of the descriptor would find; *failure says why. */
static bool has_ended(struct fake_conn *c, struct wi_failure *failure)
{
	/* [fake:A1] what ended the session is known as soon as its end is; pairs with [fake:R1]. */
	if (c->session && wi_load_acq(&c->session->killed))
		fail_killed(c, failure);
	else if (wi_load_acq(&c->cut) || c->stage == LOST) /* [fake:A2], pairs with [fake:R2] */
		fail(c, failure, WI_FAULT_LOST, "", "server closed the connection unexpectedly");
	else
		return false;
	return true;
}

/* Whether the present step is over. Who has fallen silent by then stays so. */
static bool is_due(struct fake_conn *c)
{
	if (c->due > 0 && (c->due == WI_FOREVER || server_now(c->server) < c->due))
		return false;
	if (!wi_load_rlx(&c->server->silent) && wi_load_rlx(&c->server->mute) != c->serial)
		return true;
	c->due = WI_FOREVER;
	return false;
}

static enum wi_step fake_connect_step(void *conn, struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	if (c->stage == IDLE)
		return WI_STEP_DONE;
	if (has_ended(c, failure))
		return WI_STEP_FAILED;
	if (!is_due(c))
		return WI_STEP_READ;
	if (c->refusal != WI_FAULT_NONE) {
		fail_refused(c, failure);
		return WI_STEP_FAILED;
	}
	c->stage = IDLE;
	c->due = WI_FOREVER;
	wi_add_rlx(&c->server->connected, 1);
	return WI_STEP_DONE;
}

static weir_status fake_check(const struct wi_target *target, weir_error *error)
{
	(void)target;
	(void)error;
	return WEIR_OK;
}

static const char *fake_password(void *conn)
{
	return ((struct fake_conn *)conn)->target->secret;
}

static int fake_fd(void *conn)
{
	return ((struct fake_conn *)conn)->fd;
}

static int64_t fake_due(void *conn)
{
	return ((struct fake_conn *)conn)->due;
}

/* ---- asking ---- */

/* Something is asked; false: that cannot be now. */
static bool begin(struct fake_conn *c, struct wi_failure *failure)
{
	c->succeeded = 0;
	if (c->stage != IDLE || c->look == WI_LOOK_BUSY || c->look == WI_LOOK_DEAD) {
		fail(c, failure, WI_FAULT_LOST, "", "another command is already in progress");
		return false;
	}
	c->stage = ASKED;
	c->look = WI_LOOK_BUSY;
	c->due = due_after(c->server, wi_load_rlx(&c->server->answer_ns));
	wi_store_rlx(&c->session->cancelled, false); /* what came while it was idle is past */
	return true;
}

static bool fake_send(void *conn, const char *sql, struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	if (!begin(c, failure))
		return false;
	c->sql = wi_strdup(sql);
	if (!c->sql)
		fail(c, failure, WI_FAULT_MEMORY, "", "out of memory");
	return c->sql != NULL;
}

static void forget_calls(struct fake_conn *c)
{
	if (c->exchange.n)
		c->changed |= wi_exchange_forget(&c->exchange, c->plans);
}

static bool fake_send_calls(void *conn, const struct wi_call *calls, size_t n,
                            struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	forget_calls(c);
	if (!begin(c, failure))
		return false;
	if (!c->plans && c->target->plans)
		c->plans = wi_plans_new(c->target->plans);
	if (!wi_exchange_begin(&c->exchange, c->plans, calls, n)) {
		fail(c, failure, WI_FAULT_MEMORY, "", "out of memory");
		return false;
	}
	return true;
}

static bool fake_send_two(void *conn, const char *first, const char *second,
                          struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	if (!fake_send(conn, first, failure))
		return false;
	c->then = wi_strdup(second);
	if (!c->then)
		fail(c, failure, WI_FAULT_MEMORY, "", "out of memory");
	return c->then != NULL;
}

/* Whether a statement begins with these words, in any case of letters. */
static bool begins_with(const char *sql, const char *words)
{
	return strncasecmp(sql, words, strlen(words)) == 0;
}

#define DEFAULT_READ_ONLY "default_transaction_read_only"

/* What a statement makes of default_transaction_read_only. */
static void obey_read_only(struct fake_conn *c, const char *statement)
{
	if (begins_with(statement, "DISCARD ALL") || begins_with(statement, "RESET ALL") ||
	    begins_with(statement, "RESET " DEFAULT_READ_ONLY) ||
	    strstr(statement, "set_config('" DEFAULT_READ_ONLY "', NULL"))
		c->read_only = c->born_read_only;
	else if (begins_with(statement, "SET " DEFAULT_READ_ONLY) ||
	         strstr(statement, "set_config('" DEFAULT_READ_ONLY "'"))
		c->read_only = strstr(statement, "on") && !strstr(statement, "off");
}

/* Whether a write in it is refused. */
static bool takes_no_writes(const struct fake_conn *c)
{
	return wi_load_rlx(&c->server->in_recovery) || (c->in_tx ? c->tx_read_only : c->read_only);
}

/* What one statement does to the session's state. */
static void obey(struct fake_conn *c, const char *statement)
{
	obey_read_only(c, statement);
	if (begins_with(statement, "BEGIN") || begins_with(statement, "START TRANSACTION"))
		c->tx_read_only = strstr(statement, "READ ONLY") || c->read_only;
	if (begins_with(statement, "BEGIN") || begins_with(statement, "START TRANSACTION"))
		c->in_tx = true;
	c->commits += begins_with(statement, "COMMIT") && c->in_tx && !c->failed_tx;
	if (begins_with(statement, "ROLLBACK TO"))
		c->failed_tx = false;
	else if (begins_with(statement, "ROLLBACK") || begins_with(statement, "COMMIT"))
		c->in_tx = c->failed_tx = false;
	else if (begins_with(statement, "SET "))
		c->changed = true;
	else if (begins_with(statement, "RESET ALL") || begins_with(statement, "DISCARD ALL"))
		c->changed = false;
	if (begins_with(statement, "DISCARD ALL") || begins_with(statement, "DEALLOCATE ALL")) {
		memset(c->names, 0, sizeof(c->names));
		wi_plans_dropped(c->plans);
	}
}

static void fail_any_transaction(struct fake_conn *c)
{
	c->failed_tx = c->in_tx;
}

/* An error: a COMMIT that fails ends its transaction, anything else leaves it to be rolled back. */
static void fail_transaction(struct fake_conn *c)
{
	if (begins_with(c->sql, "COMMIT"))
		c->in_tx = false;
	fail_any_transaction(c);
}

/* The statement after this one, or NULL. */
static const char *next_statement(const char *sql)
{
	sql = strchr(sql, ';');
	return sql ? sql + 1 + strspn(sql + 1, " \n\t") : NULL;
}

/* Several statements in one string are a transaction of their own. */
static bool has_several(const char *sql)
{
	const char *second = next_statement(sql);

	return second && *second;
}

static void set_look(struct fake_conn *c)
{
	c->look = c->in_tx                    ? WI_LOOK_IN_TX
	          : c->changed || c->heard[0] ? WI_LOOK_CHANGED
	                                      : WI_LOOK_CLEAN;
}

/* What the script says to a statement. */
static bool ask_script(struct fake_conn *c, struct wi_answer *answer, struct wi_failure *why)
{
	struct wi_fake_server *server = c->server;

	if (c->call && server->reply)
		return server->reply(server, c->call, &c->reply, why);
	return !server->answer || server->answer(server, c->sql, answer, why);
}

/* Runs what was asked; false: an error, *failure says which. */
static bool run_sql(struct fake_conn *c, struct wi_answer *answer, struct wi_failure *failure)
{
	struct wi_answer unwanted;
	struct wi_failure why = {.fault = WI_FAULT_SQL};

	if (!answer)
		answer = &unwanted;
	memset(answer, 0, sizeof(*answer));
	if (!ask_script(c, answer, &why)) {
		wi_failure_set(failure, why.fault, why.sqlstate, why.text, c->target->secret);
		fail_transaction(c);
		wi_copy(c->failed_by, sizeof(c->failed_by), why.sqlstate);
		if (!c->heard[0] && wi_fault_is_heard(why.sqlstate, c->target->hears_all))
			memcpy(c->heard, why.sqlstate, sizeof(c->heard));
		return false;
	}
	for (const char *sql = c->sql; sql; sql = next_statement(sql)) {
		if (begins_with(sql, "INSERT") && takes_no_writes(c)) {
			wi_failure_set(failure, WI_FAULT_SQL, "25006",
			               "cannot execute INSERT in a read-only transaction", NULL);
			fail_transaction(c);
			memcpy(c->failed_by, "25006", sizeof(c->failed_by));
			if (!c->heard[0])
				memcpy(c->heard, "25006", sizeof(c->heard));
			return false;
		}
		if (begins_with(sql, "DISCARD ALL") && (c->in_tx || has_several(c->sql))) {
			wi_failure_set(failure, WI_FAULT_SQL, "25001",
			               "DISCARD ALL cannot run inside a transaction block", NULL);
			return false;
		}
		obey(c, sql);
	}
	c->succeeded++;
	return true;
}

/* The same for both statements of two: the second is run whatever came of the first. */
static bool run_all(struct fake_conn *c, struct wi_answer *answer, struct wi_failure *failure)
{
	bool done = run_sql(c, answer, failure);
	struct wi_failure second;
	int succeeded = c->succeeded;

	if (!c->then || (!done && failure->fault != WI_FAULT_SQL))
		return done;
	wi_strfree(c->sql);
	c->sql = c->then;
	c->then = NULL;
	if (done)
		return run_sql(c, answer, failure);
	run_sql(c, answer, &second);
	c->succeeded = succeeded;
	return false;
}

static void forget_sql(struct fake_conn *c)
{
	wi_strfree(c->sql);
	wi_strfree(c->then);
	c->sql = c->then = NULL;
}

/* The server ends the session of a connection whose holder knows. */
static void end_session(struct fake_conn *c)
{
	struct wi_fake_server *server = c->server;

	c->stage = LOST;
	c->look = WI_LOOK_DEAD;
	pthread_mutex_lock(&server->lock);
	if (c->session && !c->session->ended)
		end_locked(c->session);
	pthread_mutex_unlock(&server->lock);
}

/* What was asked has come to its end, well or not. */
static enum wi_step end_exchange(struct fake_conn *c, bool done, const struct wi_failure *failure)
{
	forget_sql(c);
	c->stage = IDLE;
	c->due = WI_FOREVER;
	set_look(c);
	if (!done && failure->fault != WI_FAULT_SQL)
		end_session(c);
	return done ? WI_STEP_DONE : WI_STEP_FAILED;
}

/* Whether the server was asked in time to end what it is at; *failure says so then. */
static bool was_cancelled(struct fake_conn *c, struct wi_failure *failure)
{
	if (!wi_swap_acq(&c->session->cancelled, false))
		return false;
	wi_failure_set(failure, WI_FAULT_SQL, "57014", "canceling statement", NULL);
	return true;
}

static enum wi_step fake_answer_step(void *conn, struct wi_answer *answer,
                                     struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	if (has_ended(c, failure))
		return WI_STEP_FAILED;
	if (!is_due(c) && !wi_load_rlx(&c->session->cancelled))
		return WI_STEP_READ;
	wi_add_rlx(&c->server->queries, 1);
	return end_exchange(c, !was_cancelled(c, failure) && run_all(c, answer, failure), failure);
}

/* Runs one of the statements whose results are wanted. */
static bool run_call(struct fake_conn *c, const struct wi_call *call, struct pg_result **result,
                     struct wi_failure *failure)
{
	bool changed = c->changed, done;
	struct wi_answer row;

	forget_sql(c);
	c->sql = wi_strdup(call->sql);
	if (!c->sql) {
		wi_failure_set(failure, WI_FAULT_MEMORY, "", "out of memory", NULL);
		return false;
	}
	c->call = call;
	done = run_sql(c, &row, failure);
	c->call = NULL;
	*result = c->reply ? c->reply : wi_fake_result(&row, !done);
	c->reply = NULL;
	if (call->own)
		c->changed = changed;
	return done;
}

/* Where the session has this name, or a free place for 0. */
static uint64_t *place_of(struct fake_conn *c, uint64_t name)
{
	for (int i = 0; i < FAKE_PLANS; i++)
		if (c->names[i] == name)
			return &c->names[i];
	return NULL;
}

static bool refuse(struct wi_failure *failure, const char *sqlstate)
{
	wi_failure_set(failure, WI_FAULT_SQL, sqlstate, "as a server would say", NULL);
	return false;
}

/* One message; what a server has to say to it besides what a script has. */
static bool run_part(struct fake_conn *c, const struct wi_part *part, const struct wi_call *call,
                     struct pg_result **result, struct wi_failure *failure)
{
	uint64_t *place = part->kind == WI_PART_RUN ? NULL : place_of(c, part->name);
	int stale = wi_load_rlx(&c->server->stale_plans);

	switch (part->kind) {
	case WI_PART_PREPARE:
		wi_check(!place && place_of(c, 0));
		*place_of(c, 0) = part->name;
		wi_add_rlx(&c->server->prepares, 1);
		return true;
	case WI_PART_DROP:
		if (!place)
			return refuse(failure, "26000");
		*place = 0;
		wi_add_rlx(&c->server->drops, 1);
		return true;
	case WI_PART_RUN_NAMED:
		if (!place)
			return refuse(failure, "26000");
		if (stale > 0) {
			wi_store_rlx(&c->server->stale_plans, stale - 1);
			return refuse(failure, "0A000");
		}
		wi_add_rlx(&c->server->named, 1);
		break;
	case WI_PART_RUN:
		break;
	}
	return run_call(c, call, result, failure);
}

/* What the end of a part says of what is prepared. */
static enum wi_stale staleness(struct fake_conn *c, const struct wi_part *part,
                               const struct wi_failure *failure)
{
	if (part->kind == WI_PART_RUN_NAMED && strcmp(failure->sqlstate, "0A000") == 0)
		return WI_STALE_PLAN;
	if (part->kind != WI_PART_RUN && strcmp(failure->sqlstate, "26000") == 0 &&
	    !place_of(c, part->name))
		return WI_STALE_NAME;
	return WI_STALE_NOT;
}

static bool run_parts(struct fake_conn *c, const struct wi_call *calls, struct wi_results *results,
                      struct wi_failure *failure)
{
	struct wi_exchange *x = &c->exchange;
	enum wi_stale stale = WI_STALE_NOT;
	bool done = true;

	for (; done && x->at < x->n; x->at += done) {
		const struct wi_part *part = &x->parts[x->at];

		done = run_part(c, part, &calls[part->call], &results->of[part->call], failure);
		if (done)
			continue;
		results->failed = part->call;
		stale = staleness(c, part, failure);
	}
	results->stale = stale != WI_STALE_NOT && wi_exchange_relied_on_old(x);
	if (stale != WI_STALE_NOT)
		fail_any_transaction(c);
	c->changed |= wi_exchange_end(x, c->plans, stale);
	return done;
}

static enum wi_step fake_results_step(void *conn, const struct wi_call *calls, size_t n,
                                      struct wi_results *results, struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	results->failed = n;
	results->stale = false;
	if (has_ended(c, failure))
		return WI_STEP_FAILED;
	if (!is_due(c) && !wi_load_rlx(&c->session->cancelled))
		return WI_STEP_READ;
	wi_add_rlx(&c->server->queries, 1);
	if (was_cancelled(c, failure)) {
		results->failed = 0;
		forget_calls(c);
		return end_exchange(c, false, failure);
	}
	return end_exchange(c, run_parts(c, calls, results, failure), failure);
}

/* ---- what was left under way ---- */

static enum wi_step fake_drain_step(void *conn, size_t *room, struct wi_failure *failure)
{
	struct fake_conn *c = conn;

	(void)room;
	forget_calls(c);
	if (has_ended(c, failure))
		return WI_STEP_FAILED;
	if (c->look == WI_LOOK_BUSY && !(c->stage == ASKED && is_due(c)) &&
	    !wi_swap_acq(&c->session->cancelled, false))
		return WI_STEP_READ;
	forget_sql(c);
	c->stage = IDLE;
	c->due = WI_FOREVER;
	set_look(c);
	return WI_STEP_DONE;
}

struct fake_cancel {
	struct wi_fake_server *server;
	uint64_t serial;
};

static void *fake_cancel_make(void *conn)
{
	const struct fake_conn *c = conn;
	struct fake_cancel *cancel;

	if (!wi_load_rlx(&c->server->obeys_cancel) || !(cancel = wi_alloc(sizeof(*cancel))))
		return NULL;
	*cancel = (struct fake_cancel){.server = c->server, .serial = c->serial};
	return cancel;
}

/* Sleeps in a thread of its own, not in the world of the server's clock. */
static bool fake_cancel_ask(void *arg)
{
	const struct fake_cancel *cancel = arg;
	struct wi_fake_server *server = cancel->server;

	while (wi_load_rlx(&server->holds_cancel))
		nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
	pthread_mutex_lock(&server->lock);
	if (wi_load_rlx(&server->lose_cancels) > 0)
		wi_sub_rlx(&server->lose_cancels, 1);
	else
		for (struct wi_fake_session *s = server->first; s; s = s->next)
			if (s->serial == cancel->serial)
				wi_store_rlx(&s->cancelled, true);
	pthread_mutex_unlock(&server->lock);
	wi_add_rlx(&server->cancels, 1);
	return !wi_load_rlx(&server->doubt_cancel);
}

static void fake_cancel_free(void *arg)
{
	wi_free(arg, sizeof(struct fake_cancel));
}

/* ---- looking ---- */

static enum wi_look fake_look(void *conn)
{
	return ((struct fake_conn *)conn)->look;
}

static void fake_tidy(void *conn)
{
	(void)conn;
}

static void fake_mark_clean(void *conn)
{
	struct fake_conn *c = conn;

	c->changed = false;
	if (c->look == WI_LOOK_CHANGED)
		set_look(c);
}

static bool fake_heard(void *conn, char sqlstate[6])
{
	struct fake_conn *c = conn;

	memcpy(sqlstate, c->heard, sizeof(c->heard));
	c->heard[0] = '\0';
	if (c->look == WI_LOOK_CHANGED)
		set_look(c);
	return sqlstate[0] != '\0';
}

static enum wi_refusal fake_refused(void *conn)
{
	const struct fake_conn *c = conn;

	if (strcmp(c->heard, "25006") != 0)
		return WI_REFUSAL_NONE;
	if (wi_load_rlx(&c->server->reports_nothing))
		return WI_REFUSAL_UNKNOWN;
	if (wi_load_rlx(&c->server->in_recovery))
		return WI_REFUSAL_STANDBY;
	return c->read_only ? WI_REFUSAL_SETTING : WI_REFUSAL_WISHED;
}

static bool fake_peek(void *conn, struct wi_failure *failure)
{
	return !has_ended(conn, failure);
}

static void fake_facts(void *conn, struct wi_facts *facts)
{
	struct fake_conn *c = conn;

	*facts = (struct wi_facts){
		.backend_pid = (int)c->serial,
		.server_version = 150000,
		.in_hot_standby = wi_load_rlx(&c->server->in_recovery) &&
	                          !wi_load_rlx(&c->server->reports_nothing),
		.in_failed_tx = c->failed_tx,
		.succeeded = c->succeeded,
		.commits = c->commits,
		.tls = "off",
	};
	if (c->failed_tx)
		memcpy(facts->failed_by, c->failed_by, sizeof(facts->failed_by));
}

static struct pg_conn *fake_pg(void *conn)
{
	(void)conn;
	return NULL;
}

void wi_fake_forget_plans(void *conn)
{
	struct fake_conn *c = conn;

	memset(c->names, 0, sizeof(c->names));
}

uint64_t wi_fake_serial(void *conn)
{
	return ((struct fake_conn *)conn)->serial;
}

void wi_fake_leave(void *conn, enum wi_look look)
{
	struct fake_conn *c = conn;

	c->in_tx = look == WI_LOOK_IN_TX;
	c->changed = look == WI_LOOK_CHANGED;
	c->look = look;
	if (look == WI_LOOK_DEAD)
		end_session(c);
}

/* ---- ending ---- */

/*
 * The server has noticed the client's end: from open to leaving, and on to ended if that takes no
 * time.
 */
static void depart_locked(struct wi_fake_session *s)
{
	struct wi_fake_server *server = s->server;
	int64_t goodbye = wi_load_rlx(&server->goodbye_ns);

	if (goodbye <= 0 || (!server->now && !start_timer_locked(server))) {
		end_locked(s);
	} else if (s->ends == WI_FOREVER) {
		s->ends = server_now(server) + goodbye;
		pthread_cond_signal(&server->change);
	}
}

static void fake_cut(void *conn)
{
	struct fake_conn *c = conn;

	/* [fake:R2] the reason is there before the end-of-file is; pairs with [fake:A2]. */
	wi_store_rel(&c->cut, true);
	shutdown(c->fd, SHUT_WR);
	pthread_mutex_lock(&c->server->lock);
	if (c->session && !c->session->ended)
		depart_locked(c->session);
	pthread_mutex_unlock(&c->server->lock);
}

static void free_conn(struct fake_conn *c)
{
	forget_sql(c);
	forget_calls(c);
	wi_plans_free(c->plans);
	wi_free(c, sizeof(*c));
}

static void leave_locked(struct wi_fake_session *s)
{
	wi_add_rlx(&s->server->closes, 1);
	s->held = false;
	depart_locked(s);
}

static int fake_close(void *conn)
{
	struct fake_conn *c = conn;
	struct wi_fake_session *s = c->session;
	int fd = c->fd;

	pthread_mutex_lock(&c->server->lock);
	if (s && s->ended)
		free_session(s);
	else if (s)
		leave_locked(s);
	pthread_mutex_unlock(&c->server->lock);
	free_conn(c);
	return fd;
}

/*
 * The child has copies of both ends; closing them changes nothing for the parent. The lock stays
 * alone: who held it at the fork may not be here.
 */
static void fake_abandon(void *conn)
{
	struct fake_conn *c = conn;

	if (c->fd >= 0)
		close(c->fd);
	free_conn(c);
}

const struct wi_driver wi_driver_fake = {
	.name = "fake",
	.check = fake_check,
	.connect = fake_connect,
	.connect_step = fake_connect_step,
	.password = fake_password,
	.fd = fake_fd,
	.due = fake_due,
	.send = fake_send,
	.send_two = fake_send_two,
	.answer_step = fake_answer_step,
	.send_calls = fake_send_calls,
	.results_step = fake_results_step,
	.result_free = wi_fake_result_free,
	.drain_step = fake_drain_step,
	.cancel_make = fake_cancel_make,
	.cancel_ask = fake_cancel_ask,
	.cancel_free = fake_cancel_free,
	.look = fake_look,
	.tidy = fake_tidy,
	.tidy_and_look = fake_look, /* nothing to tidy */
	.heard = fake_heard,
	.refused = fake_refused,
	.mark_clean = fake_mark_clean,
	.peek = fake_peek,
	.facts = fake_facts,
	.pg = fake_pg,
	.cut = fake_cut,
	.close = fake_close,
	.abandon = fake_abandon,
};
