/* SPDX-License-Identifier: BSD-2-Clause */
#include "promises/p14_caller.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/atomic.h"
#include "base/clock.h"
#include "support/process.h"
#include "support/shapes.h"
#include "support/threads.h"

#define CALLERS 16
#define SECONDS 1.2 /* three times the longest deadline, in every build */

_Thread_local bool p14_i_call;
_Atomic uint32_t p14_lookups_by_callers, p14_lookups;

/* ---- lookups: this program's getaddrinfo stands before the C library's ---- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool hangs;

void p14_hang_lookups(bool hang)
{
	pthread_mutex_lock(&lock);
	hangs = hang;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

int getaddrinfo(const char *node, const char *service, const struct addrinfo *hints,
                struct addrinfo **result)
{
	typedef int look_up(const char *, const char *, const struct addrinfo *,
	                    struct addrinfo **);
	void *found = dlsym(RTLD_NEXT, "getaddrinfo");
	look_up *real;

	memcpy(&real, &found, sizeof(real));
	if (node && !(hints && (hints->ai_flags & AI_NUMERICHOST))) {
		wi_add_rlx(p14_i_call ? &p14_lookups_by_callers : &p14_lookups, 1);
		pthread_mutex_lock(&lock);
		while (hangs)
			pthread_cond_wait(&changed, &lock);
		pthread_mutex_unlock(&lock);
	}
	return real(node, service, hints, result);
}

/* ---- callers ---- */

int64_t p14_slack_ns(void)
{
	return test_slack_ns();
}

struct call {
	weir_pool *const *pools;
	int n_pools;
	_Atomic int64_t worst_ns;
};

static void note(struct call *call, int64_t late_ns)
{
	int64_t worst = wi_load_rlx(&call->worst_ns);

	while (late_ns > worst && !atomic_compare_exchange_weak(&call->worst_ns, &worst, late_ns))
		;
}

static void call_once(struct test_thread *self, struct call *call)
{
	int64_t ms = 20 + wi_rng_below(&self->rng, 381), ready_ns = test_ready_ns();
	int64_t began_ns = wi_now_ns();
	weir_conn *conn = NULL;
	weir_error error = {0};
	weir_pool *pool = call->pools[self->number % call->n_pools];
	weir_status st = weir_pool_checkout(pool, ms, &conn, &error);
	int64_t took_ns = wi_now_ns() - began_ns;

	note(call, took_ns - ms * WI_MS - (test_ready_ns() - ready_ns));
	self->count[0]++;
	if (st != WEIR_TIMEOUT && st != WEIR_CONNECT)
		test_wrong(self, "%s: %.200s", weir_status_name(st), error.text);
	if (!error.host[0])
		test_wrong(self, "no host is named: %.200s", error.text);
	weir_checkin(&conn);
	if (took_ns < WI_MS)
		test_nap(5 * WI_MS); /* it was refused at once: the breaker is open */
}

static void call_again(struct test_thread *self)
{
	p14_i_call = true;
	while (!wi_load_rlx(self->stop))
		call_once(self, self->arg);
}

void p14_call_in_vain(weir_pool *const *pools, int n, struct p14_late *late)
{
	static struct test_thread reports[CALLERS];
	struct call call = {.pools = pools, .n_pools = n};
	const char *wrong;

	test_measure_lag(true);
	test_threads_run(CALLERS, call_again, &call, SECONDS, reports);
	test_measure_lag(false);
	wrong = test_first_wrong(reports, CALLERS);
	*late = (struct p14_late){.worst_ns = wi_load_rlx(&call.worst_ns),
	                          .calls = test_sum(reports, CALLERS, 0)};
	snprintf(late->wrong, sizeof(late->wrong), "%s", wrong ? wrong : "");
}
