/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Question: what does the shared free list cost by itself, where every thread hits the same line?
 *
 *	baseline.malloc/64              malloc(64) and free, to divide by
 *	baseline.mutex_stack/pop_push   the plain twin: a mutex over an array
 *	core.freelist/pop_push          weir's: a compare-and-swap on a tagged head each
 *
 * Matrix: 1, 2, 4, 8 and 16 threads, 64 items.
 */
#include <pthread.h>
#include <stdlib.h>

#include "core/freelist.h"
#include "core/slot.h"
#include "harness/bench.h"

#define ITEMS 64
#define THREADS                                                                                    \
	{                                                                                          \
		1, 2, 4, 8, 16                                                                     \
	}

struct stack {
	pthread_mutex_t lock;
	unsigned len;
	unsigned item[ITEMS];
};

struct list {
	struct wi_freelist list;
	struct wi_table table;
	struct wi_slot slots[ITEMS + 1];
};

static void malloc_pair(struct bench *b)
{
	while (bench_keep_running(b)) {
		void *p = malloc(64);

		bench_keep(p);
		free(p);
	}
}

static void free_shared(struct bench *b)
{
	free(bench_shared(b));
}

static void make_stack(struct bench *b)
{
	struct stack *s = calloc(1, sizeof(*s));

	if (!s) {
		bench_skip(b, "no memory");
		return;
	}
	pthread_mutex_init(&s->lock, NULL);
	for (; s->len < ITEMS; s->len++)
		s->item[s->len] = s->len + 1;
	bench_share(b, s);
}

static void stack_pair(struct bench *b)
{
	struct stack *s = bench_shared(b);

	while (bench_keep_running(b)) {
		unsigned item;

		pthread_mutex_lock(&s->lock);
		item = s->item[--s->len];
		pthread_mutex_unlock(&s->lock);
		bench_keep(item);
		pthread_mutex_lock(&s->lock);
		s->item[s->len++] = item;
		pthread_mutex_unlock(&s->lock);
	}
}

static void make_list(struct bench *b)
{
	struct list *l = aligned_alloc(64, (sizeof(*l) + 63) / 64 * 64);

	if (!l) {
		bench_skip(b, "no memory");
		return;
	}
	*l = (struct list){0};
	l->table = (struct wi_table){(char *)l->slots, sizeof(struct wi_slot), ITEMS};
	wi_freelist_init(&l->list);
	for (uint32_t i = 1; i <= ITEMS; i++)
		wi_freelist_push(&l->list, &l->table, i);
	bench_share(b, l);
}

static void list_pair(struct bench *b)
{
	struct list *l = bench_shared(b);

	while (bench_keep_running(b)) {
		uint32_t slot = wi_freelist_pop(&l->list, &l->table);

		bench_keep(slot);
		wi_freelist_push(&l->list, &l->table, slot);
	}
}

void bench_cases(void)
{
	bench_register(&(struct bench_case){
		.name = "baseline.malloc/64", .body = malloc_pair, .threads = THREADS});
	bench_register(&(struct bench_case){.name = "baseline.mutex_stack/pop_push",
	                                    .body = stack_pair,
	                                    .before = make_stack,
	                                    .after = free_shared,
	                                    .threads = THREADS});
	bench_register(&(struct bench_case){.name = "core.freelist/pop_push",
	                                    .body = list_pair,
	                                    .before = make_list,
	                                    .after = free_shared,
	                                    .threads = THREADS});
}
