/* SPDX-License-Identifier: BSD-2-Clause */
/* The allocator table, zeroing, alignment, wiping, counting, and failures on demand. */
#include "base/alloc.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include <weir/alloc.h>

struct host_memory {
	int out;
	size_t last_size;
};

static void *host_alloc(void *arg, size_t size, size_t align)
{
	struct host_memory *memory = arg;
	void *block = NULL;

	memory->out++;
	if (posix_memalign(&block, align, size) != 0)
		return NULL;
	return memset(block, 0xa5, size);
}

static void host_free(void *arg, void *block, size_t size)
{
	struct host_memory *memory = arg;

	memory->out--;
	memory->last_size = size;
	free(block);
}

#define MUST(x)                                                                                    \
	do {                                                                                       \
		if (!(x))                                                                          \
			_exit(__LINE__ % 250 + 1); /* of a child: the parent asserts on it */      \
	} while (0)

/* The table can be set only once a process and before the first allocation: a child each. */
static void in_child(void (*body)(void))
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (child == 0) {
		body();
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
}

static void use_host_allocator(void)
{
	static struct host_memory memory;
	weir_allocator allocator = {host_alloc, host_free, &memory};
	unsigned char *block;

	MUST(weir_allocator_set(NULL) == WEIR_INVALID);
	MUST(weir_allocator_set(&(weir_allocator){0}) == WEIR_INVALID);
	MUST(weir_allocator_set(&(weir_allocator){.alloc = host_alloc}) == WEIR_INVALID);
	MUST(weir_allocator_set(&allocator) == WEIR_OK);
	allocator.alloc = NULL; /* the table was copied */
	block = wi_alloc_aligned(100, 64);
	MUST(block && (uintptr_t)block % 64 == 0 && memory.out == 1);
	for (int i = 0; i < 100; i++)
		MUST(block[i] == 0);
	wi_free(block, 100);
	MUST(memory.out == 0 && memory.last_size == 100);
}

static void set_allocator_too_late(void)
{
	static struct host_memory memory;
	const weir_allocator allocator = {host_alloc, host_free, &memory};

	wi_free(wi_alloc(1), 1);
	MUST(weir_allocator_set(&allocator) == WEIR_INVALID);
	wi_free(wi_alloc(1), 1);
	MUST(memory.last_size == 0);
}

static void host_allocator_is_used(void **state)
{
	(void)state;
	in_child(use_host_allocator);
}

static void allocator_is_fixed_by_the_first_allocation(void **state)
{
	(void)state;
	in_child(set_allocator_too_late);
}

static void memory_is_zeroed_and_aligned(void **state)
{
	(void)state;
	for (size_t align = sizeof(void *); align <= 4096; align *= 2) {
		for (size_t size = 1; size < 300; size += 37) {
			unsigned char *block = wi_alloc_aligned(size, align);

			assert_non_null(block);
			assert_int_equal((uintptr_t)block % align, 0);
			for (size_t i = 0; i < size; i++)
				assert_int_equal(block[i], 0);
			memset(block, 0xff, size); /* the next one must be zero all the same */
			wi_free(block, size);
		}
	}
}

static void what_is_out_is_counted(void **state)
{
	size_t bytes = wi_alloc_bytes(), blocks = wi_alloc_blocks();
	void *a = wi_alloc(10), *b = wi_alloc_aligned(100, 64), *none = wi_alloc(0);

	(void)state;
	assert_non_null(a);
	assert_non_null(b);
	assert_non_null(none);
	assert_int_equal(wi_alloc_blocks(), blocks + 3);
	assert_true(wi_alloc_bytes() >= bytes + 110);
	wi_free(a, 10);
	wi_free(b, 100);
	wi_free(none, 0);
	wi_free(NULL, 5);
	wi_strfree(NULL);
	assert_int_equal(wi_alloc_blocks(), blocks);
	assert_int_equal(wi_alloc_bytes(), bytes);
}

static void the_nth_allocation_fails_once(void **state)
{
	void *a, *b, *c, *d;

	(void)state;
	wi_alloc_fail_at(3);
	a = wi_alloc(1);
	b = wi_alloc(1);
	c = wi_alloc(1);
	d = wi_alloc(1);
	assert_non_null(a);
	assert_non_null(b);
	assert_null(c);
	assert_non_null(d);
	wi_free(a, 1);
	wi_free(b, 1);
	wi_free(d, 1);
	wi_alloc_fail_at(1);
	assert_null(wi_strdup("x"));
}

static void impossible_sizes_fail(void **state)
{
	size_t huge = SIZE_MAX - 10; /* the compiler must not see it */

	(void)state;
	assert_null(wi_alloc_aligned(huge, 64));
}

int main(void)
{
	/* The first three need a process that has not allocated yet. */
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(host_allocator_is_used),
		cmocka_unit_test(allocator_is_fixed_by_the_first_allocation),
		cmocka_unit_test(memory_is_zeroed_and_aligned),
		cmocka_unit_test(what_is_out_is_counted),
		cmocka_unit_test(the_nth_allocation_fails_once),
		cmocka_unit_test(impossible_sizes_fail),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
