/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Aliases of parts of a connection string: what each stands for, that it fills what a URL leaves
 * out and contradicts it in nothing, and that no error shows a password, wherever it was put. The
 * expectations are written out by hand; a row of aliases.def that has none here is a failure.
 */
#include "config/alias.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/line.h"
#include "config/dsn.h"
#include "config/options.h"
#include "support/environment.h"

static weir_options options;
static weir_error error;

static int fresh(void **state)
{
	(void)state;
	env_begin();
	weir_options_init(&options);
	memset(&error, 0, sizeof(error));
	return 0;
}

static int restore(void **state)
{
	(void)state;
	env_end();
	return 0;
}

/* What a name is set to, how the one who reads it finds it, and a value that is refused. */
static const struct {
	const char *env, *given, *keyword, *refused;
} parts[] = {
	{"DB_HOST", "db1,db2", "host", "db 1"},
	{"DB_PORT", "6543", "port", "65536"},
	{"DB_NAME", "shop", "dbname", NULL},
	{"DB_USER", "app", "user", NULL},
	{"DB_PASSWORD", "s3cr&t=@/", "password", NULL},
	{"DB_SSLMODE", "require", "sslmode", "yes"},
	{"DB_SSLROOTCERT", "/tls/ca.pem", "sslrootcert", NULL},
	{"DB_SSLCERT", "/tls/cert.pem", "sslcert", NULL},
	{"DB_SSLKEY", "/tls/key.pem", "sslkey", NULL},
};

static void take(void)
{
	weir_options_init(&options);
	if (weir_options_from_env(&options, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static void refuse(void)
{
	weir_options before;

	weir_options_init(&options);
	before = options;
	assert_int_equal(weir_options_from_env(&options, &error), WEIR_INVALID);
	assert_memory_equal(&options, &before, sizeof(before));
}

static const char *part_of(const struct wi_dsn *dsn, const weir_options *o, const char *keyword)
{
	static char text[600];

	if (strcmp(keyword, "host") == 0) {
		snprintf(text, sizeof(text), "%s%s%s", dsn->hosts[0].host,
		         dsn->n_hosts > 1 ? "," : "", dsn->n_hosts > 1 ? dsn->hosts[1].host : "");
		return text;
	}
	if (strcmp(keyword, "port") == 0)
		return dsn->hosts[0].port;
	if (weir_options_get(o, keyword, text, sizeof(text)) == WEIR_OK)
		return text;
	return wi_dsn_param(dsn, keyword);
}

static weir_status open_like(struct wi_dsn *dsn)
{
	weir_options_init(&options);
	return wi_dsn_parse(dsn, NULL, &options, &error);
}

static void each_row_of_a_part_is_expected_here(void **state)
{
	const weir_alias_row *row;
	size_t n = 0;

	(void)state;
	for (size_t i = 0; (row = weir_alias_at(i)); i++) {
		size_t found = 0;

		if (!*row->keyword)
			continue; /* alias_test.c */
		for (size_t k = 0; k < WI_ARRAY_LEN(parts); k++)
			if (strcmp(parts[k].env, row->env) == 0) {
				assert_string_equal(row->keyword, parts[k].keyword);
				found++;
			}
		if (found != 1)
			fail_msg("%s: expected %zu times", row->env, found);
		assert_string_equal(row->option, "");
		n++;
	}
	assert_int_equal(n, WI_ARRAY_LEN(parts));
}

static void each_part_stands_in_for_a_connection_string(void **state)
{
	struct wi_dsn dsn;

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(parts); i++) {
		env_only(parts[i].env, parts[i].given);
		env_put("PGHOST", "elsewhere");
		env_put("PGPORT", "1111");
		assert_int_equal(open_like(&dsn), WEIR_OK);
		assert_string_equal(part_of(&dsn, &options, parts[i].keyword), parts[i].given);
		wi_dsn_fini(&dsn);

		env_only(parts[i].env, "");
		assert_int_equal(open_like(&dsn), WEIR_OK);
		assert_int_equal(dsn.n_params, 0);
		wi_dsn_fini(&dsn);
	}
}

static void a_connection_string_that_is_given_is_all_there_is(void **state)
{
	struct wi_dsn dsn;

	(void)state;
	env_clear();
	env_put("DB_HOST", "elsewhere");
	env_put("DB_PASSWORD", "x");
	env_put("DB_SSLMODE", "disable");
	weir_options_init(&options);
	assert_int_equal(wi_dsn_parse(&dsn, "postgresql://here/shop", &options, &error), WEIR_OK);
	assert_string_equal(dsn.hosts[0].host, "here");
	assert_null(wi_dsn_param(&dsn, "password"));
	assert_string_equal(options.sslmode, "");
	wi_dsn_fini(&dsn);
}

static void parts_fill_what_the_url_leaves_out_or_agree_with_it(void **state)
{
	struct wi_dsn dsn;

	(void)state;
	env_clear();
	env_put("DATABASE_URL", "postgres://app@Db1/shop?sslmode=require");
	env_put("DB_HOST", "db1");
	env_put("DB_USER", "app");
	env_put("DB_PASSWORD", "pw");
	env_put("DB_PORT", "6000");
	env_put("DB_SSLMODE", "require");
	assert_int_equal(open_like(&dsn), WEIR_OK);
	assert_string_equal(dsn.hosts[0].name, "Db1:6000");
	assert_string_equal(wi_dsn_param(&dsn, "password"), "pw");
	wi_dsn_fini(&dsn);
}

static const char url[] = "postgresql://me:urlpw@db1:5432/books?sslmode=require&sslrootcert=a&"
			  "sslcert=b&sslkey=c";

static void each_part_that_contradicts_the_url_is_refused(void **state)
{
	struct wi_dsn dsn;

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(parts); i++) {
		bool secret = strcmp(parts[i].keyword, "password") == 0;
		const char *other =
			strcmp(parts[i].keyword, "sslmode") == 0 ? "verify-full" : parts[i].given;

		env_only("DATABASE_URL", url);
		env_put(parts[i].env, other);
		assert_int_equal(open_like(&dsn), WEIR_INVALID);
		assert_non_null(strstr(error.text, parts[i].env));
		assert_non_null(strstr(error.text, "DATABASE_URL"));
		assert_null(strstr(error.text, "urlpw"));
		if (secret)
			assert_null(strstr(error.text, other));
		else
			assert_non_null(strstr(error.text, other));
		wi_dsn_fini(&dsn);
	}
}

static void each_part_that_makes_no_sense_is_told_by_its_name(void **state)
{
	struct wi_dsn dsn;

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(parts); i++) {
		if (!parts[i].refused)
			continue;
		env_only(parts[i].env, parts[i].refused);
		assert_int_equal(open_like(&dsn), WEIR_INVALID);
		assert_memory_equal(error.text, parts[i].env, strlen(parts[i].env));
		assert_non_null(strstr(error.text, parts[i].refused));
		wi_dsn_fini(&dsn);
	}
}

static void no_text_shows_a_password(void **state)
{
	static const char *const names[] = {"DB_HOST", "DB_NAME", "DB_USER", "DB_SSLMODE"};
	struct wi_dsn dsn;

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(names); i++) {
		env_only("DATABASE_URL", url);
		env_put("DB_PASSWORD", "canary");
		env_put(names[i], "postgresql://app:canary@db1/shop");
		assert_int_not_equal(open_like(&dsn), WEIR_OK);
		assert_null(strstr(error.text, "canary"));
		wi_dsn_fini(&dsn);

		env_only(names[i], "postgresql://app:canary@db1/shop");
		env_put("WEIR_SSLMODE", "require");
		if (open_like(&dsn) != WEIR_OK)
			assert_null(strstr(error.text, "canary"));
		wi_dsn_fini(&dsn);
		weir_options_init(&options);
		if (weir_options_from_env(&options, &error) != WEIR_OK)
			assert_null(strstr(error.text, "canary"));
	}
}

static void weirs_own_name_and_a_part_agree_or_are_refused(void **state)
{
	(void)state;
	env_only("DB_SSLMODE", "require");
	env_put("WEIR_SSLMODE", "require");
	take();
	env_only("DB_SSLMODE", "require");
	env_put("WEIR_SSLMODE", "verify-full");
	refuse();
	assert_non_null(strstr(error.text, "WEIR_SSLMODE is \"verify-full\", and DB_SSLMODE is "));
}

static void urls_of_sqlalchemy_are_urls(void **state)
{
	static const char *const urls[] = {"postgresql+psycopg2://app:pw@db1:6000/shop",
	                                   "postgres://app:pw@db1:6000/shop",
	                                   "postgresql+asyncpg://app:pw@db1:6000/shop?ssl=require",
	                                   "postgresql+psycopg://app:pw@db1:6000/shop",
	                                   "postgres+pg8000://app:pw@db1:6000/shop"};
	struct wi_dsn dsn;

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(urls); i++) {
		env_only("DATABASE_URL", urls[i]);
		assert_int_equal(open_like(&dsn), WEIR_OK);
		assert_string_equal(dsn.hosts[0].name, "db1:6000");
		assert_string_equal(wi_dsn_param(&dsn, "user"), "app");
		assert_string_equal(wi_dsn_param(&dsn, "password"), "pw");
		assert_string_equal(options.sslmode, i == 2 ? "require" : "");
		wi_dsn_fini(&dsn);
	}
	env_only("DATABASE_URL", "mysql+pymysql://app@db1/shop");
	assert_int_equal(open_like(&dsn), WEIR_INVALID);
	wi_dsn_fini(&dsn);
}

static void what_an_orchestrator_puts_there_counts_as_unset(void **state)
{
	struct wi_dsn dsn;

	(void)state;
	env_clear();
	env_put("DB_PORT", "tcp://10.0.0.1:5432");
	env_put("DB_PORT_5432_TCP_ADDR", "10.0.0.1");
	env_put("DB_SERVICE_HOST", "10.0.0.1");
	env_put("WEIR_PORT", "tcp://10.0.0.2:80");
	env_put("WEIR_PORT_80_TCP_PROTO", "tcp");
	env_put("WEIR_SERVICE_HOST", "10.0.0.2");
	env_put("WEIR_API_SERVICE_PORT_HTTP", "80");
	take();
	assert_int_equal(open_like(&dsn), WEIR_OK);
	assert_string_equal(dsn.hosts[0].port, "5432");
	wi_dsn_fini(&dsn);
}

/*
 * A URL in the wrong place; the second one's "@" lies beyond what an error has room for, the last
 * one's is lost.
 */
static void say_nothing_of(const char *name)
{
	static const char *const misplaced[] = {
		"postgresql://app:canary@db1/shop",
		("postgresql://app:canary-of-a-password-that-is-longer-than-any-error-has-room-to-"
	         "show@db1/shop"),
		"host=db1 password=canary",
		"postgresql://app:canary",
	};
	struct wi_dsn dsn;

	for (size_t i = 0; i < WI_ARRAY_LEN(misplaced); i++) {
		env_only(name, misplaced[i]);
		weir_options_init(&options);
		if (weir_options_from_env(&options, &error) != WEIR_OK)
			assert_null(strstr(error.text, "canary"));
		for (int with_url = 0; with_url < 2; with_url++) {
			if (open_like(&dsn) != WEIR_OK)
				assert_null(strstr(error.text, "canary"));
			wi_dsn_fini(&dsn);
			if (strcmp(name, "DATABASE_URL") != 0)
				env_put("DATABASE_URL", url);
		}
	}
}

static void no_name_shows_a_misplaced_connection_string(void **state)
{
	const weir_alias_row *alias;
	const weir_option_row *option;

	(void)state;
	for (size_t i = 0; (alias = weir_alias_at(i)); i++)
		say_nothing_of(alias->env);
	for (size_t i = 0; (option = weir_option_at(i)); i++)
		say_nothing_of(option->env);
	say_nothing_of("PGHOST");
	say_nothing_of("PGHOSTADDR");
	say_nothing_of("PGPORT");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fresh, restore)
	const struct CMUnitTest tests[] = {
		TEST(each_row_of_a_part_is_expected_here),
		TEST(each_part_stands_in_for_a_connection_string),
		TEST(a_connection_string_that_is_given_is_all_there_is),
		TEST(parts_fill_what_the_url_leaves_out_or_agree_with_it),
		TEST(each_part_that_contradicts_the_url_is_refused),
		TEST(each_part_that_makes_no_sense_is_told_by_its_name),
		TEST(no_text_shows_a_password),
		TEST(weirs_own_name_and_a_part_agree_or_are_refused),
		TEST(urls_of_sqlalchemy_are_urls),
		TEST(what_an_orchestrator_puts_there_counts_as_unset),
		TEST(no_name_shows_a_misplaced_connection_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
