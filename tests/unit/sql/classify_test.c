/* SPDX-License-Identifier: BSD-2-Clause */
/* What weir_classify says of each statement of the table, and how it behaves with any text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/classify.h>

#include "base/rng.h"
#include "sql/names.h"
#include "support/statements.h"

static size_t length_of(const struct statement *s)
{
	return s->length ? s->length : strlen(s->sql);
}

static void each_statement_of_the_table(void **state)
{
	size_t wrong = 0;

	(void)state;
	for (size_t i = 0; i < n_statements; i++) {
		const struct statement *s = &statements[i];
		weir_verdict v = weir_classify_why(s->sql, length_of(s), NULL);

		if (v.why == s->why && (v.intent == WEIR_READ) == (s->why == WEIR_SQL_READS))
			continue;
		wrong++;
		print_message("%s, not %s, at %zu: %s\n", weir_sql_why_name(v.why),
		              weir_sql_why_name(s->why), v.at, s->sql);
	}
	assert_int_equal(wrong, 0);
}

/*
 * Each with a block of its own that ends where the text ends, so that sanitizers see any step over.
 */
static weir_verdict judge_exact(const char *sql, size_t length)
{
	char *copy = malloc(length ? length : 1);
	weir_verdict v;

	assert_non_null(copy);
	memcpy(copy, sql, length);
	v = weir_classify_why(copy, length, NULL);
	free(copy);
	return v;
}

static void every_beginning_of_every_statement_is_judged(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_statements; i++) {
		size_t length = length_of(&statements[i]);

		for (size_t n = 0; n <= length; n++) {
			weir_verdict v = judge_exact(statements[i].sql, n);

			assert_true(v.at + v.length <= n);
			assert_true((unsigned)v.why < WEIR_SQL_WHYS);
		}
	}
}

static void what_decided_is_pointed_at(void **state)
{
	const char *sql = "SELECT a,\n total (1) FROM t";
	weir_verdict v = weir_classify_why(sql, strlen(sql), NULL);

	(void)state;
	assert_int_equal(v.why, WEIR_SQL_FUNCTION);
	assert_int_equal(v.at, 11);
	assert_int_equal(v.length, 5);
	sql = "SELECT 1; DELETE FROM t";
	v = weir_classify_why(sql, strlen(sql), NULL);
	assert_int_equal(v.at, 10);
	assert_int_equal(v.length, 6);
}

static weir_intent with(const char *sql, const weir_classify_rules *rules)
{
	return weir_classify(sql, strlen(sql), rules);
}

static void callers_functions_are_reads(void **state)
{
	const char *const functions[] = {"total", "app.total", "Odd", NULL, "nextval"};
	weir_classify_rules rules = WEIR_CLASSIFY_RULES(.functions = functions, .n_functions = 4);

	(void)state;
	assert_int_equal(with("SELECT total(1)", &rules), WEIR_READ);
	assert_int_equal(with("SELECT TOTAL(1), \"total\"(1), \"Odd\"(2)", &rules), WEIR_READ);
	assert_int_equal(with("SELECT app.total(1), app . \"total\" (2)", &rules), WEIR_READ);
	assert_int_equal(with("SELECT odd(1)", &rules), WEIR_WRITE);
	assert_int_equal(with("SELECT \"TOTAL\"(1)", &rules), WEIR_WRITE);
	assert_int_equal(with("SELECT other.total(1)", &rules), WEIR_WRITE);
	assert_int_equal(with("SELECT x.app.total(1)", &rules), WEIR_WRITE);
	assert_int_equal(with("SELECT \"\".total(1)", &rules), WEIR_WRITE);
	assert_int_equal(with("SELECT nextval('s')", &rules), WEIR_WRITE);
	rules.n_functions = 5;
	assert_int_equal(with("SELECT nextval('s')", &rules), WEIR_READ); /* he says so */
	/* A name that is too long for its part is not the name without it. */
	assert_int_equal(
		with("SELECT a23456789012345678901234567890123456789012345678901234567890123"
	             "4.total(1)",
	             &rules),
		WEIR_WRITE);
}

static void callers_refusals_go_first(void **state)
{
	const char *const functions[] = {"total", "app.total"};
	const char *const refused[] = {"lower", "app.total", "pg_catalog.upper"};
	weir_classify_rules rules = WEIR_CLASSIFY_RULES(.functions = functions, .n_functions = 2,
	                                                .refused = refused, .n_refused = 3);

	(void)state;
	assert_int_equal(with("SELECT lower('x')", &rules), WEIR_WRITE);
	assert_int_equal(with("SELECT t.lower FROM t", &rules), WEIR_WRITE);
	assert_int_equal(with("SELECT upper('x')", &rules), WEIR_READ);
	assert_int_equal(with("SELECT pg_catalog.upper('x')", &rules), WEIR_WRITE);
	assert_int_equal(with("SELECT total(1)", &rules), WEIR_READ);
	assert_int_equal(with("SELECT app.total(1)", &rules), WEIR_WRITE);
}

static void rules_may_be_older_or_newer(void **state)
{
	const char *const functions[] = {"total"};
	struct {
		weir_classify_rules rules;
		uint64_t more;
	} newer = {.rules = {.size = sizeof(newer), .functions = functions, .n_functions = 1}};
	weir_classify_rules older = {.size = offsetof(weir_classify_rules, functions)};

	(void)state;
	older.functions = functions;
	older.n_functions = 1;
	assert_int_equal(with("SELECT total(1)", &newer.rules), WEIR_READ);
	assert_int_equal(with("SELECT total(1)", &older), WEIR_WRITE);
	assert_int_equal(with("SELECT 1", &older), WEIR_READ);
	newer.more = 1;
	assert_int_equal(with("SELECT 1", &newer.rules), WEIR_WRITE);
	assert_int_equal(weir_classify_why("SELECT 1", 8, &newer.rules).why, WEIR_SQL_RULES);
	newer.more = 0;
	newer.rules.size = 0;
	assert_int_equal(with("SELECT total(1)", &newer.rules), WEIR_READ); /* 0: this one's */
}

static void nothing_is_a_write(void **state)
{
	(void)state;
	assert_int_equal(weir_classify(NULL, 0, NULL), WEIR_WRITE);
	assert_int_equal(weir_classify(NULL, 100, NULL), WEIR_WRITE);
	assert_int_equal(weir_classify("SELECT 1", 0, NULL), WEIR_WRITE);
}

static void all_names_of_the_list_are_found(void **state)
{
	static const char *const names[] = {
#define X(name) #name,
#define R(name) #name,
#define G(name) #name,
#include "sql/reads.def"
#undef X
#undef R
#undef G
	};

	(void)state;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		assert_int_not_equal(wi_name_find(names[i]), WI_NAME_UNKNOWN);
		assert_true(i == 0 || strcmp(names[i - 1], names[i]) < 0);
	}
	assert_int_equal(wi_name_find("aaa"), WI_NAME_UNKNOWN);
	assert_int_equal(wi_name_find("zzz"), WI_NAME_UNKNOWN);
	assert_int_equal(wi_name_find(""), WI_NAME_UNKNOWN);
}

/* A parser that descends into its text falls off its stack here; the time grows with the text. */
static void a_deep_or_long_text_is_no_danger(void **state)
{
	static const char *const parts[][3] = {{"SELECT ", "(", "1"},
	                                       {"SELECT 1", "+1", ""},
	                                       {"SELECT 1 ", "/*", ""},
	                                       {"SELECT n", "[1", ""},
	                                       {"SELECT ", "a.", "b"},
	                                       {"SELECT ", "$a", "$"},
	                                       {"SELECT ", "'a'", ""},
	                                       {"SELECT ", "\"a", "\""},
	                                       {"SELECT ", "lower(", "1"},
	                                       {"SELECT '", "\\\\", "'"},
	                                       {"SELECT -", "- ", "1"},
	                                       {"EXPLAIN (", "costs,", ")"},
	                                       {"SELECT $aaaaaa$", "$aaaaa", "$aaaaaa$"},
	                                       {"SELECT 1", ";", ""}};
	size_t room = 1 << 18;
	char *text = malloc(room + 64);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		size_t n = strlen(parts[i][0]), step = strlen(parts[i][1]);

		memcpy(text, parts[i][0], n);
		for (; n + step <= room; n += step)
			memcpy(text + n, parts[i][1], step);
		memcpy(text + n, parts[i][2], strlen(parts[i][2]));
		(void)weir_classify(text, n + strlen(parts[i][2]), NULL);
	}
	free(text);
}

static void reasons_have_names_and_texts(void **state)
{
	(void)state;
	assert_string_equal(weir_sql_why_name(WEIR_SQL_READS), "READS");
	for (int i = 0; i < WEIR_SQL_WHYS; i++) {
		assert_true(strlen(weir_sql_why_name((weir_sql_why)i)) > 3);
		assert_true(strlen(weir_sql_why_text((weir_sql_why)i)) > 10);
	}
	assert_string_equal(weir_sql_why_name(WEIR_SQL_WHYS), "UNKNOWN");
	assert_non_null(weir_sql_why_text((weir_sql_why)-1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_statement_of_the_table),
		cmocka_unit_test(every_beginning_of_every_statement_is_judged),
		cmocka_unit_test(what_decided_is_pointed_at),
		cmocka_unit_test(callers_functions_are_reads),
		cmocka_unit_test(callers_refusals_go_first),
		cmocka_unit_test(rules_may_be_older_or_newer),
		cmocka_unit_test(nothing_is_a_write),
		cmocka_unit_test(all_names_of_the_list_are_found),
		cmocka_unit_test(a_deep_or_long_text_is_no_danger),
		cmocka_unit_test(reasons_have_names_and_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
