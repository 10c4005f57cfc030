/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The question and how it is asked. One query, one round trip, every name qualified so that no
 * search_path of the probing role can change its meaning.
 *
 * A server that refuses part of it (functions missing or not granted, as behind some services) is
 * asked the basic question instead: then role and writability are known, and position, timeline and
 * system are not. After a while it is asked the whole one again: it may have been upgraded, or the
 * role granted more. Any other error says nothing of what the server could answer: the question is
 * put once more, and if that fails the probe has failed.
 */
#include "route/probe.h"

#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/line.h"
#include "base/text.h"
#include "pool/pool.h"
#include "pool/target.h"
#include "route/lsn.h"

/*
 * The role is read once, in the subquery: a server that is promoted while it answers says either
 * the old or the new truth. A standby's timeline is the highest that it is known to follow: what
 * its receiver says is hidden from ordinary roles, what its control file says can be late, and none
 * of them can be too high.
 */
#define BASIC_COLUMNS                                                                              \
	"here.recovering, pg_catalog.current_setting('default_transaction_read_only'),"            \
	" pg_catalog.current_setting('server_version_num')"
#define FROM_HERE " FROM (SELECT pg_catalog.pg_is_in_recovery() AS recovering OFFSET 0) AS here"

static const char basic_question[] = "SELECT " BASIC_COLUMNS FROM_HERE;

static const char full_question[] =
	"SELECT " BASIC_COLUMNS ","
	" (SELECT system_identifier FROM pg_catalog.pg_control_system()),"
	" pg_catalog.date_part('epoch', pg_catalog.pg_postmaster_start_time()),"
	" CASE WHEN here.recovering THEN pg_catalog.pg_last_wal_replay_lsn()"
	" ELSE pg_catalog.pg_current_wal_insert_lsn() END,"
	" CASE WHEN here.recovering THEN NULL"
	" ELSE pg_catalog.substr(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn()), 1, 8) END,"
	" CASE WHEN here.recovering THEN GREATEST("
	"(SELECT received_tli FROM pg_catalog.pg_stat_wal_receiver),"
	" (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint()),"
	" (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery())) END,"
	" pg_catalog.current_setting('wal_block_size'),"
	" pg_catalog.pg_size_bytes(pg_catalog.current_setting('wal_segment_size'))" FROM_HERE;

#define BASIC_FOR_NS (10 * WI_SEC)

enum column {
	RECOVERING,
	READ_ONLY,
	VERSION,
	BASIC_WIDTH,
	SYSTEM = BASIC_WIDTH,
	STARTED,
	LSN,
	OWN_TIMELINE,
	STANDBY_TIMELINE,
	BLOCK_BYTES,
	SEGMENT_BYTES,
	FULL_WIDTH
};

/* ---- the answer ---- */

static uint64_t number(const struct wi_answer *a, enum column column, int base)
{
	uint64_t n;

	if ((size_t)column >= a->columns || a->is_null[column] ||
	    !wi_number_parse(a->value[column], base, &n))
		return 0;
	return n;
}

/*
 * "1732145109.123456" in microseconds: enough of it to tell servers apart; 0 if it cannot be read.
 */
static uint64_t microseconds(const char *text)
{
	uint64_t n = 0;
	int after = -1;

	for (; *text; text++) {
		if (*text == '.' && after < 0)
			after = 0;
		else if (*text < '0' || *text > '9' || n > UINT64_MAX / 100)
			return 0;
		else if (after < 6) {
			n = n * 10 + (uint64_t)(*text - '0');
			after += after >= 0;
		}
	}
	for (after = after < 0 ? 0 : after; after < 6; after++)
		n *= 10;
	return n;
}

static void read_positions(struct wi_sight *s, const struct wi_answer *a)
{
	uint64_t lsn;

	s->system = number(a, SYSTEM, 10);
	s->started = a->is_null[STARTED] ? 0 : microseconds(a->value[STARTED]);
	s->timeline = (uint32_t)(s->in_recovery ? number(a, STANDBY_TIMELINE, 10)
	                                        : number(a, OWN_TIMELINE, 16));
	if (a->is_null[LSN] || !wi_lsn_parse(a->value[LSN], &lsn))
		return;
	s->lsn = s->in_recovery ? lsn
	                        : wi_lsn_normalise(lsn, number(a, BLOCK_BYTES, 10),
	                                           number(a, SEGMENT_BYTES, 10));
}

/* false: this is no answer to the question. */
static bool read_answer(struct wi_sight *s, const struct wi_answer *a)
{
	if (!a->has_row || a->columns < BASIC_WIDTH || a->is_null[RECOVERING])
		return false;
	*s = (struct wi_sight){
		.answered = true,
		.in_recovery = a->value[RECOVERING][0] == 't',
		.read_only = strcmp(a->value[READ_ONLY], "on") == 0,
	};
	if (a->columns >= FULL_WIDTH)
		read_positions(s, a);
	return true;
}

/* ---- asking ---- */

static void hear(struct wi_watch *watch, uint32_t events)
{
	(void)events;
	WI_CONTAINER_OF(watch, struct wi_probe, watch)->heard = true;
}

static bool wait_on(struct wi_probe *p, uint32_t events)
{
	return wi_keeper_watch(p->keeper, &p->watch, p->driver->fd(p->link), events);
}

static void hang_up(struct wi_probe *p)
{
	int fd;

	wi_keeper_watch(p->keeper, &p->watch, -1, 0);
	if (p->link) {
		fd = p->driver->close(p->link);
		if (fd >= 0)
			/* a probe's successor need not wait for its process to be gone */
			close(fd);
		p->link = NULL;
	}
	p->state = WI_PROBE_AWAY;
}

static enum wi_probe_news failed(struct wi_probe *p)
{
	hang_up(p);
	if (p->found.failure.fault == WI_FAULT_AUTH)
		wi_login_refused(&p->logins);
	p->late = false;
	p->found.sight = (struct wi_sight){0};
	if (!p->found.failure.text[0])
		wi_copy(p->found.failure.text, sizeof(p->found.failure.text), "the probe failed");
	return WI_PROBE_FAILED;
}

static enum wi_probe_news failed_with(struct wi_probe *p, enum wi_fault fault, const char *text)
{
	p->found.failure = (struct wi_failure){.fault = fault};
	wi_copy(p->found.failure.text, sizeof(p->found.failure.text), text);
	return failed(p);
}

static void say_timed_out(const struct wi_probe *p, char *text, size_t size)
{
	static const char *const doing[] = {[WI_PROBE_AWAY] = "",
	                                    [WI_PROBE_RESOLVING] = "looking up the host name",
	                                    [WI_PROBE_CONNECTING] = "connecting",
	                                    [WI_PROBE_ASKING] = "asking for the role",
	                                    [WI_PROBE_IDLE] = ""};

	snprintf(text, size, "no answer within %lld ms while %s",
	         (long long)(p->late ? p->connect_ms : p->limit_ms),
	         p->state == WI_PROBE_RESOLVING && p->asking && !p->resolving
	                 ? "asking for credentials"
	                 : doing[p->state]);
}

/* The deadline has come. A connect's first one is told, and the connect goes on. */
static enum wi_probe_news timed_out(struct wi_probe *p, int64_t now_ns)
{
	bool patient = p->state != WI_PROBE_ASKING && !p->late && now_ns < p->give_up_ns;
	char text[128];

	say_timed_out(p, text, sizeof(text));
	if (!patient)
		return failed_with(p, WI_FAULT_TIMEOUT, text);
	p->late = true;
	p->deadline_ns = p->give_up_ns;
	p->found.sight = (struct wi_sight){0};
	p->found.failure = (struct wi_failure){.fault = WI_FAULT_TIMEOUT};
	wi_copy(p->found.failure.text, sizeof(p->found.failure.text), text);
	return WI_PROBE_FAILED;
}

static enum wi_probe_news answered(struct wi_probe *p, int64_t now_ns)
{
	struct wi_facts facts;

	if (!read_answer(&p->found.sight, &p->answer))
		return failed_with(p, WI_FAULT_SQL,
		                   "the server's answer to the probe makes no sense");
	p->found.sight.asked_ns = p->asked_ns;
	p->found.sight.answered_ns = now_ns;
	p->found.version = (int)number(&p->answer, VERSION, 10);
	p->found.failure = (struct wi_failure){0};
	p->driver->facts(p->link, &facts);
	memcpy(p->found.tls, facts.tls, sizeof(p->found.tls));
	p->state = WI_PROBE_IDLE;
	p->heard = false;
	if (!wait_on(p, EPOLLIN | EPOLLRDHUP))
		return failed_with(p, WI_FAULT_MEMORY, "cannot watch the probe's socket");
	return WI_PROBE_ANSWERED;
}

static enum wi_probe_news read_on(struct wi_probe *p, int64_t now_ns);
static enum wi_probe_news look_for_host(struct wi_probe *p, int64_t now_ns);

/*
 * The exchange failed. If it was over a connection of an earlier question, the server may only have
 * ended that session: a new connection, within the same deadline, will tell.
 */
static enum wi_probe_news lost(struct wi_probe *p, int64_t now_ns)
{
	if (!p->reused)
		return failed(p);
	hang_up(p);
	p->reused = false;
	return look_for_host(p, now_ns);
}

static enum wi_probe_news ask(struct wi_probe *p, int64_t now_ns)
{
	p->state = WI_PROBE_ASKING;
	p->asked_ns = now_ns;
	if (p->basic && now_ns - p->basic_ns >= BASIC_FOR_NS)
		p->basic = false;
	if (!p->driver->send(p->link, p->basic ? basic_question : full_question, &p->found.failure))
		return lost(p, now_ns);
	return read_on(p, now_ns);
}

static enum wi_probe_news wait_for(struct wi_probe *p, uint32_t events)
{
	if (!wait_on(p, events))
		return failed_with(p, WI_FAULT_MEMORY, "cannot watch the probe's socket");
	return WI_PROBE_NO_NEWS;
}

/* Something of the question is not there, not granted, or not supported. */
static bool is_too_much(const char *sqlstate)
{
	static const char *const states[] = {"42501", "42883", "42P01", "0A000"};

	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++)
		if (strcmp(sqlstate, states[i]) == 0)
			return true;
	return false;
}

/* The server answered with an error, and the connection lives. */
static enum wi_probe_news refused(struct wi_probe *p, int64_t now_ns)
{
	if (!p->basic && is_too_much(p->found.failure.sqlstate)) {
		p->basic = true;
		p->basic_ns = now_ns;
		return ask(p, now_ns);
	}
	if (p->again)
		return failed(p);
	p->again = true;
	return ask(p, now_ns);
}

static enum wi_probe_news read_on(struct wi_probe *p, int64_t now_ns)
{
	switch (p->driver->answer_step(p->link, &p->answer, &p->found.failure)) {
	case WI_STEP_DONE:
		return answered(p, now_ns);
	case WI_STEP_READ:
		return wait_for(p, EPOLLIN);
	case WI_STEP_WRITE:
		return wait_for(p, EPOLLIN | EPOLLOUT);
	case WI_STEP_FAILED:
		break;
	}
	if (p->found.failure.fault != WI_FAULT_SQL)
		return lost(p, now_ns);
	return refused(p, now_ns);
}

static enum wi_probe_news connect_on(struct wi_probe *p, int64_t now_ns)
{
	switch (p->driver->connect_step(p->link, &p->found.failure)) {
	case WI_STEP_DONE:
		p->late = false;
		p->deadline_ns = wi_deadline_after(now_ns, p->limit_ms);
		return ask(p, now_ns);
	case WI_STEP_READ:
		return wait_for(p, EPOLLIN);
	case WI_STEP_WRITE:
		return wait_for(p, EPOLLOUT);
	case WI_STEP_FAILED:
		break;
	}
	return failed(p);
}

static enum wi_probe_news connect_to(struct wi_probe *p, const weir_login *login, int64_t now_ns)
{
	const struct wi_endpoint *e = p->target.endpoint;
	bool is_address = !e->hostaddr[0] && e->host[0] && e->host[0] != '/' && e->host[0] != '@';
	const char *address = is_address ? e->host : NULL;

	p->state = WI_PROBE_CONNECTING;
	p->basic = false;
	p->target.login = login;
	p->link = p->driver->connect(&p->target, p->address[0] ? p->address : address);
	p->target.login = NULL;
	p->address[0] = '\0';
	wi_login_drop(p->asking);
	p->asking = NULL;
	if (!p->link)
		return failed_with(p, WI_FAULT_MEMORY, "no memory for a probe's connection");
	if (p->pool)
		wi_pool_warn(p->pool, &p->target, p->link);
	return connect_on(p, now_ns);
}

/* -1: failed; 0: not yet; 1: the address is known. */
static int resolve_on(struct wi_probe *p)
{
	struct wi_addresses found;
	int r;

	if (!p->resolving)
		return 1;
	r = wi_resolve_poll(p->resolving, &found, &p->found.failure);
	if (r == 0)
		return 0;
	p->resolving = NULL;
	if (r > 0)
		memcpy(p->address, found.address[0], sizeof(p->address));
	return r;
}

static int ask_login(struct wi_probe *p, int64_t now_ns, const weir_login **login)
{
	int r;

	*login = wi_login_kept(&p->logins, now_ns);
	if (*login || !p->asking)
		return 1;
	r = wi_login_poll(&p->logins, p->asking, now_ns, login, &p->found.failure);
	if (r < 0) {
		wi_login_drop(p->asking);
		p->asking = NULL;
	}
	return r;
}

static enum wi_probe_news prepare_on(struct wi_probe *p, int64_t now_ns)
{
	const weir_login *login = NULL;
	int r = resolve_on(p);

	if (r > 0)
		r = ask_login(p, now_ns, &login);
	if (r < 0)
		return failed(p);
	return r == 0 ? WI_PROBE_NO_NEWS : connect_to(p, login, now_ns);
}

static enum wi_probe_news look_for_host(struct wi_probe *p, int64_t now_ns)
{
	const struct wi_endpoint *e = p->target.endpoint;

	p->state = WI_PROBE_RESOLVING;
	p->preparing = true;
	if (!e->hostaddr[0] && !wi_host_is_literal(e->host) && !p->resolving)
		if (!(p->resolving = wi_resolve_start(e->host, p->keeper)))
			return failed_with(p, WI_FAULT_MEMORY, "no memory for a name lookup");
	if (p->logins.ask && !p->asking && !wi_login_kept(&p->logins, now_ns))
		if (!(p->asking = wi_login_start(&p->logins, p->keeper)))
			return failed_with(p, WI_FAULT_MEMORY, "no memory to ask for credentials");
	return prepare_on(p, now_ns);
}

/*
 * The idle connection has something to say: its end, most likely. That revokes nothing yet, as it
 * may be this one session that was ended; the next question, at once, will tell.
 */
static enum wi_probe_news idle_heard(struct wi_probe *p)
{
	struct wi_failure why;

	p->heard = false;
	if (!p->driver->peek(p->link, &why))
		hang_up(p);
	return WI_PROBE_STIRRED;
}

void wi_probe_begin(struct wi_probe *p, int64_t now_ns, int64_t limit_ms, int64_t connect_ms)
{
	p->begun_ns = now_ns;
	p->limit_ms = limit_ms;
	p->connect_ms = connect_ms;
	p->give_up_ns = wi_deadline_after(now_ns, connect_ms);
	p->late = false;
	p->deadline_ns = wi_deadline_after(now_ns, limit_ms);
	p->heard = true; /* the first step needs no event */
	p->reused = p->state == WI_PROBE_IDLE;
	p->again = false;
	p->state = p->reused ? WI_PROBE_ASKING : WI_PROBE_RESOLVING;
	p->preparing = false;
	p->asked_ns = 0;
}

enum wi_probe_news wi_probe_step(struct wi_probe *p, int64_t now_ns)
{
	if (!wi_probe_is_busy(p))
		return p->state == WI_PROBE_IDLE && p->heard ? idle_heard(p) : WI_PROBE_NO_NEWS;
	if (now_ns >= p->deadline_ns)
		return timed_out(p, now_ns);
	if (!p->heard && p->state != WI_PROBE_RESOLVING && now_ns < p->driver->due(p->link))
		return WI_PROBE_NO_NEWS;
	p->heard = false;
	switch (p->state) {
	case WI_PROBE_RESOLVING:
		return p->preparing ? prepare_on(p, now_ns) : look_for_host(p, now_ns);
	case WI_PROBE_CONNECTING:
		return connect_on(p, now_ns);
	case WI_PROBE_ASKING:
		return p->asked_ns ? read_on(p, now_ns) : ask(p, now_ns);
	case WI_PROBE_AWAY:
	case WI_PROBE_IDLE:
		break;
	}
	return WI_PROBE_NO_NEWS;
}

static int64_t earlier(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

int64_t wi_probe_due(const struct wi_probe *p, int64_t now_ns)
{
	if (!wi_probe_is_busy(p))
		return p->state == WI_PROBE_IDLE && p->heard ? now_ns : WI_FOREVER;
	if (p->heard)
		return now_ns;
	if (p->state == WI_PROBE_RESOLVING)
		return p->deadline_ns; /* rung when it is done */
	return earlier(p->driver->due(p->link), p->deadline_ns);
}

bool wi_probe_is_busy(const struct wi_probe *p)
{
	return p->state != WI_PROBE_AWAY && p->state != WI_PROBE_IDLE;
}

void wi_probe_init(struct wi_probe *p, const struct wi_driver *driver, struct wi_keeper *keeper,
                   const struct wi_target *target, const weir_options *options)
{
	*p = (struct wi_probe){
		.driver = driver,
		.keeper = keeper,
		.target = *target,
		.watch = {.fd = -1, .ready = hear},
	};
	wi_logins_init(&p->logins, options, target->endpoint->name);
}

void wi_probe_stop(struct wi_probe *p)
{
	hang_up(p);
	wi_resolve_drop(p->resolving);
	p->resolving = NULL;
	wi_login_drop(p->asking);
	p->asking = NULL;
}

void wi_probe_fini(struct wi_probe *p)
{
	wi_logins_fini(&p->logins);
	wi_target_fini(&p->target);
}

void wi_probe_forget(struct wi_probe *p, struct wi_keeper *keeper)
{
	struct wi_target target = p->target;
	struct wi_logins logins = p->logins;
	struct weir_pool *pool = p->pool;

	/* One that the parent was working on may be half-changed: it is left alone. */
	if (p->link && p->state == WI_PROBE_IDLE)
		p->driver->abandon(p->link);
	*p = (struct wi_probe){
		.driver = p->driver,
		.keeper = keeper,
		.target = target,
		.logins = logins,
		.watch = {.fd = -1, .ready = hear},
	};
	p->pool = pool;
}
