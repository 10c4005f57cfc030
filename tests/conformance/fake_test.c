/* SPDX-License-Identifier: BSD-2-Clause */
/* The fake driver does what any driver does, and what its script says. */
#include "driver/fake.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/text.h"
#include "conformance/driver_suite.h"
#include "driver/fault.h"

/* A server a place, so that scripts do not meet. */
#define PLACES (PLACE_FULL + 1)

struct fake_env {
	struct wi_endpoint endpoint;
	struct wi_fake_server servers[PLACES];
	struct wi_target targets[PLACES];
};

/* What the suite's queries come to. */
static bool answer_suite(struct wi_fake_server *server, const char *sql, struct wi_answer *answer,
                         struct wi_failure *failure)
{
	(void)server;
	if (strcmp(sql, SUITE_ERROR) == 0) {
		wi_failure_set(failure, WI_FAULT_SQL, "22012", "division by zero", NULL);
		return false;
	}
	if (strcmp(sql, SUITE_ROW) != 0 && strcmp(sql, SUITE_NO_ROW) != 0)
		return true;
	answer->has_row = strcmp(sql, SUITE_ROW) == 0;
	answer->columns = answer->has_row ? 3 : 1;
	answer->is_null[1] = answer->has_row;
	wi_copy(answer->value[0], sizeof(answer->value[0]), "7");
	wi_copy(answer->value[2], sizeof(answer->value[2]), "word");
	return true;
}

static struct fake_env the_fake;

static void set_up(struct fake_env *f)
{
	static const enum wi_fault refusals[PLACES] = {
		[PLACE_NOBODY] = WI_FAULT_REFUSED,
		[PLACE_STRANGER] = WI_FAULT_AUTH,
		[PLACE_NO_DATABASE] = WI_FAULT_CONFIG,
		[PLACE_FULL] = WI_FAULT_CAPACITY,
	};

	wi_copy(f->endpoint.host, sizeof(f->endpoint.host), "fake");
	for (int i = 0; i < PLACES; i++) {
		wi_fake_server_init(&f->servers[i]);
		f->servers[i].answer = answer_suite;
		f->servers[i].obeys_cancel = true;
		f->servers[i].connect_fault = (int)refusals[i];
		f->targets[i] = (struct wi_target){
			.endpoint = &f->endpoint,
			.secret = SUITE_SECRET,
			.plans = SUITE_PLANS,
			.script = &f->servers[i],
		};
	}
	f->servers[PLACE_SILENT].silent = true;
}

static const struct wi_target *fake_target(void *arg, enum driver_place place, const char **address)
{
	struct fake_env *f = arg;

	*address = NULL;
	return &f->targets[place];
}

static int fake_sessions(void *arg)
{
	return ((struct fake_env *)arg)->servers[PLACE_GOOD].sessions;
}

static bool fake_kill(void *arg)
{
	wi_fake_kill(&((struct fake_env *)arg)->servers[PLACE_GOOD]);
	return true;
}

static void fake_slow(void *arg, bool on)
{
	((struct fake_env *)arg)->servers[PLACE_GOOD].answer_ns = on ? 60 * WI_SEC : 0;
}

static const struct driver_env env = {
	.driver = &wi_driver_fake,
	.arg = &the_fake,
	.target = fake_target,
	.sessions = fake_sessions,
	.kill = fake_kill,
	.slow = fake_slow,
};

int main(void)
{
	int failed;

	set_up(&the_fake);
	failed = driver_suite_run("fake", &env);
	for (int i = 0; i < PLACES; i++)
		wi_fake_server_fini(&the_fake.servers[i]);
	return failed;
}
