/* SPDX-License-Identifier: BSD-2-Clause */
/* The table of SQLSTATEs: every row as it stands, and docs/errors.md is the same table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <weir/weir.h>

#include "base/line.h"
#include "driver/fault.h"

/* What each code comes to, written down a second time: a change of the table has to be meant. */
static const struct {
	const char *sqlstate;
	weir_class connecting, open;
} known[] = {
	{"08000", WEIR_CLASS_PLAIN, WEIR_CLASS_EVICT},
	{"08006", WEIR_CLASS_PLAIN, WEIR_CLASS_EVICT},
	{"08P01", WEIR_CLASS_PLAIN, WEIR_CLASS_EVICT},
	{"0A000", WEIR_CLASS_CONFIG, WEIR_CLASS_DROP_STATEMENTS},
	{"22023", WEIR_CLASS_CONFIG, WEIR_CLASS_PLAIN},
	{"23505", WEIR_CLASS_PLAIN, WEIR_CLASS_PLAIN},
	{"25001", WEIR_CLASS_PLAIN, WEIR_CLASS_PLAIN},
	{"25006", WEIR_CLASS_PLAIN, WEIR_CLASS_WRONG_ROLE},
	{"25P03", WEIR_CLASS_PLAIN, WEIR_CLASS_EVICT},
	{"25P04", WEIR_CLASS_PLAIN, WEIR_CLASS_EVICT},
	{"28000", WEIR_CLASS_AUTH, WEIR_CLASS_PLAIN},
	{"28P01", WEIR_CLASS_AUTH, WEIR_CLASS_PLAIN},
	{"3D000", WEIR_CLASS_CONFIG, WEIR_CLASS_PLAIN},
	{"40001", WEIR_CLASS_PLAIN, WEIR_CLASS_RETRY},
	{"40P01", WEIR_CLASS_PLAIN, WEIR_CLASS_RETRY},
	{"40002", WEIR_CLASS_PLAIN, WEIR_CLASS_PLAIN},
	{"42501", WEIR_CLASS_CONFIG, WEIR_CLASS_PLAIN},
	{"42704", WEIR_CLASS_OPTIONS, WEIR_CLASS_PLAIN},
	{"42P01", WEIR_CLASS_CONFIG, WEIR_CLASS_PLAIN},
	{"53100", WEIR_CLASS_CAPACITY, WEIR_CLASS_PLAIN},
	{"53300", WEIR_CLASS_CAPACITY, WEIR_CLASS_PLAIN},
	{"55000", WEIR_CLASS_CONFIG, WEIR_CLASS_PLAIN},
	{"55P03", WEIR_CLASS_PLAIN, WEIR_CLASS_PLAIN},
	{"57014", WEIR_CLASS_PLAIN, WEIR_CLASS_PLAIN},
	{"57P01", WEIR_CLASS_RETRY_CONNECT, WEIR_CLASS_EVICT},
	{"57P02", WEIR_CLASS_CONDEMN, WEIR_CLASS_CONDEMN},
	{"57P03", WEIR_CLASS_CONDEMN, WEIR_CLASS_CONDEMN},
	{"57P04", WEIR_CLASS_RETRY_CONNECT, WEIR_CLASS_EVICT},
	{"57P05", WEIR_CLASS_RETRY_CONNECT, WEIR_CLASS_EVICT},
	{"57P09", WEIR_CLASS_RETRY_CONNECT, WEIR_CLASS_EVICT},
	{"XX000", WEIR_CLASS_PLAIN, WEIR_CLASS_PLAIN},
	{"", WEIR_CLASS_PLAIN, WEIR_CLASS_PLAIN},
	{NULL, WEIR_CLASS_PLAIN, WEIR_CLASS_PLAIN},
};

static void each_code_has_one_class(void **state)
{
	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(known); i++) {
		const char *code = known[i].sqlstate;

		if (weir_class_of(code, true) != known[i].connecting ||
		    weir_class_of(code, false) != known[i].open)
			fail_msg("%s: %s, %s", code ? code : "NULL",
			         weir_class_name(weir_class_of(code, true)),
			         weir_class_name(weir_class_of(code, false)));
	}
}

static void no_two_rows_have_the_same_prefix(void **state)
{
	const weir_sqlstate_row *a, *b;

	(void)state;
	for (size_t i = 0; (a = weir_sqlstate_at(i)); i++)
		for (size_t k = 0; (b = weir_sqlstate_at(k)); k++)
			assert_true(i == k || strcmp(a->prefix, b->prefix) != 0);
}

static void a_connect_is_judged_by_the_same_table(void **state)
{
	const weir_sqlstate_row *row;

	(void)state;
	for (size_t i = 0; (row = weir_sqlstate_at(i)); i++) {
		char code[6] = "00000";

		memcpy(code, row->prefix, strlen(row->prefix));
		if (weir_class_of(code, true) != WEIR_CLASS_PLAIN)
			assert_int_equal(wi_fault_of_connect(code, ""),
			                 wi_fault_of_class(weir_class_of(code, true)));
	}
}

static void every_class_has_words(void **state)
{
	(void)state;
	for (int i = 0; i < WEIR_CLASSES; i++) {
		assert_string_not_equal(weir_class_name((weir_class)i), "UNKNOWN");
		assert_string_not_equal(weir_class_text((weir_class)i), "unknown class");
	}
	assert_string_equal(weir_class_name(WEIR_CLASSES), "UNKNOWN");
}

static char *read_doc(void)
{
	const char *top = getenv("TEST_SOURCE_DIR");
	char path[1024], *text = test_calloc(1, 65536);
	FILE *f;
	size_t n;

	snprintf(path, sizeof(path), "%s/docs/errors.md", top ? top : ".");
	f = fopen(path, "r");
	n = f ? fread(text, 1, 65535, f) : 0;
	text[n] = '\0';
	if (f)
		fclose(f);
	return text;
}

/* Both tables of docs/errors.md, line by line; what is missing is printed as it should stand. */
static void the_document_is_the_table(void **state)
{
	char *doc = read_doc(), line[1024], *at = doc;
	const weir_sqlstate_row *row;
	int missing = 0, lines = 0;

	(void)state;
	for (size_t i = 0; (row = weir_sqlstate_at(i)); i++, lines++) {
		snprintf(line, sizeof(line), "| `%s` | %s | %s | %s |\n", row->prefix,
		         weir_class_name(row->connecting), weir_class_name(row->open), row->text);
		if (!strstr(doc, line) && ++missing)
			printf("%s", line);
	}
	for (int i = 0; i < WEIR_CLASSES; i++, lines++) {
		snprintf(line, sizeof(line), "| %s | %s |\n", weir_class_name((weir_class)i),
		         weir_class_text((weir_class)i));
		if (!strstr(doc, line) && ++missing)
			printf("%s", line);
	}
	if (missing)
		fail_msg("docs/errors.md lacks the %d lines above", missing);
	while ((at = strstr(at, "\n| "))) {
		lines--;
		at++;
	}
	assert_int_equal(lines, -4); /* each of the two tables has a head of two lines */
	test_free(doc);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_code_has_one_class),
		cmocka_unit_test(no_two_rows_have_the_same_prefix),
		cmocka_unit_test(a_connect_is_judged_by_the_same_table),
		cmocka_unit_test(every_class_has_words),
		cmocka_unit_test(the_document_is_the_table),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
