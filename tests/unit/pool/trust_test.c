/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a server has to prove before it hears anything, where nobody said how much; and whether a
 * password is safe.
 */
#include "pool/trust.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/text.h"

static weir_options o;
static struct wi_endpoint e;
static bool strict;

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&o);
	memset(&e, 0, sizeof(e));
	wi_copy(e.host, sizeof(e.host), "db.example");
	unsetenv("PGSSLMODE");
	unsetenv("PGSSLROOTCERT");
	unsetenv("PGCHANNELBINDING");
	unsetenv("PGREQUIREAUTH");
	return 0;
}

static void set(const char *name, const char *value)
{
	assert_int_equal(weir_options_set(&o, name, value, NULL), WEIR_OK);
}

static void local_is_what_stays_on_this_machine(void **state)
{
	static const struct {
		const char *host, *hostaddr;
		bool local;
	} cases[] = {
		{"", "", true},
		{"/var/run/postgresql", "", true},
		{"@abstract", "", true},
		{"localhost", "", true},
		{"LocalHost", "", true},
		{"127.0.0.1", "", true},
		{"127.99.0.1", "", true},
		{"::1", "", true},
		{"db.example", "127.0.0.1", true},
		{"localhost", "10.0.0.1", false},
		{"10.0.0.1", "", false},
		{"128.0.0.1", "", false},
		{"::2", "", false},
		{"127.1", "", false}, /* a name, as far as anybody can say before it is looked up */
		{"localhost.example", "", false},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		wi_copy(e.host, sizeof(e.host), cases[i].host);
		wi_copy(e.hostaddr, sizeof(e.hostaddr), cases[i].hostaddr);
		if (wi_trust_is_local(&e) != cases[i].local)
			fail_msg("\"%s\" at \"%s\"", cases[i].host, cases[i].hostaddr);
	}
}

static void a_host_that_a_service_names_may_be_anywhere(void **state)
{
	(void)state;
	e.host[0] = '\0';
	e.unnamed = true;
	assert_string_equal(wi_trust_sslmode(&o, &e, &strict), "verify-full");
	assert_true(strict);
	set("sslmode", "prefer");
	assert_non_null(wi_trust_gap(&o, &e));
	wi_copy(e.hostaddr, sizeof(e.hostaddr), "127.0.0.1");
	assert_null(wi_trust_gap(&o, &e));
}

static void off_this_machine_everything_is_verified_unless_somebody_said_otherwise(void **state)
{
	(void)state;
	assert_string_equal(wi_trust_sslmode(&o, &e, &strict), "verify-full");
	assert_true(strict);
	setenv("PGSSLMODE", "prefer", 1);
	assert_string_equal(wi_trust_sslmode(&o, &e, &strict), "prefer");
	assert_false(strict);
	setenv("PGSSLMODE", "verify-all", 1); /* libpq will say what it thinks of it */
	assert_string_equal(wi_trust_sslmode(&o, &e, &strict), "");
	assert_false(strict);
	o.isolated = 1; /* the environment says nothing then */
	assert_string_equal(wi_trust_sslmode(&o, &e, &strict), "verify-full");
	set("sslmode", "disable");
	assert_string_equal(wi_trust_sslmode(&o, &e, &strict), "disable");
	assert_false(strict);
}

static void on_this_machine_libpq_decides(void **state)
{
	(void)state;
	wi_copy(e.host, sizeof(e.host), "localhost");
	assert_string_equal(wi_trust_sslmode(&o, &e, &strict), "");
	assert_false(strict);
	set("sslmode", "prefer");
	assert_null(wi_trust_gap(&o, &e));
}

static void a_gap_is_what_lets_a_password_go_to_anybody(void **state)
{
	(void)state;
	assert_null(wi_trust_gap(&o, &e)); /* verify-full by default */
	set("sslmode", "verify-ca");
	assert_null(wi_trust_gap(&o, &e));
	set("sslmode", "require");
	assert_non_null(wi_trust_gap(&o, &e));
	set("sslrootcert", "/dev/null/none"); /* libpq would not verify without the file */
	assert_non_null(wi_trust_gap(&o, &e));
	set("sslrootcert", "/dev/null");
	assert_null(wi_trust_gap(&o, &e));
	set("sslmode", "prefer");
	assert_non_null(wi_trust_gap(&o, &e));
	set("channel_binding", "require");
	assert_null(wi_trust_gap(&o, &e));
	set("channel_binding", "prefer");
	set("sslmode", "disable");
	assert_non_null(wi_trust_gap(&o, &e));
	set("require_auth", "scram-sha-256");
	assert_null(wi_trust_gap(&o, &e));
}

static void the_environment_makes_and_closes_gaps(void **state)
{
	(void)state;
	setenv("PGSSLMODE", "require", 1);
	assert_non_null(wi_trust_gap(&o, &e));
	setenv("PGCHANNELBINDING", "require", 1);
	assert_null(wi_trust_gap(&o, &e));
	o.isolated = 1;
	assert_null(wi_trust_gap(&o, &e)); /* verify-full again */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(local_is_what_stays_on_this_machine, set_up),
		cmocka_unit_test_setup(a_host_that_a_service_names_may_be_anywhere, set_up),
		cmocka_unit_test_setup(
			off_this_machine_everything_is_verified_unless_somebody_said_otherwise,
			set_up),
		cmocka_unit_test_setup(on_this_machine_libpq_decides, set_up),
		cmocka_unit_test_setup(a_gap_is_what_lets_a_password_go_to_anybody, set_up),
		cmocka_unit_test_setup(the_environment_makes_and_closes_gaps, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
