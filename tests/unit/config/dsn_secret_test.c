/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * No error about a connection string shows a piece of a password, however the string is spoilt.
 *
 * Every password here is made of CANARYs with all kinds of characters between them, so that one
 * that is cut at the wrong place still shows. Strings are spoilt at random (fixed seed) outside of
 * the canaries.
 */
#include "config/dsn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/alloc.h>

#include "base/alloc.h"
#include "base/line.h"
#include "base/rng.h"

#define CANARY "xYzZy"
#define ROUNDS 60000
#define ROOM 512

/* "$" is where a password goes. */
static const char *const forms[] = {
	"postgresql://app:$@db:5432/shop",
	"postgresql://app:$@h1,h2:5433,[::1]:5434/shop?sslmode=require",
	"postgres://:$@/shop?host=/run/pg&port=7000",
	"postgresql://app@db/shop?password=$&pool_max=20",
	"postgresql://db/shop?pool_max=20&password=$&balance=least&connect_timeout=3",
	"postgresql://db/shop?sslpassword=$&application_name=x",
	"host=db port=5432 user=app password=$ dbname=shop",
	"host=db port=5432 user=app password='$' pool_max=20 balance=p2c",
	"password='$' sslmode=require hostaddr=127.0.0.1",
};

static const char spoilers[] = "%@:/?&=,[]' \\#;.0a9\n\x80+-";

/*
 * Canaries with a random character between them; raw, so most of these passwords break the string
 * they are in.
 */
static void make_password(struct wi_rng *rng, char *to)
{
	uint32_t pieces = 1 + wi_rng_below(rng, 4);

	for (uint32_t i = 0; i < pieces; i++) {
		to = stpcpy(to, CANARY);
		if (wi_rng_below(rng, 3))
			*to++ = spoilers[wi_rng_below(rng, sizeof(spoilers) - 1)];
	}
	*to = '\0';
}

static void fill_in(const char *form, const char *password, char *to)
{
	const char *place = strchr(form, '$');

	snprintf(to, ROOM, "%.*s%s%s", (int)(place - form), form, password, place + 1);
}

/*
 * Whether the byte at `at` belongs to a canary: those stay whole, or they could not be told from
 * other text.
 */
static bool in_canary(const char *text, size_t at)
{
	size_t length = strlen(CANARY);

	for (size_t back = 0; back < length && back <= at; back++)
		if (strncmp(text + at - back, CANARY, length) == 0)
			return true;
	return false;
}

static void spoil(struct wi_rng *rng, char *text)
{
	size_t length = strlen(text), at = wi_rng_below(rng, (uint32_t)length);
	char byte = spoilers[wi_rng_below(rng, sizeof(spoilers) - 1)];

	if (in_canary(text, at))
		return;
	switch (wi_rng_below(rng, 3)) {
	case 0:
		text[at] = byte;
		break;
	case 1:
		memmove(text + at, text + at + 1, length - at);
		break;
	default:
		memmove(text + at + 1, text + at, length - at + 1);
		text[at] = byte;
		break;
	}
}

static void expect_no_canary(const char *conninfo, const char *text)
{
	if (strstr(text, "YzZ"))
		fail_msg("<%s> is answered with <%s>", conninfo, text);
}

/* Parses; true if it was refused. */
static bool try_one(const char *conninfo)
{
	weir_options options;
	weir_error error;
	struct wi_dsn dsn;
	weir_status status;

	memset(&error, 0, sizeof(error));
	weir_options_init(&options);
	options.isolated = 1;
	status = wi_dsn_parse(&dsn, conninfo, &options, &error);
	if (status != WEIR_OK) {
		assert_int_equal(status, WEIR_INVALID);
		assert_true(*error.text);
		expect_no_canary(conninfo, error.text);
		expect_no_canary(conninfo, error.host);
	}
	wi_dsn_fini(&dsn);
	return status != WEIR_OK;
}

static void spoilt_strings_show_no_password(void **state)
{
	size_t blocks = wi_alloc_blocks();
	struct wi_rng rng;
	int refused = 0;

	(void)state;
	wi_rng_seed(&rng, 2024);
	for (int i = 0; i < ROUNDS; i++) {
		char password[64], text[ROOM];

		make_password(&rng, password);
		fill_in(forms[wi_rng_below(&rng, WI_ARRAY_LEN(forms))], password, text);
		for (uint32_t n = wi_rng_below(&rng, 5); n > 0; n--)
			spoil(&rng, text);
		refused += try_one(text);
		assert_int_equal(wi_alloc_blocks(), blocks);
	}
	/* neither all nor none: the test tests something */
	assert_in_range(refused, ROUNDS / 10, ROUNDS - ROUNDS / 10);
}

/* The same from DATABASE_URL, which is quoted no more than an argument. */
static void database_url_is_a_secret_too(void **state)
{
	static char *entries[] = {"DATABASE_URL=postgresql://u:" CANARY "/" CANARY "@db/x", NULL};
	char **own_environ = environ;

	(void)state;
	environ = entries;
	assert_true(try_one(NULL));
	environ = own_environ;
}

/* By hand: the ways in which people really get it wrong. */
static void common_slips_show_no_password(void **state)
{
	static const char *const slips[] = {
		"postgresql://app:" CANARY "/" CANARY "@db/shop",
		"postgresql://app:" CANARY "@" CANARY "@db/shop",
		"postgresql://app:" CANARY "%@db/shop",
		"postgresql://app:" CANARY "%zz" CANARY "@db/shop",
		"postgresql://app:" CANARY "db/shop",
		"postgresql:/app:" CANARY "@db/shop",
		"postgresq://app:" CANARY "@db/shop",
		"app:" CANARY "@db/shop",
		"host=db password=" CANARY " " CANARY,
		"host=db password='" CANARY,
		"host=db pool_max=" CANARY,
		"host=db port=" CANARY,
		"postgresql://db/shop?pool_max=1password=" CANARY,
		"postgresql://db/shop?pool_max=1;password=" CANARY,
		"postgresql://db:5432password=" CANARY,
		"postgresql://[" CANARY,
	};

	(void)state;
	for (size_t i = 0; i < WI_ARRAY_LEN(slips); i++)
		if (!try_one(slips[i]))
			fail_msg("<%s> is taken", slips[i]);
}

/* Freed memory holds no password: the allocator's free looks at what comes back. */
static bool seen_in_freed;

static void *plain_alloc(void *arg, size_t size, size_t align)
{
	void *block = NULL;

	(void)arg;
	return posix_memalign(&block, align, size) == 0 ? block : NULL;
}

static void looking_free(void *arg, void *block, size_t size)
{
	(void)arg;
	seen_in_freed |= memmem(block, size, CANARY, strlen(CANARY)) != NULL;
	free(block);
}

static int watch_freed_memory(void **state)
{
	const weir_allocator watching = {plain_alloc, looking_free, NULL};

	(void)state;
	return weir_allocator_set(&watching) == WEIR_OK ? 0 : -1;
}

static void freed_memory_holds_no_password(void **state)
{
	(void)state;
	assert_false(seen_in_freed);
	wi_strfree(wi_strdup(CANARY));
	assert_true(seen_in_freed); /* the watch works */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(common_slips_show_no_password),
		cmocka_unit_test(database_url_is_a_secret_too),
		cmocka_unit_test(spoilt_strings_show_no_password),
		/* last: it looks at all that was freed before */
		cmocka_unit_test(freed_memory_holds_no_password),
	};

	return cmocka_run_group_tests(tests, watch_freed_memory, NULL);
}
