/* SPDX-License-Identifier: BSD-2-Clause */
/* How an answer is read, column by column, and which question comes after a refusal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "base/line.h"
#include "base/text.h"
#include "route/question.h"

/* As a standby of version 15 answers the whole question. */
static const char *const standby[] = {"t",
                                      "off",
                                      "150007",
                                      "7000000000000000001",
                                      "1700000000.25",
                                      "0/2000018",
                                      NULL,
                                      "7",
                                      "8192",
                                      "16777216",
                                      "not paused",
                                      "0",
                                      "streaming",
                                      "8",
                                      "db1.example",
                                      "5433"};

static struct wi_answer answer_of(const char *const *values, size_t n)
{
	struct wi_answer a = {.columns = n, .has_row = true};

	for (size_t i = 0; i < n; i++) {
		a.is_null[i] = !values[i];
		wi_copy(a.value[i], sizeof(a.value[i]), values[i] ? values[i] : "");
	}
	return a;
}

/* The standby's answer with one column changed. */
static struct wi_reply read_with(size_t column, const char *value)
{
	const char *values[WI_ARRAY_LEN(standby)];
	struct wi_answer a;
	struct wi_reply reply;

	memcpy(values, standby, sizeof(standby));
	values[column] = value;
	a = answer_of(values, WI_ARRAY_LEN(standby));
	assert_true(wi_question_read(&reply, &a));
	return reply;
}

static void all_of_a_standby(void **state)
{
	struct wi_reply r = read_with(0, "t");

	(void)state;
	assert_true(r.sight.answered && r.sight.in_recovery && !r.sight.read_only);
	assert_int_equal(r.version, 150007);
	assert_int_equal(r.sight.system, 7000000000000000001);
	assert_int_equal(r.sight.started, 1700000000250000);
	assert_int_equal(r.sight.lsn, 0x2000018);
	assert_int_equal(r.sight.timeline, 7);
	assert_int_equal(r.sight.streams_on, 8);
	assert_false(r.sight.paused);
	assert_int_equal(r.sight.delay_ms, 0);
	assert_string_equal(r.sender, "db1.example");
	assert_string_equal(r.sender_port, "5433");
	assert_true(read_with(1, "on").sight.read_only);
}

static void replay_that_is_paused_or_late(void **state)
{
	(void)state;
	assert_true(read_with(10, "paused").sight.paused);
	assert_true(read_with(10, "pause requested").sight.paused);
	assert_true(read_with(10, "t").sight.paused); /* of before 14 */
	assert_false(read_with(10, "f").sight.paused);
	assert_false(read_with(10, NULL).sight.paused);
	assert_int_equal(read_with(11, "5min").sight.delay_ms, 300000);
	assert_int_equal(read_with(11, "250ms").sight.delay_ms, 250);
	assert_int_equal(read_with(11, NULL).sight.delay_ms, 0);
	assert_int_equal(read_with(11, "soon").sight.delay_ms, 0);
}

/* Only what streams just now is a word about now. */
static void a_receiver_that_does_not_stream(void **state)
{
	static const char *const states[] = {"starting", "waiting", "restarting", "stopping", NULL};
	char long_name[100];

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(states); i++)
		assert_int_equal(read_with(12, states[i]).sight.streams_on, 0);
	assert_int_equal(read_with(13, NULL).sight.streams_on, 0);
	assert_string_equal(read_with(14, NULL).sender, "");
	/* Cut, it could be somebody else's. */
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	assert_string_equal(read_with(14, long_name).sender, "");
}

/* What a primary has left of its time as a standby means nothing. */
static void a_primary(void **state)
{
	const char *values[WI_ARRAY_LEN(standby)];
	struct wi_answer a;
	struct wi_reply r;

	(void)state;
	memcpy(values, standby, sizeof(standby));
	values[0] = "f";
	values[6] = "0000000A";
	values[11] = "1h";
	a = answer_of(values, WI_ARRAY_LEN(values));
	assert_true(wi_question_read(&r, &a));
	assert_int_equal(r.sight.timeline, 10);
	assert_int_equal(r.sight.lsn, 0x2000000); /* behind a page's header there is nothing yet */
	assert_int_equal(r.sight.delay_ms, 0);
	assert_int_equal(r.sight.streams_on, 0);
	assert_string_equal(r.sender, "");
}

static void less_than_all(void **state)
{
	struct wi_answer a = answer_of(standby, 11);
	struct wi_reply r;

	(void)state;
	assert_true(wi_question_read(&r, &a));
	assert_int_equal(r.sight.timeline, 7);
	assert_int_equal(r.sight.streams_on, 0);
	assert_string_equal(r.sender, "");
	a = answer_of(standby, 3);
	assert_true(wi_question_read(&r, &a));
	assert_true(r.sight.in_recovery);
	assert_int_equal(r.sight.timeline, 0);
	assert_int_equal(r.sight.lsn, 0);
	a = answer_of(standby, 2);
	assert_false(wi_question_read(&r, &a));
	a = answer_of(standby, 3);
	a.is_null[0] = true;
	assert_false(wi_question_read(&r, &a));
	a.has_row = a.is_null[0] = false;
	assert_false(wi_question_read(&r, &a));
}

static void from_much_to_little(void **state)
{
	enum wi_question q = wi_question_for(150000);

	(void)state;
	assert_int_equal(q, WI_QUESTION_WHOLE);
	assert_int_equal(wi_question_for(0), WI_QUESTION_WHOLE);
	assert_int_equal(wi_question_for(140000), WI_QUESTION_WHOLE);
	assert_int_equal(wi_question_for(130012), WI_QUESTION_PLAIN);
	assert_false(wi_question_lower(&q, "57014"));
	assert_false(wi_question_lower(&q, ""));
	assert_true(wi_question_lower(&q, "42883"));
	assert_int_equal(q, WI_QUESTION_PLAIN);
	assert_true(wi_question_lower(&q, "42501"));
	assert_int_equal(q, WI_QUESTION_BASIC);
	assert_false(wi_question_lower(&q, "42501"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_a_standby),
		cmocka_unit_test(replay_that_is_paused_or_late),
		cmocka_unit_test(a_receiver_that_does_not_stream),
		cmocka_unit_test(a_primary),
		cmocka_unit_test(less_than_all),
		cmocka_unit_test(from_much_to_little),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
