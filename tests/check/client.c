/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Clients. A write is a transaction of its own: it raises a register's version, by compare-and-set
 * or without a condition, and leaves a row in the log. COMMIT goes through weir_exec, whose word
 * about its outcome is what is checked; the rest through libpq, as users do it.
 */
#include "check/client.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <libpq-fe.h>

#include "base/clock.h"

#define TIMEOUT_MS 5000
#define TICKING (CHECK_REGISTERS - 1)
#define COMPLAINTS 20

/* An operation under way. */
struct
try {
	struct client *client;
	struct op *op;
	weir_conn *conn;
	weir_error error;
};

static struct lane *lane_of(const struct client *c)
{
	return &c->stage->history.lanes[c->number];
}

static void note_sqlstate(struct op *op, const char *sqlstate)
{
	if (sqlstate && *sqlstate)
		snprintf(op->sqlstate, sizeof(op->sqlstate), "%.5s", sqlstate);
}

/* ---- getting a connection ---- */

/* The first few checkouts that fail are told in full. */
static void complain(struct try *t, const weir_request *request)
{
	if (atomic_fetch_add(&t->client->stage->complaints, 1) < COMPLAINTS)
		stage_say(t->client->stage, "    a %s fails after %.0f ms: %s: %.700s",
		          request->intent == WEIR_WRITE ? "write" : "read",
		          (double)(wi_now_ns() - t->op->begun_ns) / 1e6,
		          weir_status_name(t->error.status), t->error.text);
}

static bool checkout(struct try *t, weir_request *request)
{
	struct op *op = t->op;
	uint8_t router = (uint8_t)(t->client->number % ROUTERS);
	weir_conn_info info;
	weir_status st =
		weir_checkout_with(t->client->stage->router[router], request, &t->conn, &t->error);

	op->router = router;
	if (st != WEIR_OK)
		complain(t, request);
	op->status = (uint8_t)st;
	if (st != WEIR_OK || weir_conn_info_get(t->conn, &info) != WEIR_OK)
		return false;
	op->phase = PHASE_WORK;
	op->had_ns = wi_now_ns();
	op->host = stage_server(t->client->stage, info.host);
	op->role = (uint8_t)info.role;
	op->reason = (uint8_t)info.reason;
	op->backend = info.backend_pid;
	return true;
}

static void join_session(struct try *t, weir_request *request)
{
	t->op->session = t->client->session;
	if (t->client->session)
		request->session = &t->client->shown;
}

static bool checkout_to_write(struct try *t)
{
	weir_request request = WEIR_REQUEST(.intent = WEIR_WRITE, .timeout_ms = TIMEOUT_MS,
	                                    .tag = "a checker's write");

	join_session(t, &request);
	return checkout(t, &request);
}

static void give_back(struct try *t)
{
	weir_checkin(&t->conn);
	check_op_back(t->op);
}

/* ---- statements ---- */

/* By libpq: the result if it is as wanted, else NULL, and why is noted. */
static PGresult *ask(struct try *t, ExecStatusType wanted, const char *sql)
{
	PGresult *result = PQexec(weir_pg(t->conn), sql);

	if (PQresultStatus(result) == wanted)
		return result;
	note_sqlstate(t->op, PQresultErrorField(result, PG_DIAG_SQLSTATE));
	PQclear(result);
	return NULL;
}

static bool run(struct try *t, ExecStatusType wanted, const char *sql)
{
	PGresult *result = ask(t, wanted, sql);

	PQclear(result);
	return result != NULL;
}

static int64_t number(const PGresult *result, int column)
{
	return strtoll(PQgetvalue(result, 0, column), NULL, 10);
}

/* By weir, with a deadline. */
static weir_status exec(struct try *t, const char *sql)
{
	weir_status st = weir_exec(t->conn, sql, TIMEOUT_MS, &t->error);

	t->op->status = (uint8_t)st;
	if (st != WEIR_OK)
		note_sqlstate(t->op, t->error.sqlstate);
	return st;
}

static enum op_outcome outcome_of(weir_status st)
{
	if (st == WEIR_OUTCOME_UNKNOWN)
		return OUTCOME_UNKNOWN;
	return st == WEIR_OK ? OUTCOME_OK : OUTCOME_FAILED;
}

static enum op_outcome commit(struct try *t)
{
	t->op->phase = PHASE_COMMIT;
	return outcome_of(exec(t, "COMMIT"));
}

/* With the position, in one round trip. */
static enum op_outcome commit_with_token(struct try *t, weir_token *token)
{
	weir_status st;

	t->op->phase = PHASE_COMMIT;
	st = weir_token_commit(t->conn, TIMEOUT_MS, token, &t->error);
	t->op->status = (uint8_t)st;
	if (st != WEIR_OK)
		note_sqlstate(t->op, t->error.sqlstate);
	return outcome_of(st);
}

/* ---- writes ---- */

static int64_t known_version(struct stage *s, uint8_t reg)
{
	int64_t version;

	pthread_mutex_lock(&s->lock);
	version = s->board[reg].version;
	pthread_mutex_unlock(&s->lock);
	return version;
}

static void learn_version(struct stage *s, uint8_t reg, int64_t version)
{
	pthread_mutex_lock(&s->lock);
	if (version > s->board[reg].version)
		s->board[reg].version = version;
	pthread_mutex_unlock(&s->lock);
}

/* Whoever reads with this token must see this write. */
static void post(struct stage *s, const struct op *op, const weir_token *token)
{
	struct board *board = &s->board[op->reg];

	pthread_mutex_lock(&s->lock);
	board->write[board->n++ % POSTED] = (struct posted_write){op->value, *token};
	pthread_mutex_unlock(&s->lock);
}

/* Raises the version; false: it was not done, for lack of the expected version or a connection. */
static bool raise_version(struct try *t, bool compare)
{
	struct op *op = t->op;
	char sql[512], condition[64] = "";
	PGresult *result;
	bool done;

	if (compare)
		snprintf(condition, sizeof(condition), " AND version = %" PRId64,
		         known_version(t->client->stage, op->reg));
	snprintf(sql, sizeof(sql),
	         "WITH raised AS (UPDATE registers SET version = version + 1, value = %" PRIu64
	         " WHERE id = %u%s RETURNING version)"
	         " INSERT INTO log SELECT %u, version, %" PRIu64 " FROM raised RETURNING version",
	         op->value, op->reg, condition, op->reg, op->value);
	result = ask(t, PGRES_TUPLES_OK, sql);
	done = result && PQntuples(result) == 1;
	if (done)
		op->version = number(result, 0);
	PQclear(result);
	return done;
}

/* What others are to know of a write that was acknowledged. */
static void spread(struct try *t, weir_token *token)
{
	struct stage *s = t->client->stage;

	atomic_fetch_add(&s->acknowledged, 1);
	learn_version(s, t->op->reg, t->op->version);
	if (token->lsn || weir_token_take(t->conn, TIMEOUT_MS, token, NULL) == WEIR_OK)
		post(s, t->op, token);
}

static void catch_up(struct try *t)
{
	char sql[128];
	PGresult *result;

	snprintf(sql, sizeof(sql), "SELECT version FROM registers WHERE id = %u", t->op->reg);
	result = ask(t, PGRES_TUPLES_OK, sql);
	if (result && PQntuples(result) == 1)
		learn_version(t->client->stage, t->op->reg, number(result, 0));
	PQclear(result);
}

static void write_register(struct client *c, uint8_t reg)
{
	struct try t = {.client = c, .op = check_op_begin(lane_of(c), OP_WRITE)};
	enum op_outcome outcome = OUTCOME_FAILED;
	weir_token token = {0};

	t.op->reg = reg;
	t.op->value = (uint64_t)(c->number + 1) << 32 | ++c->writes;
	if (checkout_to_write(&t) && exec(&t, "BEGIN") == WEIR_OK) {
		if (!raise_version(&t, !c->ticks && wi_rng_below(&c->rng, 2)))
			catch_up(&t);
		else
			outcome = wi_rng_below(&c->rng, 2) ? commit(&t)
			                                   : commit_with_token(&t, &token);
	}
	check_op_end(t.op, outcome);
	if (outcome == OUTCOME_OK)
		spread(&t, &token);
	give_back(&t);
}

static void transfer(struct client *c)
{
	struct try t = {.client = c, .op = check_op_begin(lane_of(c), OP_TRANSFER)};
	uint32_t low = 1 + wi_rng_below(&c->rng, ACCOUNTS - 1);
	uint32_t high = low + 1 + wi_rng_below(&c->rng, ACCOUNTS - low);
	int amount = (int)wi_rng_below(&c->rng, 200) - 100;
	enum op_outcome outcome = OUTCOME_FAILED;
	char take[128], give[128];

	snprintf(take, sizeof(take), "UPDATE accounts SET balance = balance - %d WHERE id = %u",
	         amount, low);
	snprintf(give, sizeof(give), "UPDATE accounts SET balance = balance + %d WHERE id = %u",
	         amount, high);
	if (checkout_to_write(&t) && exec(&t, "BEGIN") == WEIR_OK &&
	    run(&t, PGRES_COMMAND_OK, take) && run(&t, PGRES_COMMAND_OK, give))
		outcome = commit(&t);
	check_op_end(t.op, outcome);
	give_back(&t);
}

/* ---- reads ---- */

static void see(struct try *t, const PGresult *result)
{
	t->op->version = number(result, 0);
	t->op->value = (uint64_t)number(result, 1);
}

static void lock_register(struct client *c, uint8_t reg)
{
	struct try t = {.client = c, .op = check_op_begin(lane_of(c), OP_LOCK)};
	enum op_outcome outcome = OUTCOME_FAILED;
	PGresult *result = NULL;
	char sql[128];

	t.op->reg = reg;
	snprintf(sql, sizeof(sql), "SELECT version, value FROM registers WHERE id = %u FOR UPDATE",
	         reg);
	if (checkout_to_write(&t) && exec(&t, "BEGIN") == WEIR_OK)
		result = ask(&t, PGRES_TUPLES_OK, sql);
	if (result) {
		see(&t, result);
		outcome = commit(&t);
	}
	PQclear(result);
	check_op_end(t.op, outcome);
	give_back(&t);
}

/* The last token of a register, or one of some writes ago, which a replica may have reached. */
static struct posted_write some_token(struct client *c, uint8_t reg)
{
	const struct board *board = &c->stage->board[reg];
	uint32_t back = 1 + wi_rng_below(&c->rng, POSTED);
	struct posted_write found = {0};

	pthread_mutex_lock(&c->stage->lock);
	if (board->n)
		found = board->write[(board->n - (back < board->n ? back : board->n)) % POSTED];
	pthread_mutex_unlock(&c->stage->lock);
	return found;
}

/* What to ask for, by chance; false: there is no token yet. */
static bool choose_level(struct client *c, struct op *op, weir_request *request)
{
	struct posted_write posted;

	*request = WEIR_REQUEST(.intent = WEIR_READ, .timeout_ms = TIMEOUT_MS,
	                        .tag = "a checker's read");
	if (wi_rng_below(&c->rng, 3) == 0)
		request->target = (weir_target)wi_rng_below(&c->rng, WEIR_TARGET_ANY + 1);
	op->target = (uint8_t)request->target;
	switch (wi_rng_below(&c->rng, 5)) {
	case 0:
		op->level = c->session ? LEVEL_SESSION : LEVEL_ANY;
		return true;
	case 1:
	case 2:
		op->level = LEVEL_LAG;
		request->max_lag_ms = 200 + wi_rng_below(&c->rng, 3) * 300;
		op->max_lag_ns = request->max_lag_ms * WI_MS;
		return true;
	default:
		break;
	}
	posted = some_token(c, op->reg);
	op->level = LEVEL_TOKEN;
	op->wants = posted.value;
	request->at_least = posted.token;
	return posted.value != 0;
}

/* What this read has seen, others are to see, too: by a token taken from whoever served it. */
static void spread_seen(struct try *t)
{
	weir_session seen = WEIR_SESSION();

	if (weir_session_take(&seen, t->conn, TIMEOUT_MS, NULL) == WEIR_OK)
		post(t->client->stage, t->op, &seen.at_least);
}

static void read_something(struct client *c, enum op_kind kind, uint8_t reg)
{
	struct try t = {.client = c, .op = check_op_begin(lane_of(c), kind)};
	char sql[128] = "SELECT sum(balance) FROM accounts";
	PGresult *result = NULL;
	weir_request request;

	t.op->reg = reg;
	if (kind == OP_READ)
		snprintf(sql, sizeof(sql), "SELECT version, value FROM registers WHERE id = %u",
		         reg);
	if (!choose_level(c, t.op, &request))
		request.at_least = (weir_token){0};
	join_session(&t, &request);
	if (checkout(&t, &request))
		result = ask(&t, PGRES_TUPLES_OK, sql);
	if (result && kind == OP_READ)
		see(&t, result);
	else if (result)
		t.op->total = number(result, 0);
	check_op_end(t.op, result ? OUTCOME_OK : OUTCOME_FAILED);
	if (t.op->version && wi_rng_below(&c->rng, 8) == 0)
		spread_seen(&t);
	PQclear(result);
	give_back(&t);
}

/* ---- the thread ---- */

static void act(struct client *c)
{
	uint32_t what = wi_rng_below(&c->rng, 16);
	uint8_t reg = (uint8_t)wi_rng_below(&c->rng, CHECK_REGISTERS);
	uint8_t other = (uint8_t)wi_rng_below(&c->rng, TICKING);

	if (c->ticks)
		write_register(c, TICKING);
	else if (what < 5)
		write_register(c, other);
	else if (what < 6)
		transfer(c);
	else if (what < 7)
		lock_register(c, reg);
	else if (what < 9)
		read_something(c, OP_BANK, reg);
	else
		read_something(c, OP_READ, what < 12 ? TICKING : reg);
}

static void rest(struct client *c)
{
	uint32_t us = wi_rng_below(&c->rng, (uint32_t)(2 * c->stage->pace_us));

	nanosleep(&(struct timespec){.tv_nsec = us * 1000L}, NULL);
}

/* Sessions begin and end, with times without one in between. */
static void go_on(struct client *c)
{
	if (c->left--)
		return;
	c->left = wi_rng_below(&c->rng, 60);
	c->session = c->session ? 0 : ++c->sessions;
	c->shown = WEIR_SESSION();
}

static void *live(void *arg)
{
	struct client *c = arg;

	while (!atomic_load(&c->stage->stop)) {
		go_on(c);
		act(c);
		rest(c);
	}
	return NULL;
}

void check_client_start(struct client *c)
{
	if (pthread_create(&c->thread, NULL, live, c) == 0)
		return;
	fprintf(stderr, "no thread for a client\n");
	exit(EXIT_FAILURE);
}

void check_client_join(struct client *c)
{
	pthread_join(c->thread, NULL);
}
