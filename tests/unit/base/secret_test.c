/* SPDX-License-Identifier: BSD-2-Clause */
/* Where secrets live: no two overlap, all are wiped when given back, and no core dump has them. */
#include "base/secret.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/alloc.h"
#include "base/rng.h"

#define MANY 300

static bool is_all(const unsigned char *at, size_t size, unsigned char byte)
{
	for (size_t i = 0; i < size; i++)
		if (at[i] != byte)
			return false;
	return true;
}

static void blocks_of_all_sizes_are_zeroed_and_apart(void **state)
{
	static struct block {
		unsigned char *at;
		size_t size;
	} blocks[MANY];
	size_t before = wi_alloc_bytes();
	struct wi_rng rng;

	(void)state;
	wi_rng_seed(&rng, 7);
	for (int round = 0; round < 20000; round++) {
		struct block *b = &blocks[wi_rng_below(&rng, MANY)];
		unsigned char own = (unsigned char)((b - blocks) % 255 + 1);

		if (b->at) {
			assert_true(is_all(b->at, b->size, own));
			wi_secret_free(b->at, b->size);
			b->at = NULL;
			continue;
		}
		b->size = wi_rng_below(&rng, round % 50 ? 300 : 9000);
		b->at = wi_secret_alloc(b->size);
		assert_non_null(b->at);
		assert_int_equal((uintptr_t)b->at % _Alignof(max_align_t), 0);
		assert_true(is_all(b->at, b->size, 0));
		memset(b->at, own, b->size);
	}
	for (int i = 0; i < MANY; i++)
		wi_secret_free(blocks[i].at, blocks[i].size);
	assert_int_equal(wi_alloc_bytes(), before);
}

/* The page of the last one is kept, so it can be looked at afterwards. */
static void what_is_given_back_is_wiped(void **state)
{
	char *text = wi_secret_strdup("hunter2");

	(void)state;
	assert_non_null(text);
	assert_string_equal(text, "hunter2");
	wi_secret_strfree(text);
	assert_true(is_all((unsigned char *)text, 8, 0));
	wi_secret_strfree(NULL);
	wi_secret_free(NULL, 3);
}

/* Whether the flags of the mapping that holds `at` have this one. */
static bool has_flag(const void *at, const char *flag)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	char line[512];
	bool here = false, found = false;

	assert_non_null(maps);
	while (fgets(line, sizeof(line), maps)) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			here = (uintptr_t)at >= from && (uintptr_t)at < to;
		else if (here && strncmp(line, "VmFlags:", 8) == 0)
			found = strstr(line, flag) != NULL;
	}
	fclose(maps);
	return found;
}

static void no_core_dump_has_them(void **state)
{
	char *small = wi_secret_strdup("hunter2"), *large = wi_secret_alloc(100000);
	char *plain = wi_strdup("no secret");

	(void)state;
	assert_true(has_flag(small, " dd"));
	assert_true(has_flag(large, " dd"));
	assert_false(has_flag(plain, " dd"));
	printf("locked in memory: %s\n", has_flag(small, " lo") ? "yes" : "no");
	wi_strfree(plain);
	wi_secret_strfree(small);
	wi_secret_free(large, 100000);
}

static void want_of_memory_is_told(void **state)
{
	(void)state;
	wi_alloc_fail_at(1);
	assert_null(wi_secret_strdup("hunter2"));
	wi_alloc_fail_at(1);
	assert_null(wi_secret_alloc(100000));
}

static void a_child_has_them_too(void **state)
{
	char *text = wi_secret_strdup("hunter2");
	int status = 0;
	pid_t child = fork();

	(void)state;
	if (child == 0) {
		bool same = strcmp(text, "hunter2") == 0;

		wi_secret_strfree(wi_secret_strdup("its own"));
		_exit(same ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	wi_secret_strfree(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(blocks_of_all_sizes_are_zeroed_and_apart),
		cmocka_unit_test(what_is_given_back_is_wiped),
		cmocka_unit_test(no_core_dump_has_them),
		cmocka_unit_test(want_of_memory_is_told),
		cmocka_unit_test(a_child_has_them_too),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
