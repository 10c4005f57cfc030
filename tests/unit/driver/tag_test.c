/* SPDX-License-Identifier: BSD-2-Clause */
/* Which command tags may mean that a session was changed. */
#include "driver/tag.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/line.h"

static void what_is_done_all_day_leaves_nothing(void **state)
{
	static const char *const tags[] = {
		"INSERT 0 1",
		"INSERT 0 4294967296",
		"UPDATE 12",
		"DELETE 0",
		"MERGE 3",
		"BEGIN",
		"START TRANSACTION",
		"COMMIT",
		"ROLLBACK",
		"SAVEPOINT",
		"RELEASE",
		"COPY 1000",
		"FETCH 1",
		"MOVE 0",
		"CLOSE CURSOR",
		"CLOSE CURSOR ALL",
		"NOTIFY",
		"LOCK TABLE",
		"TRUNCATE TABLE",
		"SET CONSTRAINTS",
		"COMMIT PREPARED",
		"CALL",
		"VACUUM",
		"ANALYZE",
	};

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(tags); i++)
		if (wi_tag_may_leave(tags[i]))
			fail_msg("%s", tags[i]);
}

static void what_a_session_can_keep_is_heard(void **state)
{
	static const char *const tags[] = {
		"SET",          "RESET",       "DISCARD ALL",     "DISCARD",  "PREPARE",
		"DEALLOCATE",   "LISTEN",      "UNLISTEN",        "LOAD",     "DECLARE CURSOR",
		"CREATE TABLE", "CREATE VIEW", "CREATE SEQUENCE", "SELECT 5", "CREATE FUNCTION",
		"DO",
	};

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(tags); i++)
		if (!wi_tag_may_leave(tags[i]))
			fail_msg("%s", tags[i]);
}

/* What is not known may be anything; what only begins like something known is not it. */
static void what_is_unknown_is_heard(void **state)
{
	static const char *const tags[] = {"",      "12",        "INVENTED", "INS",
	                                   "COPYX", "COMMITTED", "LOCK"};

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(tags); i++)
		if (!wi_tag_may_leave(tags[i]))
			fail_msg("%s", tags[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_done_all_day_leaves_nothing),
		cmocka_unit_test(what_a_session_can_keep_is_heard),
		cmocka_unit_test(what_is_unknown_is_heard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
