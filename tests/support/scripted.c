/* SPDX-License-Identifier: BSD-2-Clause */
/* What its server answers is in the SQL; scripted.h tells the idea. */
#include "support/scripted.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/atomic.h"
#include "support/fake_pool.h"

static bool answer(struct wi_fake_server *server, const char *sql, struct wi_answer *row,
                   struct wi_failure *failure)
{
	struct scripted *s = server->arg;
	const char *fail = strstr(sql, "FAIL "), *state = NULL;

	(void)row;
	if (strlen(s->asked) + strlen(sql) + 2 < sizeof(s->asked))
		strcat(strcat(s->asked, sql), "|");
	if (strstr(sql, "ONCE"))
		wi_add_rlx(&s->seen, 1);
	*failure = (struct wi_failure){.fault = WI_FAULT_SQL, .text = "as scripted"};
	if (fail)
		state = fail + strlen("FAIL ");
	else if (strncmp(sql, "COMMIT", 6) == 0)
		state = s->commit_fails;
	if (state && state[0])
		memcpy(failure->sqlstate, state, 5);
	if (strstr(sql, "LOSE") || (state && !state[0]))
		failure->fault = WI_FAULT_LOST;
	return !state && !strstr(sql, "LOSE");
}

int scripted_begin_with(void **state, const weir_options *options)
{
	static struct scripted s;
	weir_options o = *options;

	memset(&s, 0, sizeof(s));
	wi_fake_server_init(&s.server);
	s.server.answer = answer;
	s.server.arg = &s;
	o.pool_min = 0;
	o.pool_max = 1;
	s.pool = fake_pool_open(&s.server, &o);
	assert_int_equal(weir_pool_checkout(s.pool, 10000, &s.conn, NULL), WEIR_OK);
	s.asked[0] = '\0';
	*state = &s;
	return 0;
}

int scripted_begin(void **state)
{
	weir_options o;

	weir_options_init(&o);
	return scripted_begin_with(state, &o);
}

int scripted_end(void **state)
{
	struct scripted *s = *state;

	wi_store_rlx(&s->server.silent, false);
	weir_checkin(&s->conn);
	assert_int_equal(weir_pool_close(&s->pool, 10000), WEIR_OK);
	wi_fake_server_fini(&s->server);
	return 0;
}
