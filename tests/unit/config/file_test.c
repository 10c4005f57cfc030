/* SPDX-License-Identifier: BSD-2-Clause */
/* The configuration file: what it sets, what it is weaker than, and the words for what is wrong. */
#include "config/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/rng.h"

static weir_options o;
static weir_error error;
static char **own_environ;
static char path[] = "/tmp/weir-file-test-XXXXXX";
static char line[128];
static size_t blocks;

static int fresh(void **state)
{
	static char *nothing[] = {NULL};

	(void)state;
	own_environ = environ;
	environ = nothing;
	weir_options_init(&o);
	memset(&error, 0, sizeof(error));
	blocks = wi_alloc_blocks();
	return 0;
}

static int restore(void **state)
{
	(void)state;
	environ = own_environ;
	assert_int_equal(wi_alloc_blocks(), blocks);
	return 0;
}

static void write_bytes(const char *text, size_t n, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void write_file(const char *text)
{
	write_bytes(text, strlen(text), 0600);
}

static void load(const char *text, const char *section)
{
	write_file(text);
	if (weir_options_from_file(&o, path, section, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

/* Refused, the words behind the path, and nothing is changed. */
static void refuse(const char *text, const char *section, const char *words)
{
	const weir_options before = o;
	char expected[600];

	write_file(text);
	assert_int_equal(weir_options_from_file(&o, path, section, &error), WEIR_INVALID);
	snprintf(expected, sizeof(expected), "file %s%s", path, words);
	assert_string_equal(error.text, expected);
	assert_memory_equal(&o, &before, sizeof(before));
}

static void names_set_options(void **state)
{
	(void)state;
	load("# for all\npool_max = 20\n\ncheckout_timeout_ms=5s ; short\n; more\nbalance: least\n"
	     "zone = a b\nview =\n",
	     NULL);
	assert_int_equal(o.pool_max, 20);
	assert_int_equal(o.checkout_timeout_ms, 5000);
	assert_int_equal(o.balance, WEIR_BALANCE_LEAST);
	assert_string_equal(o.zone, "a b");
}

static const char two[] = "pool_max = 20\npool_min = 1\n[reports]\npool_max = 4\n"
			  "[jobs]\npool_max = 5\npool_min = 5\n";

static void a_section_goes_over_what_is_for_all(void **state)
{
	(void)state;
	load(two, NULL);
	assert_int_equal(o.pool_max, 20);
	load(two, "reports");
	assert_int_equal(o.pool_max, 4);
	assert_int_equal(o.pool_min, 1);
	load(two, "jobs");
	assert_int_equal(o.pool_max, 5);
	assert_int_equal(o.pool_min, 5);
	refuse(two, "nobody", ": has nothing in a section [nobody]");
}

static void a_value_goes_on_in_the_next_line(void **state)
{
	(void)state;
	load("on_connect_sql = SET a.b = '1';\n\tSET a.c = '2';\n  SET a.d = '3'\npool_max = 3\n",
	     NULL);
	assert_string_equal(o.on_connect_sql, "SET a.b = '1'; SET a.c = '2'; SET a.d = '3'");
	assert_int_equal(o.pool_max, 3);
}

static void what_is_wrong_is_told_with_its_line(void **state)
{
	char longer[600];

	(void)state;
	refuse("pool_min = 1\n\npool_maks = 3\n", NULL,
	       ", line 3: no option has the name pool_maks: did you mean pool_max?");
	refuse("[x]\nqqqqqqqqqqqqqq = 3\n", NULL,
	       ", line 2: no option has the name qqqqqqqqqqqqqq");
	refuse("pasword = 3\n", NULL,
	       ", line 1: no option has the name pasword: did you mean password?");
	refuse("pool_min = 1\npool_max = 0\n", NULL,
	       ", line 2: option \"pool_max\": \"0\" is out of range: 1 to 32767");
	refuse("pool_max = 3\npool_min = 1\npool_max = 3\n", NULL,
	       ", line 3: pool_max was given before");
	refuse("pool_max\n", NULL, ", line 1: is neither [section] nor name = value");
	refuse("pool_max = 1\n[x\n", NULL, ", line 2: is neither [section] nor name = value");
	memset(longer, 'x', sizeof(longer) - 1);
	memcpy(longer, "pool_max = 1\nzone = ", 20);
	longer[sizeof(longer) - 1] = '\0';
	refuse(longer, NULL,
	       ", line 2: is longer than a line may be (198 bytes); a value may go on in lines "
	       "that begin with a blank");
}

static void what_is_no_file_is_told(void **state)
{
	(void)state;
	assert_int_equal(weir_options_from_file(&o, "/nowhere/weir.ini", NULL, &error),
	                 WEIR_INVALID);
	assert_string_equal(error.text, "file /nowhere/weir.ini: does not exist");
	assert_int_equal(weir_options_from_file(&o, "/tmp", NULL, &error), WEIR_INVALID);
	assert_string_equal(error.text, "file /tmp: is no file");
	assert_int_equal(weir_options_from_file(&o, NULL, NULL, &error), WEIR_INVALID);
	assert_int_equal(weir_options_from_file(NULL, path, NULL, &error), WEIR_INVALID);
	write_bytes("pool_max = 3\n\0zone = a\n", 23, 0600);
	assert_int_equal(weir_options_from_file(&o, path, NULL, &error), WEIR_INVALID);
}

static void a_password_that_others_may_read_is_refused(void **state)
{
	static const char text[] = "host = db\npassword = canary\n";

	(void)state;
	write_bytes(text, strlen(text), 0640);
	assert_int_equal(weir_options_from_file(&o, path, NULL, &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, "line 2: holds a password, and others"));
	assert_null(strstr(error.text, "canary"));
	write_bytes(text, strlen(text), 0600);
	assert_int_equal(weir_options_from_file(&o, path, NULL, &error), WEIR_OK);
	write_bytes("pool_max = 3\n", 13, 0644);
	assert_int_equal(weir_options_from_file(&o, path, NULL, &error), WEIR_OK);
}

static void the_environment_goes_over_the_file(void **state)
{
	char *entries[] = {line, "WEIR_POOL_MAX=30", "DB_POOL_MIN=3", "DB_USER=me", NULL};
	struct wi_dsn dsn;

	(void)state;
	snprintf(line, sizeof(line), "WEIR_CONFIG_FILE=%s", path);
	environ = entries;
	write_file("pool_max = 20\npool_min = 2\nmax_waiters = 7\nhost = h1,h2\nport = 6000\n"
	           "user = you\npassword = pw # 1\ndbname = shop\n");
	assert_int_equal(weir_options_from_env(&o, &error), WEIR_OK);
	assert_int_equal(o.pool_max, 30);
	assert_int_equal(o.pool_min, 3);
	assert_int_equal(o.max_waiters, 7);
	assert_int_equal(wi_dsn_parse(&dsn, NULL, &o, &error), WEIR_OK);
	assert_int_equal(dsn.n_hosts, 2);
	assert_string_equal(dsn.hosts[1].name, "h2:6000");
	assert_string_equal(wi_dsn_param(&dsn, "user"), "me");
	assert_string_equal(wi_dsn_param(&dsn, "password"), "pw # 1");
	assert_string_equal(wi_dsn_param(&dsn, "dbname"), "shop");
	wi_dsn_fini(&dsn);
	/* a connection string that is given is all there is */
	assert_int_equal(wi_dsn_parse(&dsn, "host=x", &o, &error), WEIR_OK);
	assert_int_equal(dsn.n_hosts, 1);
	assert_int_equal(dsn.n_params, 0);
	wi_dsn_fini(&dsn);
}

static void a_section_that_the_environment_names(void **state)
{
	char *entries[] = {line, "WEIR_CONFIG_SECTION=reports", NULL};
	struct wi_dsn dsn;

	(void)state;
	snprintf(line, sizeof(line), "WEIR_CONFIG_FILE=%s", path);
	environ = entries;
	write_file("host = h1\nuser = me\n[reports]\nhost = h2\npool_max = 4\nuser = you\n");
	assert_int_equal(weir_options_from_env(&o, &error), WEIR_OK);
	assert_int_equal(o.pool_max, 4);
	assert_int_equal(wi_dsn_parse(&dsn, NULL, &o, &error), WEIR_OK);
	assert_string_equal(dsn.hosts[0].host, "h2");
	assert_string_equal(wi_dsn_param(&dsn, "user"), "you");
	wi_dsn_fini(&dsn);
	write_file("pool_maks = 1\n");
	assert_int_equal(weir_options_from_env(&o, &error), WEIR_INVALID);
	assert_non_null(strstr(error.text, "line 1: no option has the name pool_maks"));
	assert_int_equal(wi_dsn_parse(&dsn, NULL, &o, &error), WEIR_INVALID);
	wi_dsn_fini(&dsn);
	line[strcspn(line, "=") + 1] = '\0'; /* a variable that is empty counts as none */
	assert_int_equal(weir_options_from_env(&o, &error), WEIR_INVALID);
	assert_string_equal(error.text, "environment: WEIR_CONFIG_SECTION names a section, and no "
	                                "WEIR_CONFIG_FILE names the file that it is of");
}

/* Whatever stands in it: taken or refused, and nothing is changed if it is refused. */
static void spoilt_files_do_no_harm(void **state)
{
	static const char seed[] = "pool_max = 20\n[a]\nzone = x ; y\n  more\nhost = h1\n"
				   "password = s\n# c\n[b]\nbalance : least\n";
	static const char bytes[] = "=:[]#; \n\t\r\"'ab\xef\xbb\xbf\\";
	struct wi_rng rng;
	int taken = 0, refused = 0;
	const char *rounds = getenv("TEST_ROUNDS");

	(void)state;
	wi_rng_seed(&rng, 27);
	for (int i = 0; i < (rounds ? atoi(rounds) : 400); i++) {
		char text[sizeof(seed)];
		weir_options before = o;
		struct wi_dsn dsn = {0};

		memcpy(text, seed, sizeof(seed));
		for (uint32_t n = 1 + wi_rng_below(&rng, 6); n > 0; n--)
			text[wi_rng_below(&rng, sizeof(seed) - 1)] =
				bytes[wi_rng_below(&rng, sizeof(bytes) - 1)];
		write_bytes(text, sizeof(seed) - 1 - wi_rng_below(&rng, 40), 0600);
		if (weir_options_from_file(&o, path, i % 2 ? "a" : NULL, &error) == WEIR_OK) {
			taken++;
		} else {
			refused++;
			assert_memory_equal(&o, &before, sizeof(o));
			assert_true(*error.text);
		}
		wi_dsn_fini(&dsn);
	}
	assert_true(taken > 0 && refused > 0);
}

static int make_file(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	return fd < 0 ? -1 : close(fd);
}

static int remove_file(void **state)
{
	(void)state;
	return unlink(path);
}

/* What libinih would take for a comment is no silent end of SQL, or of a password. */
static void a_text_is_not_cut(void **state)
{
	static const char *const cut[] = {
		"on_connect_sql = SET a.b = 1 ; SET a.c = 2\n",
		"on_connect_sql = SET a.b = 1;\n\tSET a.c = 2\t; SET a.d = 3\n",
		"password = half ;canary\n",
		"[a]\nhost = h1 ; the first\n",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
		write_file(cut[i]);
		weir_options_init(&o);
		assert_int_equal(weir_options_from_file(&o, path, NULL, &error), WEIR_INVALID);
		assert_non_null(strstr(error.text, "would be a comment"));
		assert_null(strstr(error.text, "canary"));
		assert_string_equal(o.on_connect_sql, "");
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, restore)
	const struct CMUnitTest tests[] = {
		TEST(names_set_options),
		TEST(a_section_goes_over_what_is_for_all),
		TEST(a_value_goes_on_in_the_next_line),
		TEST(what_is_wrong_is_told_with_its_line),
		TEST(a_text_is_not_cut),
		TEST(what_is_no_file_is_told),
		TEST(a_password_that_others_may_read_is_refused),
		TEST(the_environment_goes_over_the_file),
		TEST(a_section_that_the_environment_names),
		TEST(spoilt_files_do_no_harm),
	};

	return cmocka_run_group_tests(tests, make_file, remove_file);
}
