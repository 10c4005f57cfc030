/* SPDX-License-Identifier: BSD-2-Clause */
#include "p39_scene.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/atomic.h"
#include "base/clock.h"
#include "support/process.h"
#include "support/threads.h"

#define USERS 4
#define ROUNDS 3
#define WAIT_MS 15
#define SLACK_NS (60 * WI_SEC) /* what a loaded machine may add */

enum until { ONE_CALL, UNTIL_USED, UNTIL_CLOSED, UNTILS };

static const char *const until_name[] = {"one call", "all from it on",
                                         "all from it on, to the end"};

struct traces {
	size_t bytes;
	int descriptors, threads;
};

static const struct lender *the;
static _Atomic uint8_t held[SCENE_IDS];
static char wrong[512];

static void note(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void note(const char *format, ...)
{
	va_list list;

	if (wrong[0])
		return;
	va_start(list, format);
	vsnprintf(wrong, sizeof(wrong), format, list);
	va_end(list);
}

static void nap_ms(int64_t ms)
{
	nanosleep(&(struct timespec){.tv_nsec = ms * WI_MS}, NULL);
}

static struct traces traces_now(void)
{
	return (struct traces){wi_alloc_bytes(), test_descriptors(), test_thread_count()};
}

/* Any call on a thread of its own will do. */
static bool hook(void *arg, struct pg_conn *pg, int64_t deadline_ns, weir_error *error)
{
	(void)arg;
	(void)pg;
	(void)error;
	return wi_now_ns() < deadline_ns;
}

void scene_options(weir_options *options)
{
	weir_options_init(options);
	options->pool_min = 1;
	options->pool_max = SCENE_MAX;
	options->connect_timeout_ms = 2000;
	options->breaker_failures = 3;
	options->breaker_open_ms = 1;
	options->probe_interval_ms = 10;
	options->max_lifetime_ms = 30;
	options->on_connect = hook;
}

/* ---- users ---- */

static bool may_be_said(weir_status st)
{
	switch (st) {
	case WEIR_NO_MEMORY:
	case WEIR_TIMEOUT:
	case WEIR_EXHAUSTED:
	case WEIR_UNAVAILABLE:
	case WEIR_CONNECT:
	case WEIR_SYSTEM:
		return true;
	default:
		return false;
	}
}

static void use(struct test_thread *self, weir_conn *conn)
{
	uint32_t id = the->id(conn);

	if (id >= SCENE_IDS || atomic_exchange(&held[id], 1))
		test_wrong(self, "connection %u is lent twice", id);
	nap_ms(1);
	if (wi_rng_below(&self->rng, 3) == 0)
		the->soil(conn);
	atomic_store(&held[id], 0);
	if (wi_rng_below(&self->rng, 3) == 0)
		weir_discard(&conn);
	else
		weir_checkin(&conn);
}

static void user(struct test_thread *self)
{
	for (int i = 0; i < ROUNDS; i++) {
		int64_t begun_ns = wi_now_ns();
		weir_conn *conn = NULL;
		weir_error error = {0};
		weir_status st = the->checkout(self->number % 2, WAIT_MS, &conn, &error);

		if (wi_now_ns() - begun_ns > WAIT_MS * WI_MS + SLACK_NS)
			test_wrong(self, "a checkout took %lld ms",
			           (long long)((wi_now_ns() - begun_ns) / WI_MS));
		if (st == WEIR_OK)
			use(self, conn);
		else if (!may_be_said(st) || conn)
			test_wrong(self, "a checkout says %s: %s", weir_status_name(st),
			           error.text);
	}
}

static void user_or_trouble(struct test_thread *self)
{
	if (self->number < USERS) {
		user(self);
		return;
	}
	inject_spares_me = true;
	nap_ms(2);
	the->trouble();
	nap_ms(3);
	inject_spares_me = false;
	the->manage();
}

static void be_used(void)
{
	struct test_thread reports[USERS + 1];
	const char *told;

	test_threads_run(USERS + 1, user_or_trouble, NULL, -1, reports);
	told = test_first_wrong(reports, USERS + 1);
	if (told)
		note("%s", told);
}

/* ---- when all calls succeed again ---- */

static bool serves(bool write)
{
	int64_t end_ns = wi_now_ns() + SLACK_NS;
	weir_conn *conn = NULL;
	weir_error error = {0};
	weir_status st;

	do {
		st = the->checkout(write, 1000, &conn, &error);
		if (st == WEIR_OK) {
			weir_checkin(&conn);
			return true;
		}
		nap_ms(1);
	} while (wi_now_ns() < end_ns);
	note("it serves no more: %s: %s", weir_status_name(st), error.text);
	return false;
}

/* Idle ones die, and there is some time to hear of it. How many dead ones are handed out then. */
static int dead_ones_after(int64_t ms)
{
	weir_conn *conn[SCENE_MAX] = {NULL};
	int dead = 0;

	the->trouble();
	nap_ms(ms);
	for (int i = 0; i < SCENE_MAX; i++) {
		int64_t end_ns = wi_now_ns() + SLACK_NS;

		while (the->checkout(true, 1000, &conn[i], NULL) != WEIR_OK && wi_now_ns() < end_ns)
			nap_ms(1); /* connects are refused for a moment */
		if (!conn[i])
			note("after a death there is nothing to be had");
		else
			dead += !the->is_alive(conn[i]);
	}
	for (int i = 0; i < SCENE_MAX; i++)
		weir_checkin(&conn[i]);
	return dead;
}

/* On a machine that stands still there may be too little time; what is never heard is a fault. */
static void hands_out_no_dead(void)
{
	for (int64_t ms = 100; dead_ones_after(ms) > 0; ms *= 2)
		if (ms > 800) {
			note("dead ones are handed out");
			return;
		}
}

static void recover(void)
{
	int64_t end_ns = wi_now_ns() + SLACK_NS;
	char why[256] = "";

	if (!serves(true) || !serves(false))
		return;
	while (!the->is_at_rest(why, sizeof(why))) {
		if (wi_now_ns() > end_ns) {
			note("it does not come to rest: %s", why);
			return;
		}
		nap_ms(1);
	}
}

/* What ends by itself gets time for it. */
static void leave_nothing(const struct traces *before)
{
	struct traces now = traces_now();

	for (int i = 0; i < 10000 && memcmp(&now, before, sizeof(now)) != 0; i++) {
		nap_ms(1);
		now = traces_now();
	}
	if (now.bytes != before->bytes)
		note("%zu bytes of weir's are left, of %zu", now.bytes, before->bytes);
	if (now.descriptors != before->descriptors)
		note("%d descriptors are left, of %d", now.descriptors, before->descriptors);
	if (now.threads != before->threads)
		note("%d threads are left, of %d", now.threads, before->threads);
}

bool scene_pool_rests(const weir_pool_stats *s, char *why, size_t room)
{
	if (s->opening || s->kept || s->closing || s->waiting || s->busy)
		snprintf(why, room, "%u opening, %u kept, %u closing, %u waiting, %u busy",
		         s->opening, s->kept, s->closing, s->waiting, s->busy);
	else if (s->checkouts != s->checkins)
		snprintf(why, room, "%llu checkouts, %llu checkins",
		         (unsigned long long)s->checkouts, (unsigned long long)s->checkins);
	else if (s->total != s->idle || s->total > SCENE_MAX)
		snprintf(why, room, "%u in all, %u idle", s->total, s->idle);
	else
		return true;
	return false;
}

/* ---- the scene ---- */

/* Whether it could be opened; that it could not is well said. */
static bool is_opened(void)
{
	weir_error error = {0};
	weir_status st;

	inject_spares_me = false;
	st = the->open(&error);
	inject_spares_me = true;
	if (st != WEIR_OK && st != WEIR_NO_MEMORY && st != WEIR_SYSTEM)
		note("open says %s: %s", weir_status_name(st), error.text);
	return st == WEIR_OK;
}

static void end(void)
{
	weir_status st;

	inject_spares_me = false;
	st = the->close(20000);
	inject_spares_me = true;
	if (st != WEIR_OK)
		note("close says %s", weir_status_name(st));
}

/* Plays it once, with calls failing; how many calls there were, and in *failed how many failed. */
static int play(enum inject kind, int from, enum until until, int *failed)
{
	struct traces before = traces_now();
	int calls = 0;

	wrong[0] = '\0';
	inject(kind, from, until == ONE_CALL ? 1 : 1 << 30);
	if (is_opened()) {
		be_used();
		if (until != UNTIL_CLOSED) {
			calls = inject_end(failed);
			recover();
			if (kind == INJECT_WATCH && until == ONE_CALL)
				hands_out_no_dead();
		}
		end();
	}
	if (!calls)
		calls = inject_end(failed);
	leave_nothing(&before);
	return calls;
}

static int play_well(enum inject kind, int from, enum until until)
{
	int64_t begun_ns = wi_now_ns();
	int failed = 0, calls = play(kind, from, until, &failed);

	if (wi_now_ns() - begun_ns > WI_SEC)
		printf("%s: %s from call %d (%s) took %.1f s\n", the->name, inject_name[kind], from,
		       until_name[until], (double)(wi_now_ns() - begun_ns) / 1e9);

	if (wrong[0])
		fail_msg("%s: %s from call %d (%s; %d of %d failed): %s", the->name,
		         inject_name[kind], from, until_name[until], failed, calls, wrong);
	return calls;
}

/* Threads that nobody waits for have ended when nothing has changed for a while. */
static void come_to_rest(void)
{
	struct traces now = traces_now(), then;

	do {
		then = now;
		nap_ms(100);
		now = traces_now();
	} while (memcmp(&now, &then, sizeof(now)) != 0);
}

/* Some things are made once and stay: a seat of the main thread, a server's timer. */
static void warm_up(enum inject kind)
{
	int failed;

	inject(kind, 1 << 30, 1);
	if (is_opened()) {
		be_used();
		recover();
		end();
	}
	(void)inject_end(&failed);
	come_to_rest();
}

void scene_play_all(const struct lender *lender, enum inject kind, int most)
{
	int64_t begun_ns = wi_now_ns();
	int calls, tried = 0, step;

	the = lender;
	if (!inject_can(kind)) {
		printf("%s: %s cannot fail in this build\n", lender->name, inject_name[kind]);
		return;
	}
	warm_up(kind);
	calls = play_well(kind, 1 << 30, UNTIL_CLOSED);
	step = 1 + 3 * calls / most;
	/* Which of the three it is goes round, and each call gets each of them in some run. */
	for (int i = 0; i < calls * UNTILS; i += step, tried++)
		play_well(kind, 1 + i / UNTILS,
		          (enum until)((i + (int)(test_seed() % UNTILS)) % UNTILS));
	printf("%s: %s: %d calls, %d runs, %.1f s\n", lender->name, inject_name[kind], calls, tried,
	       (double)(wi_now_ns() - begun_ns) / 1e9);
}
