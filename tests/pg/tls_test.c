/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * TLS, as the options ask for it, against a real server with certificates good and bad: what must
 * be accepted is, and encrypted; what must be refused is, with words that say why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <weir/weir.h>

#include "support/cluster.h"
#include "support/watchdog.h"

#define PATIENCE_MS 60000

static struct test_cluster *cluster;
static weir_options o;
static weir_error error;

static void set(const char *name, const char *value)
{
	assert_non_null(value);
	if (weir_options_set(&o, name, value, &error) != WEIR_OK)
		fail_msg("%s", error.text);
}

static const char *fact(const char *name)
{
	return test_cluster_fact(cluster, name);
}

static int set_up(void **state)
{
	(void)state;
	weir_options_init(&o);
	o.pool_min = 0;
	memset(&error, 0, sizeof(error));
	return 0;
}

/*
 * What the session is encrypted by, as libpq says; "" if it is not, NULL if there is none. Good
 * until the next call.
 */
static const char *protocol_at(const char *conninfo)
{
	static char protocol[64];
	weir_pool *pool = NULL;
	weir_conn *conn = NULL;
	weir_status st;

	if (weir_pool_open(conninfo, &o, &pool, &error) != WEIR_OK)
		fail_msg("%s", error.text);
	st = weir_pool_checkout(pool, PATIENCE_MS, &conn, &error);
	if (st == WEIR_OK) {
		PGconn *pg = weir_pg(conn);
		PGresult *r =
			PQexec(pg, "select ssl from pg_stat_ssl where pid = pg_backend_pid()");

		/* Both ends agree. */
		assert_string_equal(PQgetvalue(r, 0, 0), PQsslInUse(pg) ? "t" : "f");
		PQclear(r);
		snprintf(protocol, sizeof(protocol), "%s",
		         PQsslInUse(pg) ? PQsslAttribute(pg, "protocol") : "");
	}
	weir_checkin(&conn);
	assert_int_equal(weir_pool_close(&pool, PATIENCE_MS), WEIR_OK);
	return st == WEIR_OK ? protocol : NULL;
}

static const char *protocol(void)
{
	return protocol_at(test_cluster_url(cluster));
}

static void assert_accepted(void)
{
	const char *p = protocol();

	if (!p)
		fail_msg("%s", error.text);
	assert_memory_equal(p, "TLSv1.", 6);
}

static void assert_refused(const char *words)
{
	assert_null(protocol());
	assert_int_equal(error.status, WEIR_CONNECT);
	if (!strstr(error.text, words))
		fail_msg("\"%s\" does not say \"%s\"", error.text, words);
}

static void the_full_check_accepts_the_right_server(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	assert_accepted();
}

static void another_authority_is_refused(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", fact("wrong_ca"));
	assert_refused("certificate verify failed");
	set("sslmode", "verify-ca");
	assert_refused("certificate verify failed");
}

static void no_authority_is_no_check(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", "missing.crt");
	assert_refused("missing.crt");
}

static void weaker_modes_do_as_they_say(void **state)
{
	(void)state;
	set("sslmode", "disable");
	assert_string_equal(protocol(), "");
	set("sslmode", "prefer");
	assert_accepted();
	set("sslmode", "require");
	assert_accepted();
}

static void the_minimum_protocol_is_kept(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	set("ssl_min_protocol_version", "TLSv1.3");
	assert_string_equal(protocol(), "TLSv1.3");
}

static void channel_binding_can_be_required(void **state)
{
	(void)state;
	set("channel_binding", "require");
	set("sslmode", "require");
	assert_accepted();
	set("sslmode", "disable");
	assert_null(protocol());
	assert_non_null(strstr(error.text, "channel binding"));
}

static void a_revoked_certificate_is_refused(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	set("sslcrl", fact("empty_crl"));
	assert_accepted();
	set("sslcrl", fact("revoking_crl"));
	assert_refused("certificate verify failed");
}

static void an_expired_certificate_is_refused(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	assert_true(test_cluster_certificate(cluster, 0, "expired"));
	assert_refused("certificate verify failed");
	assert_true(test_cluster_certificate(cluster, 0, "server"));
	assert_accepted();
}

static void a_certificate_for_another_name_is_refused_by_the_full_check(void **state)
{
	(void)state;
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	assert_true(test_cluster_certificate(cluster, 0, "misnamed"));
	assert_refused("127.0.0.1");
	set("sslmode", "verify-ca");
	assert_accepted();
	assert_true(test_cluster_certificate(cluster, 0, "server"));
}

static void a_client_certificate_lets_in(void **state)
{
	const char *url = fact("certificate_url");

	(void)state;
	assert_non_null(url);
	set("sslmode", "verify-full");
	set("sslrootcert", fact("ca"));
	set("sslcert", fact("client_cert"));
	set("sslkey", fact("client_key"));
	assert_non_null(protocol_at(url));
	set_up(state);
	set("sslmode", "require");
	set("sslcert", "");
	assert_null(protocol_at(url));
	assert_int_equal(error.status, WEIR_AUTH);
}

static void parameters_of_the_url_do_the_same(void **state)
{
	char url[2048];

	(void)state;
	snprintf(url, sizeof(url), "%s?sslmode=verify-full&sslrootcert=%s",
	         test_cluster_url(cluster), fact("wrong_ca"));
	assert_null(protocol_at(url));
	snprintf(url, sizeof(url), "%s?sslmode=verify-full&sslrootcert=%s",
	         test_cluster_url(cluster), fact("ca"));
	assert_non_null(protocol_at(url));
}

static int start(void **state)
{
	struct test_cluster_options options = {.standbys = -1, .tls = true};

	(void)state;
	cluster = test_cluster_start_or_exit(&options);
	return 0;
}

static int finish(void **state)
{
	(void)state;
	return test_cluster_stop(&cluster) ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_full_check_accepts_the_right_server),
		TEST(another_authority_is_refused),
		TEST(no_authority_is_no_check),
		TEST(weaker_modes_do_as_they_say),
		TEST(the_minimum_protocol_is_kept),
		TEST(channel_binding_can_be_required),
		TEST(a_revoked_certificate_is_refused),
		TEST(an_expired_certificate_is_refused),
		TEST(a_certificate_for_another_name_is_refused_by_the_full_check),
		TEST(a_client_certificate_lets_in),
		TEST(parameters_of_the_url_do_the_same),
	};

	test_watchdog(250, "pg.tls");
	return cmocka_run_group_tests(tests, start, finish);
}
