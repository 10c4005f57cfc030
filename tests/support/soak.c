/* SPDX-License-Identifier: BSD-2-Clause */
/* What the users of a soak's rounds do; soak.h tells the idea. */
#include "support/soak.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "driver/fake.h"
#include "pool/pool.h"
#include "support/process.h"
#include "support/shapes.h"

#define PATIENT_MS 60000
#define SESSIONS (1 << 20)
#define BOARD 8

bool soak_wrong(struct soak_round *round, const char *format, ...)
{
	va_list args;

	if (round->wrong[0])
		return false;
	va_start(args, format);
	vsnprintf(round->wrong, sizeof(round->wrong), format, args);
	va_end(args);
	return false;
}

bool soak_agree(struct soak_round *round, const char *what, uint64_t here, uint64_t there)
{
	return here == there || soak_wrong(round, "%s: %llu, should be %llu", what,
	                                   (unsigned long long)here, (unsigned long long)there);
}

int64_t soak_one_of(struct wi_rng *rng, const int64_t *values, uint32_t n)
{
	return values[wi_rng_below(rng, n)];
}

/* ---- sessions ---- */

static _Atomic uint8_t holder[SESSIONS];

static int (*host_of)(const weir_conn *conn);

static uint32_t places; /* on the board */

void soak_begin_sessions(int (*tells_hosts)(const weir_conn *conn), int64_t max)
{
	host_of = tells_hosts;
	places = max - 1 < BOARD ? (uint32_t)max - 1 : BOARD;
	for (size_t i = 0; i < SESSIONS; i++)
		wi_store_rlx(&holder[i], 0);
}

/* At most eight hosts. */
static _Atomic uint8_t *holder_of(const weir_conn *conn)
{
	uint64_t host = host_of ? (uint64_t)host_of(conn) : 0;

	return &holder[(wi_fake_serial(wi_conn_of(conn)->link) * 8 + host % 8) % SESSIONS];
}

static void take_hold(struct test_thread *self, const weir_conn *conn)
{
	if (wi_swap_acq_rel(holder_of(conn), 1) != 0)
		test_wrong(self, "a connection is in two hands");
}

static void let_go(struct test_thread *self, const weir_conn *conn)
{
	if (wi_swap_acq_rel(holder_of(conn), 0) != 1)
		test_wrong(self, "a connection was let go by another");
}

/* ---- connections ---- */

static _Atomic(weir_conn *) board[BOARD];

static void give_back(struct test_thread *self, weir_conn *conn)
{
	let_go(self, conn);
	if (wi_rng_below(&self->rng, 64) == 0)
		weir_discard(&conn);
	else
		weir_checkin(&conn);
}

static void hold_for_a_while(struct test_thread *self)
{
	uint32_t of_64 = wi_rng_below(&self->rng, 64);

	if (of_64 == 0)
		test_nap(wi_rng_below(&self->rng, 3000000));
	else if (of_64 < 16)
		test_nap(wi_rng_below(&self->rng, 300000));
}

static void leave_dirty(struct test_thread *self, weir_conn *conn)
{
	static const enum wi_look looks[] = {WI_LOOK_IN_TX, WI_LOOK_CHANGED, WI_LOOK_BUSY,
	                                     WI_LOOK_DEAD};
	uint32_t of_128 = wi_rng_below(&self->rng, 128);

	if (of_128 < 4)
		wi_fake_leave(wi_conn_of(conn)->link, looks[of_128]);
}

void soak_use(struct test_thread *self, weir_conn *conn)
{
	take_hold(self, conn);
	hold_for_a_while(self);
	leave_dirty(self, conn);
	if (places && wi_rng_below(&self->rng, 16) == 0) {
		conn = wi_swap_acq_rel(&board[wi_rng_below(&self->rng, places)], conn);
		self->count[SOAK_PASSED_ON]++;
	}
	if (conn)
		give_back(self, conn);
}

uint64_t soak_clear_board(struct test_thread *self)
{
	uint64_t n = 0;

	for (int i = 0; i < BOARD; i++) {
		weir_conn *conn = wi_swap_acq_rel(&board[i], NULL);

		if (conn) {
			give_back(self, conn);
			n++;
		}
	}
	return n;
}

/* ---- checkouts ---- */

/* Most come with 0 ms, 1 ms or 2 ms; the others can wait. */
static int64_t some_timeout_ms(struct test_thread *self)
{
	uint32_t of_8 = wi_rng_below(&self->rng, 8);

	return of_8 < 2 ? 0 : of_8 < 4 ? 1 : of_8 < 6 ? 2 : of_8 < 7 ? 20 : PATIENT_MS;
}

struct soak_begun soak_begin(struct test_thread *self)
{
	int64_t ms = some_timeout_ms(self), ready_ns = ms ? test_ready_ns() : 0;

	return (struct soak_begun){ms, wi_now_ns(), ready_ns};
}

static void note_lateness(struct test_thread *self, const struct soak_begun *begun, int64_t late_ns)
{
	/* Who may not wait does not sleep: late, if at all, for want of a processor. */
	if (!begun->timeout_ms)
		return;
	if (late_ns > 10 * WI_MS)
		late_ns -= test_ready_ns() - begun->ready_ns;
	if (late_ns > (int64_t)self->count[SOAK_LATEST_NS])
		self->count[SOAK_LATEST_NS] = (uint64_t)late_ns;
}

void soak_count(struct test_thread *self, weir_status status, const struct soak_begun *begun,
                const weir_error *error)
{
	int64_t timeout_ms = begun->timeout_ms;
	int64_t late = wi_now_ns() - begun->at_ns - timeout_ms * WI_MS;

	note_lateness(self, begun, late);
	if (status != WEIR_OK && timeout_ms == PATIENT_MS && late >= 0)
		test_wrong(self, "a minute was not enough: %s: %s", weir_status_name(status),
		           error->text);
	switch (status) {
	case WEIR_OK:
		self->count[SOAK_GOT]++;
		return;
	case WEIR_TIMEOUT:
		self->count[SOAK_TIMED_OUT]++;
		if (late < 0)
			test_wrong(self, "gave up %lld ns before the deadline", (long long)-late);
		else if (timeout_ms == 0)
			test_wrong(self, "a timeout, and it may not wait");
		return;
	case WEIR_EXHAUSTED:
		if (timeout_ms)
			test_wrong(self, "may wait, and did not");
		break;
	case WEIR_CONNECT:
	case WEIR_CLOSED:
	case WEIR_SHED:
	case WEIR_UNAVAILABLE:
		break;
	default:
		test_wrong(self, "%s: %s", weir_status_name(status), error->text);
	}
	self->count[SOAK_REFUSED]++;
}

/* ---- threads that come and go ---- */

struct short_life {
	struct test_thread *self;
	void (*step)(struct test_thread *self);
};

static void *live_briefly(void *arg)
{
	const struct short_life *life = arg;
	uint32_t steps = 1 + wi_rng_below(&life->self->rng, 24);

	while (steps-- && !wi_load_rlx(life->self->stop))
		life->step(life->self);
	return NULL;
}

void soak_repeat(struct test_thread *self, bool churn, void (*step)(struct test_thread *self))
{
	struct short_life life = {self, step};

	while (!wi_load_rlx(self->stop)) {
		pthread_t thread;

		if (!churn) {
			step(self);
		} else if (pthread_create(&thread, NULL, live_briefly, &life) == 0) {
			pthread_join(thread, NULL);
			self->count[SOAK_THREADS]++;
		} else {
			test_wrong(self, "no thread");
			return;
		}
	}
}
