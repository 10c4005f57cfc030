/* SPDX-License-Identifier: BSD-2-Clause */
/* What failures mean, by table: what servers and libpq have been seen to say. */
#include "driver/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/line.h"

#define AT "connection to server at \"db\" (10.0.0.1), port 5432 failed: "

static const struct {
	enum wi_fault fault;
	const char *sqlstate, *text;
} said[] = {
	/* By SQLSTATE, whatever the words. */
	{WI_FAULT_AUTH, "28P01", AT "FATAL:  Passwort-Authentifizierung"},
	{WI_FAULT_AUTH, "28000", AT "FATAL:  role \"x\" does not exist"},
	{WI_FAULT_AUTH, "28000", AT "FATAL:  connection requires a valid client certificate"},
	{WI_FAULT_CONFIG, "3D000", AT "FATAL:  database \"x\" does not exist"},
	{WI_FAULT_CONFIG, "22023", AT "FATAL:  invalid value for parameter \"TimeZone\""},
	{WI_FAULT_CONFIG, "42501", AT "FATAL:  permission denied for database \"x\""},
	{WI_FAULT_CONFIG, "55000",
         AT "FATAL:  database \"x\" is not currently accepting connections"},
	{WI_FAULT_OPTIONS, "42704", AT "FATAL:  unrecognized configuration parameter \"x\""},
	{WI_FAULT_CAPACITY, "53300", AT "FATAL:  sorry, too many clients already"},
	{WI_FAULT_CAPACITY, "53200", AT "FATAL:  out of memory"},
	{WI_FAULT_STARTING, "57P03", AT "FATAL:  the database system is starting up"},
	{WI_FAULT_STARTING, "57P01",
         AT "FATAL:  terminating connection due to administrator command"},
	{WI_FAULT_REFUSED, "XX000", AT "FATAL:  something broke"},
	/* By words, where the SQLSTATE is too wide. */
	{WI_FAULT_OPTIONS, "08P01", AT "FATAL:  unsupported startup parameter: options"},
	{WI_FAULT_OPTIONS, "08P01",
         AT "FATAL:  unsupported startup parameter in options: lock_timeout"},
	{WI_FAULT_AUTH, "08P01", AT "FATAL:  no such user: x"},
	{WI_FAULT_AUTH, "08P01", AT "FATAL:  SASL authentication failed"},
	{WI_FAULT_CONFIG, "08P01", AT "FATAL:  no such database: x"},
	{WI_FAULT_CAPACITY, "08P01", AT "FATAL:  no more connections allowed (max_client_conn)"},
	{WI_FAULT_STARTING, "08P01", AT "FATAL:  pooler is shut down"},
	/* By words, where there is no SQLSTATE. */
	{WI_FAULT_AUTH, "", AT "FATAL:  password authentication failed for user \"x\""},
	{WI_FAULT_AUTH, "", AT "fe_sendauth: no password supplied"},
	{WI_FAULT_AUTH, "",
         AT
         "FATAL:  no pg_hba.conf entry for host \"10.0.0.9\", user \"x\", database \"y\", SSL encryption"},
	{WI_FAULT_AUTH, "", AT "FATAL:  pg_hba.conf rejects connection for host \"10.0.0.9\""},
	{WI_FAULT_AUTH, "",
         "connection to server on socket \"/tmp/.s.PGSQL.5432\" failed: requirepeer specifies \"a\", but actual peer user name is \"b\""},
	{WI_FAULT_AUTH, "",
         AT
         "channel binding is required, but server did not offer an authentication method that supports channel binding"},
	{WI_FAULT_AUTH, "",
         AT
         "auth method \"password\" requirement failed: server requested a cleartext password, authentication method not allowed"},
	{WI_FAULT_CONFIG, "", AT "FATAL:  role \"x\" does not exist"},
	{WI_FAULT_CONFIG, "", "invalid port number: \"99999\""},
	{WI_FAULT_CONFIG, "", "invalid sslmode value: \"x\""},
	{WI_FAULT_CAPACITY, "",
         AT
         "FATAL:  remaining connection slots are reserved for non-replication superuser connections"},
	{WI_FAULT_CAPACITY, "", AT "FATAL:  too many connections for role \"x\""},
	{WI_FAULT_CAPACITY, "",
         AT "could not fork new process for connection: Cannot allocate memory"},
	{WI_FAULT_STARTING, "", AT "FATAL:  the database system is shutting down"},
	{WI_FAULT_STARTING, "", AT "FATAL:  the database system is in recovery mode"},
	{WI_FAULT_STARTING, "",
         AT
         "FATAL:  the database system is not yet accepting connections\nDETAIL:  Consistent recovery state has not been yet reached."},
	{WI_FAULT_TLS, "", AT "SSL error: certificate verify failed"},
	{WI_FAULT_TLS, "", AT "server does not support SSL, but SSL was required"},
	{WI_FAULT_TLS, "", AT "server certificate for \"a\" does not match host name \"b\""},
	{WI_FAULT_TLS, "", AT "root certificate file \"/x/root.crt\" does not exist"},
	{WI_FAULT_TLS, "", AT "could not load private key file \"/x\": no start line"},
	{WI_FAULT_TLS, "", AT "received invalid response to SSL negotiation: H"},
	{WI_FAULT_MEMORY, "", "out of memory"},
	{WI_FAULT_MEMORY, "", AT "could not create socket: Too many open files"},
	{WI_FAULT_RESOLVE, "",
         "could not translate host name \"x\" to address: Name or service not known"},
	{WI_FAULT_TIMEOUT, "", AT "Connection timed out"},
	{WI_FAULT_REFUSED, "",
         AT
         "Connection refused\n\tIs the server running on that host and accepting TCP/IP connections?"},
	{WI_FAULT_REFUSED, "", AT "No route to host"},
	{WI_FAULT_REFUSED, "", AT "server closed the connection unexpectedly"},
	{WI_FAULT_REFUSED, "",
         "connection to server on socket \"/x/.s.PGSQL.5432\" failed: No such file or directory"},
	{WI_FAULT_REFUSED, "", ""},
};

static void a_failed_connect_is_of_the_kind_the_table_says(void **state)
{
	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(said); i++) {
		enum wi_fault fault = wi_fault_of_connect(said[i].sqlstate, said[i].text);

		if (fault != said[i].fault)
			fail_msg("%s instead of %s: %s %s", wi_fault_name(fault),
			         wi_fault_name(said[i].fault), said[i].sqlstate, said[i].text);
	}
}

/* Verbose text as libpq 15 builds it. */
static void a_sqlstate_is_found_and_taken_out_of_verbose_text(void **state)
{
	struct wi_failure failure;

	(void)state;
	wi_failure_of_connect(&failure,
	                      AT "FATAL:  28P01: password authentication failed for user \"x\"\n"
	                         "LOCATION:  auth_failed, auth.c:328\n",
	                      "canary");
	assert_int_equal(failure.fault, WI_FAULT_AUTH);
	assert_string_equal(failure.sqlstate, "28P01");
	assert_string_equal(failure.text,
	                    AT "FATAL: password authentication failed for user \"x\"");
}

/* With sslmode=prefer libpq tries twice and tells both: the first is the cause. */
static void of_two_tries_the_first_sqlstate_counts_and_both_are_told(void **state)
{
	struct wi_failure failure;

	(void)state;
	wi_failure_of_connect(&failure,
	                      AT "FATAL:  53300: too many clients\nLOCATION:  a, b.c:1\n" AT
	                         "FATAL:  28000: no pg_hba.conf entry\nLOCATION:  c, d.c:2\n",
	                      NULL);
	assert_string_equal(failure.sqlstate, "53300");
	assert_int_equal(failure.fault, WI_FAULT_CAPACITY);
	assert_string_equal(failure.text,
	                    AT "FATAL: too many clients " AT "FATAL: no pg_hba.conf entry");
}

static void text_without_a_sqlstate_is_left_as_it_is(void **state)
{
	static const char *const texts[] = {
		"no blanks",
		"FATAL:  lower: not a state",
		"FATAL:  28P0: too short",
		"FATAL:  28P011: too long",
		"FATAL:  28P01 no colon",
		"FATAL:  28P01:no blank",
		":  ",
		"",
	};
	struct wi_failure failure;

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(texts); i++) {
		wi_failure_of_connect(&failure, texts[i], NULL);
		assert_string_equal(failure.sqlstate, "");
		assert_memory_equal(failure.text, texts[i], strcspn(texts[i], " "));
	}
}

static void long_text_is_cut_and_secrets_are_not(void **state)
{
	struct wi_failure failure;
	char text[8192];

	(void)state;
	memset(text, 'x', sizeof(text));
	memcpy(text + 500, "canary", 6);  /* across the end of failure.text */
	memcpy(text + 4092, "canary", 6); /* and of what is looked at */
	text[sizeof(text) - 1] = '\0';
	wi_failure_of_connect(&failure, text, "canary");
	assert_int_equal(strlen(failure.text), sizeof(failure.text) - 1);
	assert_null(strstr(failure.text, "can"));
}

static void absent_words_are_empty_words(void **state)
{
	struct wi_failure failure;

	(void)state;
	memset(&failure, 'x', sizeof(failure));
	wi_failure_set(&failure, WI_FAULT_LOST, NULL, NULL, NULL);
	assert_int_equal(failure.fault, WI_FAULT_LOST);
	assert_string_equal(failure.sqlstate, "");
	assert_string_equal(failure.text, "");
}

static void fatal_words_and_a_crash_elsewhere_end_a_session(void **state)
{
	(void)state;
	assert_true(wi_fault_ends_session("FATAL", "57P05"));
	assert_true(wi_fault_ends_session("FATAL", NULL));
	assert_true(wi_fault_ends_session("PANIC", "XX000"));
	assert_true(wi_fault_ends_session("WARNING", "57P02"));
	assert_true(wi_fault_ends_session(NULL, "57P01"));
	assert_false(wi_fault_ends_session("WARNING", "01000"));
	assert_false(wi_fault_ends_session("NOTICE", NULL));
	assert_false(wi_fault_ends_session("ERROR", "57014"));
	assert_false(wi_fault_ends_session("ERROR", "57P01"));
	assert_false(wi_fault_ends_session(NULL, NULL));
}

static void every_kind_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (int a = WI_FAULT_NONE; a <= WI_FAULT_MEMORY; a++)
		for (int b = WI_FAULT_NONE; b < a; b++)
			assert_string_not_equal(wi_fault_name((enum wi_fault)a),
			                        wi_fault_name((enum wi_fault)b));
	assert_string_equal(wi_fault_name((enum wi_fault)99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_failed_connect_is_of_the_kind_the_table_says),
		cmocka_unit_test(a_sqlstate_is_found_and_taken_out_of_verbose_text),
		cmocka_unit_test(of_two_tries_the_first_sqlstate_counts_and_both_are_told),
		cmocka_unit_test(text_without_a_sqlstate_is_left_as_it_is),
		cmocka_unit_test(long_text_is_cut_and_secrets_are_not),
		cmocka_unit_test(absent_words_are_empty_words),
		cmocka_unit_test(fatal_words_and_a_crash_elsewhere_end_a_session),
		cmocka_unit_test(every_kind_has_a_name_of_its_own),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
