/* SPDX-License-Identifier: BSD-2-Clause */
/* Events reach the sink as one clean line; kinds and close reasons have names of their own. */
#include "stat/event.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <weir/stats.h>

static struct {
	int calls;
	weir_event_kind kind;
	int64_t at_ns;
	char host[64], text[WEIR_ERROR_TEXT];
} told;

static struct wi_ring ring;

static void note(void *arg, const weir_event *event)
{
	assert_ptr_equal(arg, &told);
	told.calls++;
	told.kind = event->kind;
	told.at_ns = event->at_ns;
	strncpy(told.host, event->host, sizeof(told.host) - 1);
	strncpy(told.text, event->text, sizeof(told.text) - 1);
}

static void sink_gets_the_event(void **state)
{
	weir_options options;

	(void)state;
	weir_options_init(&options);
	options.on_event = note;
	options.on_event_arg = &told;
	wi_event_tell(&ring, &options, 77, WEIR_EVENT_LOST, "db1:5432",
	              "ended by\nthe server: %d\n", 57);
	assert_int_equal(told.calls, 1);
	assert_int_equal(told.kind, WEIR_EVENT_LOST);
	assert_int_equal(told.at_ns, 77);
	assert_string_equal(told.host, "db1:5432");
	assert_string_equal(told.text, "ended by the server: 57");
	wi_event_tell(&ring, &options, 78, WEIR_EVENT_LEAK, NULL, "x");
	assert_string_equal(told.host, "");
	assert_int_equal(told.calls, 2);
}

static void without_a_sink_nothing_happens(void **state)
{
	weir_options options;
	int calls = told.calls;

	(void)state;
	weir_options_init(&options);
	wi_event_tell(&ring, &options, 1, WEIR_EVENT_LOST, "h", "%s", "text");
	assert_int_equal(told.calls, calls);
}

static void every_kind_and_reason_has_its_own_words(void **state)
{
	(void)state;
	for (int i = 0; i < WEIR_EVENT_KINDS; i++) {
		assert_string_not_equal(weir_event_name((weir_event_kind)i), "UNKNOWN");
		assert_string_not_equal(wi_event_text((weir_event_kind)i), "unknown event");
		for (int k = 0; k < i; k++)
			assert_string_not_equal(weir_event_name((weir_event_kind)i),
			                        weir_event_name((weir_event_kind)k));
	}
	for (int i = 0; i < WEIR_CLOSE_REASONS; i++) {
		assert_string_not_equal(weir_close_name((weir_close)i), "UNKNOWN");
		assert_string_not_equal(weir_close_text((weir_close)i), "unknown reason");
		for (int k = 0; k < i; k++)
			assert_string_not_equal(weir_close_text((weir_close)i),
			                        weir_close_text((weir_close)k));
	}
	assert_string_equal(weir_close_name(WEIR_CLOSE_EXPIRED), "EXPIRED");
	assert_string_equal(weir_event_name(WEIR_EVENT_SPLIT_BRAIN), "SPLIT_BRAIN");
}

static void numbers_from_elsewhere_have_words(void **state)
{
	(void)state;
	assert_string_equal(weir_event_name(WEIR_EVENT_KINDS), "UNKNOWN");
	assert_string_equal(weir_event_name((weir_event_kind)999), "UNKNOWN");
	assert_string_equal(wi_event_text((weir_event_kind)999), "unknown event");
	assert_string_equal(weir_close_name(WEIR_CLOSE_REASONS), "UNKNOWN");
	assert_string_equal(weir_close_name((weir_close)999), "UNKNOWN");
	assert_string_equal(weir_close_text((weir_close)999), "unknown reason");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sink_gets_the_event),
		cmocka_unit_test(without_a_sink_nothing_happens),
		cmocka_unit_test(every_kind_and_reason_has_its_own_words),
		cmocka_unit_test(numbers_from_elsewhere_have_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
