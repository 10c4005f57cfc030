/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Several statements in one round trip, all or nothing.
 *
 * Outside a transaction they are sent between BEGIN and COMMIT, and not left to the implicit
 * transaction of a pipeline: in that one the server lets a procedure commit, and VACUUM and its
 * like commit what came before them. Statements about transactions are refused, since COMMIT in the
 * middle would be obeyed. Inside the user's transaction they are part of that.
 *
 * After an error the server skips what follows, COMMIT too; the rollback is a round trip of its
 * own, which only a failure pays.
 */
#include <stddef.h>
#include <string.h>

#include "base/alloc.h"
#include "base/cancel.h"
#include "base/clock.h"
#include "base/text.h"
#include "exec/judge.h"
#include "exec/outcome.h"
#include "exec/query.h"
#include "pool/pool.h"
#include "pool/tally.h"

#define CALL "weir_batch"
#define MOST_AROUND 4 /* BEGIN, limit, its end or COMMIT */
#define MOST_STATEMENTS 1000000

struct batch {
	struct weir_conn *c;
	enum wi_look look;
	const weir_statement *first; /* the caller's array, in steps of its own size */
	size_t n, step;
	int64_t deadline_ns;
	bool unknown;
	struct wi_limit limit;
	struct wi_call *calls;
	struct pg_result **of; /* of all calls */
	size_t n_calls, before;
	struct wi_results results;
	struct wi_failure failure;
};

static weir_status load(const struct batch *b, size_t i, weir_statement *s, weir_error *error)
{
	const void *at = (const char *)b->first + i * b->step;
	char what[48];
	struct wi_text t;

	wi_text_init(&t, what, sizeof(what));
	wi_text_add(&t, CALL ": statements[%zu]", i);
	return wi_statement_load(s, at, what, error);
}

static weir_status check(struct batch *b, weir_error *error)
{
	weir_statement s;

	for (size_t i = 0; i < b->n; i++) {
		weir_status st = load(b, i, &s, error);

		if (st != WEIR_OK)
			return st;
		if (wi_is_transaction_sql(s.sql))
			return wi_fail(error, WEIR_INVALID,
			               CALL ": statements[%zu] is about transactions, or begins "
			                    "with a comment: a batch is all of one",
			               i);
	}
	return WEIR_OK;
}

static size_t room(const struct batch *b)
{
	return b->n + MOST_AROUND;
}

static bool get_memory(struct batch *b)
{
	b->calls = wi_alloc(room(b) * sizeof(*b->calls));
	b->of = wi_alloc(room(b) * sizeof(struct pg_result *));
	return b->calls && b->of;
}

static void give_memory_back(struct batch *b)
{
	wi_free(b->calls, room(b) * sizeof(*b->calls));
	wi_free(b->of, room(b) * sizeof(struct pg_result *));
}

/* keeps: nothing came before that may have done away with what is prepared. */
static void put(struct batch *b, struct wi_call call, bool keeps)
{
	if (!keeps)
		call.keep = WI_KEEP_NOT;
	b->calls[b->n_calls++] = call;
}

static void line_up(struct batch *b)
{
	bool own = b->look != WI_LOOK_IN_TX, keeps = true;
	struct wi_call after;
	weir_statement s;

	b->n_calls = 0;
	b->unknown = false;
	if (own)
		b->calls[b->n_calls++] = (struct wi_call){.sql = "BEGIN", .own = true};
	(void)load(b, 0, &s, NULL);
	/*
	 * A question before SET TRANSACTION, or LOCK, would be one too early: it takes a snapshot.
	 */
	wi_limit_init(&b->limit, b->c, b->look, wi_is_plain_sql(s.sql), b->deadline_ns);
	b->n_calls += wi_limit_before(&b->limit, b->c, &b->calls[b->n_calls]);
	b->before = b->n_calls;
	for (size_t i = 0; i < b->n; i++) {
		(void)load(b, i, &s, NULL);
		put(b, wi_statement_call(b->c, &s), keeps);
		keeps &= !wi_may_unprepare(s.sql);
		b->unknown |= wi_may_have_committed(b->c, b->look, s.sql);
	}
	if (wi_limit_after(&b->limit, b->c, &after))
		put(b, after, keeps);
	if (own)
		b->calls[b->n_calls++] = (struct wi_call){.sql = "COMMIT", .own = true};
	memset(b->of, 0, b->n_calls * sizeof(struct pg_result *));
	b->results = (struct wi_results){.of = b->of};
	b->failure = (struct wi_failure){0};
}

/* The results from..to-1 go, but for the one that is kept. */
static void drop(struct batch *b, size_t kept)
{
	for (size_t i = 0; i < b->n_calls; i++)
		if (i != kept)
			b->c->pool->driver->result_free(b->of[i]);
}

/* Ends the transaction that was begun here; if that cannot be done, the connection goes. */
static void roll_back(struct batch *b)
{
	struct wi_failure f;

	if (b->look != WI_LOOK_IN_TX && b->c->pool->driver->look(b->c->link) == WI_LOOK_IN_TX)
		(void)wi_say(b->c, "ROLLBACK", b->deadline_ns, &f);
}

/* Names what has failed before the words. */
static void say_which(const struct batch *b, weir_error *error)
{
	size_t at = b->results.failed;
	char words[WEIR_ERROR_TEXT];
	struct wi_text t;

	if (!error)
		return;
	wi_copy(words, sizeof(words), error->text);
	wi_text_init(&t, error->text, sizeof(error->text));
	if (at >= b->before && at < b->before + b->n)
		wi_text_add(&t, "statements[%zu]: %s", at - b->before, words);
	else
		wi_text_add(&t, "%s: %s", at < b->before ? "beginning the batch" : "COMMIT", words);
}

/* Nothing was done; *again: another try may do better. */
static weir_status refused(struct batch *b, bool *again, struct pg_result **results,
                           weir_error *error)
{
	size_t at = b->results.failed;
	bool is_theirs = at >= b->before && at < b->before + b->n;
	weir_status st;

	*again = (b->results.stale || b->results.doubtful) && b->look != WI_LOOK_IN_TX;
	/* What has failed before a COMMIT keeps that from being done. */
	st = wi_outcome(b->c, WI_SAID_ERROR, b->unknown && (!is_theirs || b->look == WI_LOOK_IN_TX),
	                NULL, &b->failure, error);
	if (b->results.stale)
		st = wi_was_stale(error);
	else if (wi_limit_struck(&b->limit, b->c, &b->failure))
		st = wi_was_struck(error);
	say_which(b, error);
	drop(b, is_theirs && !*again ? at : SIZE_MAX);
	if (is_theirs && !*again)
		results[at - b->before] = b->of[at];
	roll_back(b);
	return st;
}

/* Sends and waits. A COMMIT may have left, and been obeyed, though the end has not. */
static enum wi_said exchange(struct batch *b)
{
	const struct wi_driver *d = b->c->pool->driver;
	int64_t sent_ns = b->c->pool->core.world->now();
	bool leaves = b->unknown && b->look != WI_LOOK_DEAD;

	if (!d->send_calls(b->c->link, b->calls, b->n_calls, &b->failure))
		return wi_said_unsent(b->c, leaves && b->failure.fault != WI_FAULT_MEMORY,
		                      &b->failure);
	return wi_said_by(b->c,
	                  wi_conn_await_results(b->c, b->calls, b->n_calls, &b->results,
	                                        b->deadline_ns, &b->failure),
	                  sent_ns, &b->failure);
}

static weir_status once(struct batch *b, bool *again, struct pg_result **results, weir_error *error)
{
	enum wi_said said;

	*again = false;
	if (b->c->pool->core.world->now() >= b->deadline_ns)
		return wi_out_of_time(b->c, error);
	line_up(b);
	said = exchange(b);
	if (said == WI_SAID_ERROR)
		return refused(b, again, results, error);
	for (size_t i = 0; said == WI_SAID_DONE && i < b->n; i++) {
		results[i] = b->of[b->before + i];
		b->of[b->before + i] = NULL;
	}
	drop(b, SIZE_MAX);
	return wi_outcome(b->c, said, b->unknown, NULL, &b->failure, error);
}

/* Whether the rollback has come to its end, and well. */
static bool is_idle(const struct batch *b)
{
	enum wi_look look = b->c->pool->driver->look(b->c->link);

	return look == WI_LOOK_CLEAN || look == WI_LOOK_CHANGED;
}

static weir_status run(struct batch *b, struct pg_result **results, weir_error *error)
{
	int64_t began_ns = b->c->pool->core.world->now();
	const char *tag = wi_load_rlx(&b->c->tag);
	weir_statement s;
	weir_status st;
	bool again;

	if (!get_memory(b)) {
		give_memory_back(b);
		return wi_fail(error, WEIR_NO_MEMORY, CALL ": no memory for the statements");
	}
	(void)load(b, 0, &s, NULL);
	st = once(b, &again, results, error);
	if (again && is_idle(b))
		st = once(b, &again, results, error);
	give_memory_back(b);
	wi_tally_query(b->c, began_ns, b->c->pool->core.world->now(), st, s.tag ? s.tag : tag);
	return st;
}

weir_status weir_batch(weir_conn *conn, const weir_statement *statements, size_t n,
                       struct pg_result **results, int64_t timeout_ms, weir_error *error)
{
	struct batch b = {.first = statements, .n = n};
	weir_status st;
	WI_NO_CANCEL;

	if (!conn || (n && (!statements || !results)))
		return wi_fail(error, WEIR_INVALID, CALL ": %s is NULL",
		               !conn         ? "conn"
		               : !statements ? "statements"
		                             : "results");
	if (n > MOST_STATEMENTS)
		return wi_fail(error, WEIR_INVALID, CALL ": more than %d statements",
		               MOST_STATEMENTS);
	for (size_t i = 0; i < n; i++)
		results[i] = NULL;
	b.step = n && statements->size ? statements->size : sizeof(*statements);
	st = check(&b, error);
	if (st != WEIR_OK)
		return st;
	b.c = wi_exec_enter(conn, CALL, &b.look, &st, error);
	if (!b.c || n == 0)
		return st;
	b.deadline_ns = wi_statement_deadline(&b.c->pool->options, timeout_ms,
	                                      b.c->pool->core.world->now());
	return run(&b, results, error);
}
