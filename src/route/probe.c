/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * How the question is asked: connecting, the deadline, what a refusal leads to.
 *
 * A server that refuses part of the question is asked a smaller one (question.h). After a while it
 * is asked the whole one again: it may have been upgraded, or the role granted more. Any other
 * error says nothing of what the server could answer: the question is put once more, and if that
 * fails the probe has failed.
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
#include "route/question.h"

#define LOWERED_FOR_NS (10 * WI_SEC)

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
	void *link = p->link;
	int fd;

	wi_keeper_watch(p->keeper, &p->watch, -1, 0);
	p->state = WI_PROBE_AWAY; /* before it is closed: a child may be forked in the middle */
	p->link = NULL;
	if (!link)
		return;
	fd = p->driver->close(link);
	if (fd >= 0)
		/* a probe's successor need not wait for its process to be gone */
		close(fd);
}

static enum wi_probe_news failed(struct wi_probe *p)
{
	hang_up(p);
	p->name.n = p->tried = 0;
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

/*
 * When it is the next address's turn: of a question's time each has an equal share. What a late
 * connect has left, they have in turns that get shorter; the end of it is for one alone.
 */
static int64_t share_end_ns(const struct wi_probe *p, int64_t now_ns)
{
	int64_t left_ns = p->deadline_ns - now_ns;
	uint32_t others = p->late ? p->name.n : p->name.n - p->tried;

	if (p->late ? p->name.n < 2 || left_ns < p->limit_ms * WI_MS : !others)
		return WI_FOREVER;
	return now_ns + left_ns / (others + 1);
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
	if (p->tried == p->name.n) /* else the next one's turn has come, too */
		p->address_ns = share_end_ns(p, now_ns);
	p->found.sight = (struct wi_sight){0};
	p->found.failure = (struct wi_failure){.fault = WI_FAULT_TIMEOUT};
	wi_copy(p->found.failure.text, sizeof(p->found.failure.text), text);
	return WI_PROBE_FAILED;
}

static enum wi_probe_news answered(struct wi_probe *p, int64_t now_ns)
{
	struct wi_reply reply;
	struct wi_facts facts;

	if (!wi_question_read(&reply, &p->answer))
		return failed_with(p, WI_FAULT_SQL,
		                   "the server's answer to the probe makes no sense");
	p->found.sight = reply.sight;
	p->found.sight.asked_ns = p->asked_ns;
	p->found.sight.answered_ns = now_ns;
	p->found.version = reply.version;
	memcpy(p->found.sender, reply.sender, sizeof(reply.sender));
	memcpy(p->found.sender_port, reply.sender_port, sizeof(reply.sender_port));
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

static void start_high(struct wi_probe *p, int version)
{
	p->question = wi_question_for(version);
	p->lowered_ns = 0;
}

/* The server has as long as if this turn had not been held up before it was asked. */
static void make_up(struct wi_probe *p, int64_t now_ns)
{
	int64_t lost_ns = wi_keeper_now(p->keeper) - now_ns;

	if (lost_ns <= 0)
		return;
	if (p->deadline_ns < WI_FOREVER - lost_ns)
		p->deadline_ns += lost_ns;
	if (p->give_up_ns < WI_FOREVER - lost_ns)
		p->give_up_ns += lost_ns;
}

static enum wi_probe_news ask(struct wi_probe *p, int64_t now_ns)
{
	p->state = WI_PROBE_ASKING;
	p->asked_ns = now_ns;
	if (p->lowered_ns && now_ns - p->lowered_ns >= LOWERED_FOR_NS)
		start_high(p, p->found.version);
	if (!p->driver->send(p->link, wi_question_text(p->question), &p->found.failure))
		return lost(p, now_ns);
	make_up(p, now_ns);
	return read_on(p, now_ns);
}

static enum wi_probe_news wait_for(struct wi_probe *p, uint32_t events)
{
	if (!wait_on(p, events))
		return failed_with(p, WI_FAULT_MEMORY, "cannot watch the probe's socket");
	return WI_PROBE_NO_NEWS;
}

/* The server answered with an error, and the connection lives. */
static enum wi_probe_news refused(struct wi_probe *p, int64_t now_ns)
{
	if (wi_question_lower(&p->question, p->found.failure.sqlstate)) {
		p->lowered_ns = now_ns;
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

/* This address was not reached: the name's next one, or the host was not. */
static enum wi_probe_news unreached(struct wi_probe *p, int64_t now_ns)
{
	if (p->tried < p->name.n && wi_address_may_differ(p->found.failure.fault)) {
		hang_up(p);
		return look_for_host(p, now_ns);
	}
	wi_addresses_say_none(p->tried, &p->found.failure);
	return failed(p);
}

static enum wi_probe_news connect_on(struct wi_probe *p, int64_t now_ns)
{
	struct wi_facts facts;

	switch (p->driver->connect_step(p->link, &p->found.failure)) {
	case WI_STEP_DONE:
		p->driver->facts(p->link, &facts);
		start_high(p, facts.server_version);
		p->late = false;
		p->deadline_ns = wi_deadline_after(now_ns, p->limit_ms);
		p->name.n = p->tried = 0;
		return ask(p, now_ns);
	case WI_STEP_READ:
		return wait_for(p, EPOLLIN);
	case WI_STEP_WRITE:
		return wait_for(p, EPOLLOUT);
	case WI_STEP_FAILED:
		break;
	}
	return unreached(p, now_ns);
}

static enum wi_probe_news connect_to(struct wi_probe *p, const weir_login *login, int64_t now_ns)
{
	const struct wi_endpoint *e = p->target.endpoint;
	bool is_address = !e->hostaddr[0] && e->host[0] && e->host[0] != '/' && e->host[0] != '@';
	const char *address = is_address ? e->host : NULL;
	const char *found = p->tried < p->name.n ? p->name.address[p->tried++] : NULL;

	p->state = WI_PROBE_CONNECTING;
	p->target.login = login;
	p->link = p->driver->connect(&p->target, found ? found : address);
	p->target.login = NULL;
	wi_copy(p->peer, sizeof(p->peer), found ? found : "");
	wi_login_drop(p->asking);
	p->asking = NULL;
	if (!p->link)
		return failed_with(p, WI_FAULT_MEMORY, "no memory for a probe's connection");
	make_up(p, now_ns);
	p->address_ns = share_end_ns(p, wi_keeper_now(p->keeper));
	if (p->pool)
		wi_pool_warn(p->pool, &p->target, p->link);
	return connect_on(p, now_ns);
}

/* -1: failed; 0: not yet; 1: the address is known. */
static int resolve_on(struct wi_probe *p)
{
	int r;

	if (!p->resolving)
		return 1;
	r = wi_resolve_poll(p->resolving, &p->name, &p->found.failure);
	if (r != 0)
		p->resolving = NULL;
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
	if (!e->hostaddr[0] && !wi_host_is_literal(e->host) && p->tried == p->name.n &&
	    !p->resolving)
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

void wi_probe_renew(struct wi_probe *p)
{
	if (p->state == WI_PROBE_IDLE)
		hang_up(p);
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

static enum wi_probe_news go_on(struct wi_probe *p, int64_t now_ns)
{
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

/* Then the name's next one is tried; of one that is late it has been told already. */
static bool is_address_over(struct wi_probe *p, int64_t now_ns)
{
	if (p->state != WI_PROBE_CONNECTING || now_ns < p->address_ns)
		return false;
	if (!p->late)
		p->found.failure = (struct wi_failure){.fault = WI_FAULT_TIMEOUT};
	else if (p->tried == p->name.n)
		p->tried = 0;
	return true;
}

/*
 * What has come counts before the deadline does: where this process stood still for longer than a
 * question may take, that was no host's fault.
 */
enum wi_probe_news wi_probe_step(struct wi_probe *p, int64_t now_ns)
{
	enum wi_probe_news news = WI_PROBE_NO_NEWS;

	if (!wi_probe_is_busy(p))
		return p->state == WI_PROBE_IDLE && p->heard ? idle_heard(p) : WI_PROBE_NO_NEWS;
	if (p->heard || p->state == WI_PROBE_RESOLVING || now_ns >= p->driver->due(p->link))
		news = go_on(p, now_ns);
	if (news == WI_PROBE_NO_NEWS && wi_probe_is_busy(p) && now_ns >= p->deadline_ns)
		return timed_out(p, now_ns);
	if (news == WI_PROBE_NO_NEWS && is_address_over(p, now_ns))
		return unreached(p, now_ns);
	return news;
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
	if (p->state == WI_PROBE_CONNECTING && p->address_ns < p->deadline_ns)
		return earlier(p->driver->due(p->link), p->address_ns);
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
